//! `/log`: one record in the server's log.

use std::io::Write;

use ::log::log as record;
use mod_rust::gateway::Level;
use mod_rust::{Environ, Error, StartResponse};

use super::Probe;
use super::answer::{Answer, Refusal, text};
use super::query::Query;

/// `/log?level=…&text=…&via=…`: the text at that level (info) through the environ, through its
/// errors stream (which knows the level error only), or through the crate `log`.
pub(super) fn log<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let query = Query::of(&environ);
    let line = query.get("text").unwrap_or(b"the probe was asked for a log line".into());
    let given = query.get("level").unwrap_or(b"info".into());
    let (level, log_level) = match &*given {
        b"error" => (Level::Error, ::log::Level::Error),
        b"warn" => (Level::Warn, ::log::Level::Warn),
        b"info" => (Level::Info, ::log::Level::Info),
        b"debug" => (Level::Debug, ::log::Level::Debug),
        b"trace" => (Level::Trace, ::log::Level::Trace),
        other => {
            return Err(Refusal::bad_request(format!(
                "level is \"{}\"; allowed are error, warn, info, debug and trace",
                other.escape_ascii()
            )));
        }
    };
    match query.get("via").as_deref() {
        None | Some(b"environ") => environ.log(level, String::from_utf8_lossy(&line)),
        Some(b"errors") => environ.errors().write_all(&line).map_err(Error::from)?,
        Some(b"log") => record!(target: "probe", log_level, "{}", String::from_utf8_lossy(&line)),
        Some(other) => {
            return Err(Refusal::bad_request(format!(
                "via is \"{}\"; allowed are environ, errors and log",
                other.escape_ascii()
            )));
        }
    }
    Ok(text(start_response, 200, "logged, if the server's log takes that level\n")?)
}

#[cfg(test)]
mod tests {
    use super::super::get;
    use super::*;

    #[test]
    fn each_level_through_the_environ() {
        for (name, level) in [
            ("error", Level::Error),
            ("warn", Level::Warn),
            ("info", Level::Info),
            ("debug", Level::Debug),
            ("trace", Level::Trace),
        ] {
            let response = get(&format!("/log?level={name}&text=a%20b"));
            assert_eq!(response.status(), 200);
            assert_eq!(response.log(), [(level, "a b".to_owned())]);
        }
    }

    #[test]
    fn lines_through_the_errors_stream() {
        let response = get("/log?via=errors&text=one%0Atwo");
        let lines = ["one", "two"].map(|line| (Level::Error, line.to_owned()));
        assert_eq!(response.log(), lines);
    }

    #[test]
    fn unknown_words_are_refused() {
        for query in ["level=loud", "via=post"] {
            let response = get(&format!("/log?{query}"));
            assert_eq!(response.status(), 400);
            assert!(response.text().contains("allowed are "), "{}", response.text());
            assert!(response.log().is_empty());
        }
    }
}
