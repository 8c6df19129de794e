//! `/environ` and `/config`: what the application was given.

use std::collections::{BTreeMap, BTreeSet};

use mod_rust::{Environ, Error, StartResponse};

use super::Probe;
use super::answer::{Answer, json};

/// Every key and value as a JSON object, sorted by key. Each is the same whether it is asked for
/// alone or with all others, or the answer is an error.
///
/// JSON holds text, the environ bytes: in the text, a byte that is not part of UTF-8 is written
/// `\xNN` and a backslash `\\`, so that no two values look the same. (JSON then writes each of
/// these backslashes as two.)
pub(super) fn environ<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    // Before the others are collected: a server has shorter ways to these.
    let typed = [
        ("REQUEST_METHOD", environ.method()),
        ("SCRIPT_NAME", environ.script_name()),
        ("PATH_INFO", environ.path_info()),
        ("QUERY_STRING", environ.query_string()),
    ];
    let typed = typed.map(|(key, value)| (key.as_bytes(), value.to_vec()));
    let alone: Vec<_> = likely_keys(&environ)
        .into_iter()
        .map(|key| {
            let value = environ.get(&key).map(<[u8]>::to_vec);
            (key, value)
        })
        .collect();
    let mut all = BTreeMap::new();
    let mut twice = None;
    environ.each(|key, value| {
        if all.insert(key.to_vec(), value.to_vec()).is_some() {
            twice = Some(key.to_vec());
        }
    });
    if let Some(key) = twice {
        return Err(Error::new(format!("the environ has {} twice", key.escape_ascii())).into());
    }
    let afterwards = all.keys().map(|key| (key.clone(), environ.get(key).map(<[u8]>::to_vec)));
    for (key, value) in alone.into_iter().chain(afterwards) {
        agree(&key, value.as_deref(), all.get(&key).map(Vec::as_slice))?;
    }
    for (key, value) in typed {
        let said = all.get(key).map(Vec::as_slice).unwrap_or_default();
        agree(key, Some(&value), Some(said))?;
    }
    let pairs: BTreeMap<_, _> =
        all.iter().map(|(key, value)| (escape(key), escape(value))).collect();
    Ok(json(start_response, &pairs)?)
}

/// Keys that a request may have, and for which a server need not make the others.
fn likely_keys(environ: &Environ<'_>) -> BTreeSet<Vec<u8>> {
    let mut keys: BTreeSet<Vec<u8>> = KEYS.iter().map(|key| key.as_bytes().to_vec()).collect();
    environ.each_header(|name, _| {
        let name = name.iter().map(|byte| if *byte == b'-' { b'_' } else { *byte });
        let name: Vec<u8> = name.map(|byte| byte.to_ascii_uppercase()).collect();
        keys.insert([b"HTTP_", name.as_slice()].concat());
    });
    keys
}

/// RFC 3875's and some more, present or not.
const KEYS: &[&str] = &[
    "AUTH_TYPE",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "DOCUMENT_ROOT",
    "GATEWAY_INTERFACE",
    "HTTPS",
    "HTTP_",
    "HTTP_AUTHORIZATION",
    "HTTP_HOST",
    "HTTP_PROXY",
    "HTTP_X_ABSENT",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REMOTE_PORT",
    "REMOTE_USER",
    "REQUEST_METHOD",
    "REQUEST_SCHEME",
    "REQUEST_URI",
    "SCRIPT_FILENAME",
    "SCRIPT_NAME",
    "SERVER_ADDR",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
    "UNIQUE_ID",
    "absent",
    "gateway.absent",
    "gateway.multithread",
    "gateway.url_scheme",
    "mod_rust.absent",
    "mod_rust.application",
    "mod_rust.mount_point",
    "mod_rust.request_id",
    "request_method",
];

fn agree(key: &[u8], alone: Option<&[u8]>, among_all: Option<&[u8]>) -> mod_rust::Result<()> {
    if alone == among_all {
        return Ok(());
    }
    let show = |value: Option<&[u8]>| match value {
        Some(value) => format!("\"{}\"", value.escape_ascii()),
        None => "nothing".into(),
    };
    Err(Error::new(format!(
        "the environ's {} is {} when asked for alone, and {} among all",
        key.escape_ascii(),
        show(alone),
        show(among_all)
    )))
}

/// The mount's options as a JSON object.
pub(super) fn config<'x>(
    probe: &Probe,
    _environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    Ok(json(start_response, &probe.options)?)
}

fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                other => text.push(other),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use mod_rust::gateway::memory::TestRequest;

    use super::super::Options;
    use super::*;

    #[test]
    fn escapes_what_is_not_utf_8() {
        assert_eq!(escape("Grüße\t\n".as_bytes()), "Grüße\t\n");
        assert_eq!(escape(b"gr\xfc\xdfe \xe2\x82"), r"gr\xfc\xdfe \xe2\x82");
        assert_eq!(escape(br"\xff"), r"\\xff");
    }

    #[test]
    fn says_where_the_environ_disagrees() {
        assert!(agree(b"A", Some(b"x"), Some(b"x")).is_ok() && agree(b"A", None, None).is_ok());
        let error = agree(b"A", None, Some(b"x\xff")).unwrap_err();
        let expected = r#"the environ's A is nothing when asked for alone, and "x\xff" among all"#;
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn every_key_is_there_in_order() {
        let response = TestRequest::get("/environ/below?a=b")
            .header("X-Raw", b"\xe4\\")
            .call(&Probe::new(Options::default()));
        assert_eq!(response.header("cache-control"), Some(&b"no-store"[..]));
        let text = response.text();
        let keys: Vec<_> = text.lines().filter_map(|line| line.split('"').nth(1)).collect();
        assert!(keys.is_sorted() && keys.len() > 10, "{keys:?}");
        let environ: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
        assert_eq!(environ["PATH_INFO"], "/environ/below");
        assert_eq!(environ["QUERY_STRING"], "a=b");
        assert_eq!(environ["HTTP_X_RAW"], r"\xe4\\");
    }
}
