//! The check of the environ, the server's description of the request.

use std::collections::BTreeMap;

use super::rules::server;
use crate::gateway::environ::{Environ, GATEWAY_VERSION};
use crate::gateway::error::Result;
use crate::gateway::header;

/// Meta-variables that a server must set (RFC 3875, 4.1).
const REQUIRED: [&str; 9] = [
    "GATEWAY_INTERFACE",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
];

/// Forbidden meta-variables, with the reason.
const FORBIDDEN: [(&str, &str); 3] = [
    ("HTTP_CONTENT_TYPE", "it is CONTENT_TYPE (RFC 3875, 4.1.18)"),
    ("HTTP_CONTENT_LENGTH", "it is CONTENT_LENGTH (RFC 3875, 4.1.18)"),
    ("HTTP_PROXY", "a client could name a proxy for what the application sends (CVE-2016-5385)"),
];

const FLAGS: [&str; 4] =
    ["gateway.input_terminated", "gateway.multithread", "gateway.multiprocess", "gateway.run_once"];

/// Checks an environ with its headers and its input.
///
/// # Errors
///
/// Returns the first violation by the server.
pub(super) fn check(environ: &mut Environ<'_>) -> Result<()> {
    let length = environ.input().length();
    for key in REQUIRED {
        if environ.get(key).is_none() {
            return Err(server(format!("{key} is missing from the environ (RFC 3875, 4.1)")));
        }
    }
    for (key, why) in FORBIDDEN {
        if environ.get(key).is_some() {
            return Err(server(format!("{key} is in the environ: {why}")));
        }
    }
    check_request(environ)?;
    check_path(environ)?;
    check_length(environ, length)?;
    check_gateway(environ)?;
    check_keys(environ)?;
    check_headers(environ)
}

fn check_request(environ: &Environ<'_>) -> Result<()> {
    check_value(environ, "REQUEST_METHOD", "a token (RFC 9110, 9.1)", header::is_token)?;
    check_value(environ, "SERVER_PORT", "a number (RFC 3875, 4.1.15)", is_number)?;
    check_value(environ, "SERVER_NAME", "a name (RFC 3875, 4.1.14)", |name| !name.is_empty())?;
    check_value(
        environ,
        "SERVER_PROTOCOL",
        "HTTP/ with a version, or INCLUDED (RFC 3875, 4.1.16)",
        |protocol| protocol == b"INCLUDED" || protocol.starts_with(b"HTTP/"),
    )?;
    let target = environ.raw_target();
    if target.is_empty() || target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Err(server(format!(
            "the raw target \"{}\" cannot have stood on a request line (RFC 9112, 3.2)",
            target.escape_ascii()
        )));
    }
    Ok(())
}

fn check_path(environ: &Environ<'_>) -> Result<()> {
    let slash = "empty, or with a slash in front (PEP 3333, environ Variables)";
    let is_path = |path: &[u8]| path.is_empty() || path.starts_with(b"/");
    check_value(environ, "SCRIPT_NAME", slash, is_path)?;
    check_value(environ, "PATH_INFO", slash, is_path)?;
    if environ.script_name() == b"/" {
        return Err(server(
            "SCRIPT_NAME is \"/\": it is to be empty, and PATH_INFO \"/\" (wsgiref.validate)",
        ));
    }
    if environ.script_name().is_empty() && environ.path_info().is_empty() {
        return Err(server(
            "SCRIPT_NAME and PATH_INFO are both empty: PATH_INFO is to be \"/\" at least \
             (wsgiref.validate)",
        ));
    }
    Ok(())
}

fn check_length(environ: &Environ<'_>, length: Option<u64>) -> Result<()> {
    // An empty CONTENT_LENGTH counts as absent (RFC 3875, 4.1.2).
    let Some(given) = environ.get("CONTENT_LENGTH").filter(|value| !value.is_empty()) else {
        return Ok(());
    };
    check_value(environ, "CONTENT_LENGTH", "a number of bytes (RFC 3875, 4.1.2)", is_number)?;
    let given = header::content_length(given).map_err(server)?;
    match length {
        Some(length) if length != given => Err(server(format!(
            "CONTENT_LENGTH is {given}, but the input says that it has {length} bytes \
             (RFC 3875, 4.1.2)"
        ))),
        _ => Ok(()),
    }
}

fn check_gateway(environ: &Environ<'_>) -> Result<()> {
    let required = |key: &str| match environ.get(key) {
        Some(_) => Ok(()),
        None => {
            Err(server(format!("{key} is missing from the environ (PEP 3333, environ Variables)")))
        }
    };
    for key in ["gateway.version", "gateway.url_scheme"].iter().chain(&FLAGS) {
        required(key)?;
    }
    check_value(environ, "gateway.version", "the version of the contract (PEP 3333)", |version| {
        version == GATEWAY_VERSION.as_bytes()
    })?;
    check_value(
        environ,
        "gateway.url_scheme",
        "http or https (PEP 3333, environ Variables)",
        |scheme| scheme == b"http" || scheme == b"https",
    )?;
    for key in FLAGS {
        check_value(environ, key, "0 or 1 (docs/environ.md)", |flag| flag == b"0" || flag == b"1")?;
    }
    Ok(())
}

/// Checks that `each` and `get` agree, and that each key comes once.
fn check_keys(environ: &Environ<'_>) -> Result<()> {
    let mut seen = BTreeMap::new();
    let mut twice = None;
    environ.each(|key, value| {
        if seen.insert(key.to_vec(), value.to_vec()).is_some() {
            twice = Some(key.to_vec());
        }
    });
    if let Some(key) = twice {
        return Err(server(format!(
            "{} is twice in the environ (gateway::Variables::each)",
            key.escape_ascii()
        )));
    }
    for (key, value) in &seen {
        let shown = key.escape_ascii();
        if key.is_empty() || key.iter().any(|byte| matches!(byte, b'=' | 0)) {
            return Err(server(format!("\"{shown}\" cannot name a variable (RFC 3875, 4.1)")));
        }
        if value.contains(&0) {
            return Err(server(format!("the value of {shown} holds a NUL (RFC 3875, 4.1)")));
        }
        if environ.get(key) != Some(value) {
            return Err(server(format!(
                "{shown} is told otherwise one by one than with all (gateway::Variables)"
            )));
        }
    }
    for key in REQUIRED.iter().chain(&FLAGS) {
        if !seen.contains_key(key.as_bytes()) {
            return Err(server(format!(
                "{key} is told by itself, and not with all (gateway::Variables)"
            )));
        }
    }
    Ok(())
}

fn check_headers(environ: &Environ<'_>) -> Result<()> {
    let mut bad = None;
    environ.each_header(|name, value| {
        let wrong = if !header::is_token(name) {
            "its name is not a token (RFC 9110, 5.1)"
        } else if !header::is_value(value) {
            "its value holds a control character (RFC 9110, 5.5)"
        } else if environ.header(name).is_none() {
            "it is told with all, and not by itself (gateway::Variables)"
        } else {
            return;
        };
        bad.get_or_insert_with(|| {
            server(format!("request header \"{}\": {wrong}", name.escape_ascii()))
        });
    });
    bad.map_or(Ok(()), Err)
}

/// Checks the value of `key`, if it has one.
fn check_value(
    environ: &Environ<'_>,
    key: &str,
    what: &str,
    is: impl Fn(&[u8]) -> bool,
) -> Result<()> {
    match environ.get(key) {
        Some(value) if !is(value) => {
            Err(server(format!("{key} is \"{}\", and not {what}", value.escape_ascii())))
        }
        _ => Ok(()),
    }
}

fn is_number(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}
