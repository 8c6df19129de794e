//! The answer of a hook to httpd.

use http::StatusCode;

use crate::sys;

/// The result of a hook: accepted, declined, done, or an HTTP error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookStatus {
    /// The hook did its work: `OK`.
    Ok,
    /// The hook leaves the work to other modules: `DECLINED`.
    Declined,
    /// The request is finished: `DONE`.
    Done,
    /// The HTTP status of httpd's own response (ErrorDocument applies).
    Http(StatusCode),
    /// A filter has sent the response already: `AP_FILTER_ERROR`.
    FilterError,
}

impl HookStatus {
    /// Returns the number that httpd wants.
    #[must_use]
    pub(crate) fn into_raw(self) -> i32 {
        match self {
            Self::Ok => sys::OK.cast_signed(),
            Self::Declined => sys::DECLINED,
            Self::Done => sys::DONE,
            Self::Http(status) => i32::from(status.as_u16()),
            Self::FilterError => sys::AP_FILTER_ERROR,
        }
    }

    /// From what a function of httpd's returned.
    #[must_use]
    pub(crate) fn from_raw(raw: i32) -> Self {
        match raw {
            sys::DECLINED => Self::Declined,
            sys::DONE => Self::Done,
            sys::AP_FILTER_ERROR => Self::FilterError,
            _ => u16::try_from(raw)
                .ok()
                .and_then(|code| StatusCode::from_u16(code).ok())
                .map_or(Self::Ok, Self::Http),
        }
    }
}
