//! The one line that says why a request went wrong: the same codes as inside httpd.

use http::StatusCode;

use crate::gateway::{Error, ErrorKind, Level};

/// The level and the text for `error` of `application`; `what` says what comes of it.
#[must_use]
pub fn report(application: &str, error: &Error, what: &str) -> (Level, String) {
    let (level, code) = match error.kind() {
        ErrorKind::ClientGone => (Level::Debug, "RUST0003"),
        ErrorKind::InputTooLarge | ErrorKind::InputTimeout | ErrorKind::InputMalformed => {
            (Level::Info, "RUST0004")
        }
        ErrorKind::Output => (Level::Error, "RUST0011"),
        ErrorKind::Panic => (Level::Error, "RUST0002"),
        ErrorKind::Application if error.status() != StatusCode::INTERNAL_SERVER_ERROR => {
            (Level::Info, "RUST0005")
        }
        ErrorKind::Application => (Level::Error, "RUST0005"),
        ErrorKind::Resources => (Level::Error, "RUST0018"),
        _ => (Level::Error, "RUST0006"),
    };
    let text = if error.kind() == ErrorKind::ClientGone {
        format!("{code}: application {application}: {error}")
    } else {
        format!("{code}: application {application}: {error}; {what}")
    };
    (level, text)
}
