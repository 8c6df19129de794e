//! `/environ` and `/config`: what the application was given.

use std::collections::BTreeMap;

use mod_rust::{Environ, StartResponse};

use super::Probe;
use super::answer::{Answer, json};

/// Every key and value as a JSON object, sorted by key.
///
/// JSON holds text, the environ bytes: in the text, a byte that is not part of UTF-8 is written
/// `\xNN` and a backslash `\\`, so that no two values look the same. (JSON then writes each of
/// these backslashes as two.)
pub(super) fn environ<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let mut pairs = BTreeMap::new();
    environ.each(|key, value| {
        pairs.insert(escape(key), escape(value));
    });
    Ok(json(start_response, &pairs)?)
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
    use mod_rust::gateway::memory::Request;

    use super::super::Options;
    use super::*;

    #[test]
    fn escapes_what_is_not_utf_8() {
        assert_eq!(escape("Grüße\t\n".as_bytes()), "Grüße\t\n");
        assert_eq!(escape(b"gr\xfc\xdfe \xe2\x82"), r"gr\xfc\xdfe \xe2\x82");
        assert_eq!(escape(br"\xff"), r"\\xff");
    }

    #[test]
    fn every_key_is_there_in_order() {
        let response = Request::get("/environ/below?a=b")
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
