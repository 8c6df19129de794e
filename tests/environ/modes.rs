//! The environ of a daemon process against that of an httpd child: equal but for what says which
//! process runs the application.

use crate::ask::{Answer, Request, ask, over_tls};
use crate::hosts::{Other, start};
use crate::pairs::Pairs;
use crate::requests;

/// Both have these, with values of their own.
const DIFFER: &[(&str, &str)] = &[
    ("SERVER_ADDR", "the two listen at different addresses, so that all else is equal"),
    ("REMOTE_PORT", "each has a connection of its own"),
    ("UNIQUE_ID", "each request has its own"),
    ("REDIRECT_UNIQUE_ID", "as UNIQUE_ID"),
    ("H2_STREAM_TAG", "as REMOTE_PORT"),
    ("SSL_SESSION_ID", "each connection has its own"),
    ("mod_rust.request_id", "as UNIQUE_ID"),
    ("mod_rust.request_start", "each request has its own time"),
    ("mod_rust.pid", "an httpd child's or a daemon process's"),
];

/// Both have these, with these values.
const TELL: &[(&str, &str, &str)] = &[
    ("mod_rust.mode", "embedded", "daemon"),
    ("mod_rust.process_group", "", "environ"),
    // Several threads and several processes in either; neither ends after one request.
    ("gateway.multithread", "1", "1"),
    ("gateway.multiprocess", "1", "1"),
    ("gateway.run_once", "0", "0"),
];

/// Only daemon processes have these: how far the request was when, in microseconds since 1970.
const TIMES: [&str; 3] =
    ["mod_rust.queue_start", "mod_rust.daemon_start", "mod_rust.application_start"];

/// Returns the differences that are not allowed.
fn between(embedded: &Pairs, daemon: &Pairs) -> Vec<String> {
    let mut found = Vec::new();
    let show = |pairs: &Pairs, name: &[u8]| match pairs.get(name) {
        Some(value) => format!("\"{}\"", value.escape_ascii()),
        None => "nothing".to_owned(),
    };
    let names: std::collections::BTreeSet<_> = embedded.keys().chain(daemon.keys()).collect();
    for name in names {
        let is = |other: &str| other.as_bytes() == name.as_slice();
        let both = (embedded.get(name), daemon.get(name));
        let is_fine = if TIMES.iter().any(|time| is(time)) {
            both.0.is_none() && both.1.is_some()
        } else if let Some((_, here, there)) = TELL.iter().find(|(tells, _, _)| is(tells)) {
            both == (Some(&here.as_bytes().to_vec()), Some(&there.as_bytes().to_vec()))
        } else if DIFFER.iter().any(|(differs, _)| is(differs)) {
            both.0.is_some() && both.1.is_some()
        } else {
            both.0 == both.1
        };
        if !is_fine {
            let (here, there) = (show(embedded, name), show(daemon, name));
            found.push(format!("{} is {here} embedded and {there} there", name.escape_ascii()));
        }
    }
    for must in TIMES.iter().chain(TELL.iter().map(|(name, _, _)| name)) {
        if !daemon.contains_key(must.as_bytes()) {
            found.push(format!("a daemon process has no {must}"));
        }
    }
    let number = |pairs: &Pairs, name: &str| -> Option<u64> {
        std::str::from_utf8(pairs.get(name.as_bytes())?).ok()?.parse().ok()
    };
    let start = number(daemon, "mod_rust.request_start");
    let times: Vec<_> =
        std::iter::once(start).chain(TIMES.map(|name| number(daemon, name))).collect();
    if times.contains(&None) || !times.is_sorted() {
        found.push(format!("times that do not follow each other: {times:?}"));
    }
    if embedded.get(&b"mod_rust.pid"[..]) == daemon.get(&b"mod_rust.pid"[..]) {
        found.push("one process has answered both".into());
    }
    found
}

/// Runs the requests, fails with every difference, and returns how many environs there were.
fn compare(requests: &[Request], mut both: impl FnMut(&Request) -> [Answer; 2]) -> usize {
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for request in requests {
        let [embedded, daemon] = both(request);
        let found = match (&embedded.environ, &daemon.environ) {
            (Some(embedded), Some(daemon)) => {
                compared += 1;
                between(embedded, daemon)
            }
            // Both refuse it alike, with the same words.
            (None, None) if embedded.status == daemon.status && embedded.says(&daemon) => {
                Vec::new()
            }
            _ => vec![format!("embedded is answered {embedded:?}\nand there {daemon:?}")],
        };
        if !found.is_empty() {
            wrong.push(format!("{request:?}\n    {}", found.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "{} requests differ:\n{}", wrong.len(), wrong.join("\n"));
    compared
}

#[test]
fn a_daemon_process_has_that_of_an_httpd_child() {
    let server = start(Other::Daemon);
    let requests = requests::all();
    assert!(requests.len() > 300, "{}", requests.len());
    let compared = compare(&requests, |request| ask(&server, Other::Daemon, request));
    assert!(compared >= 200, "only {compared} of {} requests were answered", requests.len());
}

#[test]
fn a_daemon_process_has_that_of_an_httpd_child_over_tls_and_http_2() {
    let server = start(Other::Daemon);
    let requests = requests::over_tls();
    for version in ["--http1.1", "--http2"] {
        let both = |request: &Request| over_tls(&server, Other::Daemon, version, request);
        assert_eq!(compare(&requests, both), requests.len());
    }
}

#[test]
fn finds_what_differs() {
    let pairs = |text: &str| -> Pairs {
        let own = TELL.iter().map(|(name, here, there)| (*name, here, there));
        let mode = usize::from(text.starts_with("daemon"));
        let mut pairs: Pairs = own
            .map(|(name, here, there)| (name.into(), [*here, *there][mode].into()))
            .chain([(b"mod_rust.request_start".to_vec(), b"1".to_vec())])
            .collect();
        for name in TIMES.iter().take(3 * mode) {
            pairs.insert((*name).into(), b"2".to_vec());
        }
        for pair in text.split(' ').skip(1) {
            let (name, value) = pair.split_once('=').expect("a pair");
            pairs.insert(name.into(), value.into());
        }
        pairs
    };
    let found = |embedded: &str, daemon: &str| between(&pairs(embedded), &pairs(daemon)).len();
    let embedded = "embedded A=1 mod_rust.pid=7";
    assert_eq!(found(embedded, "daemon A=1 mod_rust.pid=8"), 0);
    assert_eq!(found(embedded, "daemon A=2 mod_rust.pid=8"), 1);
    assert_eq!(found(embedded, "daemon mod_rust.pid=8 B=1"), 2);
    assert_eq!(found(embedded, "daemon A=1 mod_rust.pid=7"), 1);
    assert_eq!(found(embedded, "daemon A=1 mod_rust.pid=8 mod_rust.mode=embedded"), 1);
    assert_eq!(found(embedded, "daemon A=1 mod_rust.pid=8 mod_rust.daemon_start=9"), 1);
}
