//! The status line that an application gives to `start_response`.

use http::StatusCode;

use super::error::{Error, ErrorKind, Result};
use super::header;

/// A final status, with the application's own reason phrase if it gave one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    code: StatusCode,
    reason: Option<&'a [u8]>,
}

impl<'a> Status<'a> {
    /// The status of a connection that switches to another protocol: no application gives it to
    /// `start_response`.
    pub(crate) const SWITCHING_PROTOCOLS: Self =
        Self { code: StatusCode::SWITCHING_PROTOCOLS, reason: None };

    /// Returns the status code.
    #[must_use]
    pub const fn code(self) -> StatusCode {
        self.code
    }

    /// Returns the reason phrase, if the application gave its own.
    #[must_use]
    pub const fn reason(self) -> Option<&'a [u8]> {
        self.reason
    }

    /// Tells whether a response with this status may have a body (RFC 9110, 6.4.1 and 15.3.6).
    #[must_use]
    pub fn has_body(self) -> bool {
        !matches!(
            self.code,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        )
    }

    /// Makes a status with an optional reason phrase.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidStatus`] unless `code` is final (200 to 599) and the phrase has no
    /// control characters.
    pub fn with_reason(code: StatusCode, reason: Option<&'a [u8]>) -> Result<Self> {
        if code.as_u16() < 200 || code.as_u16() > 599 {
            return Err(Error::of(
                ErrorKind::InvalidStatus,
                format!("status {} is not a final status (200 to 599)", code.as_u16()),
            ));
        }
        if let Some(reason) = reason
            && !header::is_value(reason)
        {
            return Err(Error::of(
                ErrorKind::InvalidStatus,
                format!(
                    "the reason phrase \"{}\" holds a control character",
                    reason.escape_ascii()
                ),
            ));
        }
        Ok(Self { code, reason })
    }
}

/// The types that `start_response` takes as a status: `200`, [`StatusCode::OK`], `"200 OK"` or a
/// [`Status`].
pub trait IntoStatus<'a> {
    /// Converts the value to a checked status.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidStatus`] unless the status is final, 200 to 599.
    fn into_status(self) -> Result<Status<'a>>;
}

impl<'a> IntoStatus<'a> for Status<'a> {
    fn into_status(self) -> Result<Self> {
        Ok(self)
    }
}

impl<'a> IntoStatus<'a> for StatusCode {
    fn into_status(self) -> Result<Status<'a>> {
        Status::with_reason(self, None)
    }
}

impl<'a> IntoStatus<'a> for u16 {
    fn into_status(self) -> Result<Status<'a>> {
        let code = StatusCode::from_u16(self).map_err(|_| {
            Error::of(ErrorKind::InvalidStatus, format!("status {self} is not 200 to 599"))
        })?;
        Status::with_reason(code, None)
    }
}

/// The form of PEP 3333: three digits, a space, a reason phrase.
impl<'a> IntoStatus<'a> for &'a str {
    fn into_status(self) -> Result<Status<'a>> {
        let (code, reason) = match self.split_once(' ') {
            Some((code, reason)) => (code, Some(reason.as_bytes())),
            None => (self, None),
        };
        let code = StatusCode::from_bytes(code.as_bytes()).map_err(|_| {
            Error::of(
                ErrorKind::InvalidStatus,
                format!(
                    "the status \"{}\" is not three digits, a space and a reason phrase",
                    self.escape_debug()
                ),
            )
        })?;
        Status::with_reason(code, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_every_form() {
        assert_eq!(200.into_status().unwrap().code(), StatusCode::OK);
        let status = "404 Gone fishing".into_status().unwrap();
        assert_eq!(status.code(), StatusCode::NOT_FOUND);
        assert_eq!(status.reason(), Some(&b"Gone fishing"[..]));
    }

    #[test]
    fn refuses_what_is_not_final() {
        for code in [0, 99, 100, 101, 199, 600, 999] {
            assert_eq!(code.into_status().unwrap_err().kind(), ErrorKind::InvalidStatus, "{code}");
        }
        for line in ["", "20 OK", "2000 OK", " 200 OK", "200 OK\r\nX: y", "200 a\0b"] {
            assert!(line.into_status().is_err(), "{line:?}");
        }
    }
}
