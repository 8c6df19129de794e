use std::sync::Arc;

use super::*;
use crate::gateway::app_fn;
use crate::protocol::params::Params;
use crate::server::site::mounts::NOBODY;
use crate::server::site::{Mode, Mount, Mounts, ProcessInfo};

fn format(
    format: &str,
    params: &Params,
    mounts: &Mounts,
    (status, bytes): (Option<StatusCode>, u64),
) -> String {
    let facts = ProcessInfo::new(15, false, false);
    let (path, base) = SiteEnviron::locate(params, &facts, Mode::Scgi);
    let mounted = mounts.find(&path[base..]).unwrap_or(NOBODY);
    let environ = SiteEnviron::new(params, &facts, Mode::Scgi, (path, base), mounted);
    let answer = Answer { status, bytes, duration_us: 2_345_678 };
    AccessFormat::parse(format).unwrap().line(&environ, answer)
}

fn line(text: &str, status: Option<StatusCode>, bytes: u64) -> String {
    let mut params = Params::new();
    for (key, value) in [
        (&b"REMOTE_ADDR"[..], &b"192.0.2.1"[..]),
        (b"REMOTE_USER", b"jo \"x\"\n"),
        (b"REQUEST_METHOD", b"GET"),
        (b"REQUEST_URI", b"/a%20b?c=1"),
        (b"PATH_INFO", b"/a b"),
        (b"QUERY_STRING", b"c=1"),
        (b"SERVER_PROTOCOL", b"HTTP/1.1"),
        (b"SERVER_NAME", b"shop.example"),
        (b"SERVER_PORT", b"81"),
        (b"UNIQUE_ID", b"id-1"),
        (b"HTTP_USER_AGENT", b"a\\b\xff\x1b[1m"),
        (b"COLOUR", b"red"),
    ] {
        params.push(key, value);
    }
    let application: Arc<dyn crate::Application> =
        Arc::new(app_fn(|_, _| Ok(crate::Body::empty())));
    let mounts = Mounts::new([Mount { path: "/".into(), name: "shop".into(), application }]);
    format(text, &params, &mounts, (status, bytes))
}

/// Each field of a request that was refused has a value, so that a reader can count the fields.
#[test]
fn a_refused_request_has_all_fields() {
    let refused = (Some(StatusCode::BAD_REQUEST), 0);
    let letters = "%h %u %r %m %U%q %H %s %b %v %p %R %{Referer}i %{NONE}e";
    let made = format(letters, &Params::new(), &Mounts::default(), refused);
    assert_eq!(made, "- - - - - - - - 400 - - - - - -\n");
}

const OK: Option<StatusCode> = Some(StatusCode::OK);

#[test]
fn letters_are_httpds() {
    let pid = std::process::id().to_string();
    for (format, expected) in [
        ("%h %a %l", "192.0.2.1 192.0.2.1 -"),
        ("[%u]", "[jo \\\"x\\\"\\n]"),
        ("%r|%m %U%q %H", "GET /a%20b?c=1 HTTP/1.1|GET /a b?c=1 HTTP/1.1"),
        ("%s %>s %b %B", "200 200 12 12"),
        ("%D %T %{s}T %{ms}T %{us}T", "2345678 2 2 2345 2345678"),
        ("%v:%p %P", &format!("shop.example:81 {pid}")),
        ("%R %L", "shop id-1"),
        ("%{User-Agent}i|%{Referer}i", "a\\\\b\\xff\\u{1b}[1m|-"),
        ("%{COLOUR}e %{NONE}e %{mod_rust.mode}e", "red - scgi"),
        ("100%% \\\"\\t\\\\ \\n", "100% \"\t\\ \\n"),
    ] {
        assert_eq!(line(format, OK, 12), format!("{expected}\n"), "{format}");
    }
    assert_eq!(line("%s %>s %b %B", None, 0), "- - - 0\n");
    let time = line("%t", OK, 0);
    assert!(time.starts_with('[') && time.ends_with(" +0000]\n") && time.len() == 29, "{time}");
}

#[test]
fn combined_is_the_default() {
    let line = |format| {
        let line = line(format, OK, 12);
        let (front, rest) = line.split_once('[').unwrap();
        format!("{front}{}", rest.split_once(']').unwrap().1)
    };
    let expected = "192.0.2.1 - jo \\\"x\\\"\\n  \"GET /a%20b?c=1 HTTP/1.1\" 200 12";
    assert_eq!(line("common"), format!("{expected}\n"));
    assert_eq!(line("combined"), format!("{expected} \"-\" \"a\\\\b\\xff\\u{{1b}}[1m\"\n"));
    assert!(matches!(AccessFormat::default().0, Form::Pieces(_)));
}

#[test]
fn json_is_an_object_a_line() {
    let made = line("json", OK, 12);
    assert_eq!(made.matches('\n').count(), 1, "{made}");
    let value: serde_json::Value = serde_json::from_str(&made).unwrap();
    for (name, expected) in [
        ("client", "192.0.2.1".into()),
        ("user", "jo \"x\"\n".into()),
        ("method", "GET".into()),
        ("host", serde_json::Value::Null),
        ("target", "/a%20b?c=1".into()),
        ("status", 200.into()),
        ("bytes", 12.into()),
        ("duration_us", 2_345_678.into()),
        ("referer", serde_json::Value::Null),
        ("user_agent", "a\\\\b\\xff\u{1b}[1m".into()),
        ("application", "shop".into()),
    ] {
        assert_eq!(value[name], expected, "{name} in {made}");
    }
    let time = value["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    let made = line("json", None, 0);
    assert!(serde_json::from_str::<serde_json::Value>(&made).unwrap()["status"].is_null());
}

#[test]
fn mistakes_are_told() {
    for (format, expected) in [
        ("comined", "expected combined, common, json, or a format"),
        ("%Z", "\"%Z\" is not known; expected"),
        ("%{Referer", "\"%{Referer\" is not known"),
        ("%{h}h", "is not known"),
        ("%{}i", "is not known"),
        ("%>t", "is not known"),
        ("a%", "\"%\" is not known"),
        ("%h\n%h", "a line break"),
    ] {
        let error = AccessFormat::parse(format).unwrap_err();
        assert!(error.contains(expected), "{format}: {error}");
    }
}
