use std::sync::Arc;

use super::*;
use crate::gateway::app_fn;
use crate::server::site::{Mount, Mounts};

fn mounts() -> Mounts {
    Mounts::new(["/", "/probe"].map(|path| Mount {
        path: path.into(),
        name: path.into(),
        application: Arc::new(app_fn(|_, _| Ok(crate::Body::empty()))),
    }))
}

fn with(pairs: &[(&str, &str)], mode: Mode, check: impl FnOnce(&SiteEnviron<'_>)) {
    let mut params = Params::new();
    for (key, value) in pairs {
        params.push(key.as_bytes(), value.as_bytes());
    }
    let (facts, mounts) = (ProcessInfo::new(15, false, false), mounts());
    let (path, base) = SiteEnviron::locate(&params, &facts, mode);
    let mounted = mounts.find(&path[base..]).unwrap();
    check(&SiteEnviron::new(&params, &facts, mode, (path, base), mounted));
}

fn all(environ: &SiteEnviron<'_>) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut all = Vec::new();
    environ.each(&mut |key, value| all.push((text(key), text(value))));
    all.sort();
    all
}

#[test]
fn splits_the_path_at_the_mount() {
    for pairs in [
        &[("SCRIPT_NAME", "/probe/environ/x")][..],
        &[("PATH_INFO", "/probe/environ/x")],
        &[("SCRIPT_NAME", "/probe/environ"), ("PATH_INFO", "/x")],
    ] {
        with(pairs, Mode::FastCgi, |environ| {
            assert_eq!(environ.get(b"SCRIPT_NAME"), Some(&b"/probe"[..]));
            assert_eq!(environ.get(b"PATH_INFO"), Some(&b"/environ/x"[..]));
            assert_eq!(environ.get(b"mod_rust.mount_point"), Some(&b"/probe"[..]));
            assert_eq!(environ.get(b"mod_rust.application"), Some(&b"/probe"[..]));
        });
    }
    with(&[("SCRIPT_NAME", "/probe")], Mode::Scgi, |environ| {
        assert_eq!(environ.get(b"PATH_INFO"), None);
    });
    let pairs = [("SCRIPT_NAME", "/cgi-bin/gateway"), ("PATH_INFO", "/probe/x")];
    with(&pairs, Mode::Cgi, |environ| {
        assert_eq!(environ.get(b"SCRIPT_NAME"), Some(&b"/cgi-bin/gateway/probe"[..]));
        assert_eq!(environ.get(b"PATH_INFO"), Some(&b"/x"[..]));
        assert_eq!(environ.raw_target(), b"/cgi-bin/gateway/probe/x");
    });
}

#[test]
fn empty_and_dangerous_variables_are_absent() {
    let pairs = [
        ("SCRIPT_NAME", "/"),
        ("REQUEST_METHOD", "GET"),
        ("CONTENT_TYPE", ""),
        ("CONTENT_LENGTH", ""),
        ("REMOTE_USER", ""),
        ("HTTP_PROXY", "http://evil.example"),
        ("HTTP_X_EMPTY", ""),
        ("gateway.url_scheme", "gopher"),
        ("HTTPS", "on"),
    ];
    with(&pairs, Mode::FastCgi, |environ| {
        for key in ["CONTENT_TYPE", "CONTENT_LENGTH", "REMOTE_USER", "HTTP_PROXY"] {
            assert_eq!(environ.get(key.as_bytes()), None, "{key}");
            assert!(!all(environ).iter().any(|(known, _)| known == key), "{key}");
        }
        assert_eq!(environ.get(b"HTTP_X_EMPTY"), Some(&b""[..]));
        assert_eq!(environ.get(b"QUERY_STRING"), Some(&b""[..]));
        assert_eq!(environ.get(b"GATEWAY_INTERFACE"), Some(&b"CGI/1.1"[..]));
        assert_eq!(environ.get(b"gateway.url_scheme"), Some(&b"https"[..]));
        assert_eq!(environ.header(b"proxy"), None);
    });
    let scgi = |method| [("REQUEST_METHOD", method), ("CONTENT_LENGTH", "0"), ("PATH_INFO", "/")];
    with(&scgi("GET"), Mode::Scgi, |environ| assert_eq!(environ.get(b"CONTENT_LENGTH"), None));
    with(&scgi("POST"), Mode::Scgi, |environ| {
        assert_eq!(environ.get(b"CONTENT_LENGTH"), Some(&b"0"[..]));
    });
}

#[test]
fn each_is_what_get_gives() {
    let pairs =
        [("SCRIPT_NAME", "/probe/a"), ("UNIQUE_ID", "u1"), ("HTTP_HOST", "h"), ("HTTPS", "off")];
    with(&pairs, Mode::Uwsgi, |environ| {
        let all = all(environ);
        for (key, value) in &all {
            assert_eq!(environ.get(key.as_bytes()), Some(value.as_bytes()), "{key}");
        }
        assert!(all.windows(2).all(|two| two[0].0 < two[1].0), "a key twice: {all:?}");
        let get = |key| all.iter().find(|(known, _)| known == key).map(|(_, value)| &value[..]);
        assert_eq!(get("mod_rust.mode"), Some("uwsgi"));
        assert_eq!(get("mod_rust.request_id"), Some("u1"));
        assert_eq!(get("gateway.url_scheme"), Some("http"));
        assert_eq!(get("gateway.multithread"), Some("1"));
        assert_eq!(get("mod_rust.pid"), Some(&*std::process::id().to_string()));
        let frozen = environ.freeze(None);
        for (key, value) in &all {
            assert_eq!(frozen.get(key.as_bytes()).as_deref(), Some(value.as_bytes()), "{key}");
        }
        let mut count = 0;
        frozen.each(&mut |_, _| count += 1);
        assert_eq!(count, all.len());
    });
}

#[test]
fn headers_by_any_name() {
    let pairs = [
        ("PATH_INFO", "/"),
        ("HTTP_X_REAL_IP", "1"),
        ("CONTENT_TYPE", "a/b"),
        ("HTTP_ACCEPT", "*/*"),
        ("HTTP_AUTHORIZATION", "Basic x"),
    ];
    with(&pairs, Mode::FastCgi, |environ| {
        assert_eq!(environ.header(b"x-real-ip"), Some(&b"1"[..]));
        assert_eq!(environ.header(b"X_REAL_IP"), None);
        assert_eq!(environ.header(b"Content-Type"), Some(&b"a/b"[..]));
        assert_eq!(environ.header(b"authorization"), Some(&b"Basic x"[..]));
        assert_eq!(environ.header(&[b'a'; 300]), None);
        let mut names = Vec::new();
        environ.each_header(&mut |name, _| names.push(String::from_utf8_lossy(name).into_owned()));
        assert_eq!(names, ["X-Real-Ip", "Content-Type", "Accept", "Authorization"]);
    });
}

#[test]
fn ids_differ() {
    with(&[("PATH_INFO", "/")], Mode::Scgi, |one| {
        with(&[("PATH_INFO", "/")], Mode::Scgi, |other| {
            assert_ne!(one.id(), other.id());
            assert_eq!(one.id(), one.id());
        });
    });
}
