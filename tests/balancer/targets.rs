//! The requests of the load's clients.

use std::time::Duration;

use httpd_testkit::Response;

use crate::load::{Target, Upload};

/// The number of clients.
pub(crate) const CLIENTS: usize = 12;

/// Answered in one piece, so nothing excuses its loss.
pub(crate) const HELLO: &str = "/shop/hello";
/// On its way for a while before its answer begins: to be asked again too.
pub(crate) const WAIT: &str = "/shop/wait?ms=30";
/// May be broken off.
pub(crate) const STREAM: &str = "/shop/stream?chunks=10&size=1000&ms=10";

/// The allowed responses to a POST that cannot be repeated.
const LOST: &[u16] = &[502, 503, 504];

const fn get(path: &'static str, answer: fn(&Response) -> bool) -> Target {
    Target { method: "GET", path, body: None, answer, allowed: &[] }
}

/// For protocols whose end of an answer is marked.
pub(crate) const ALL: &[Target] = &[
    get(HELLO, |response| response.body == b"Hello, world\n"),
    Target {
        method: "POST",
        path: "/shop/echo",
        body: Some(Upload { pieces: 1, size: 10_000, pause: Duration::ZERO }),
        answer: |response| response.body == vec![b'u'; 10_000],
        allowed: LOST,
    },
    // On its way for a while, and answered at its end.
    Target {
        method: "POST",
        path: "/shop/discard",
        body: Some(Upload { pieces: 5, size: 2000, pause: Duration::from_millis(5) }),
        answer: |response| response.text().contains("\"length\": 10000,"),
        allowed: LOST,
    },
    get(WAIT, |response| response.body == b"waited 30 ms\n"),
    get(STREAM, |response| response.body == vec![b'x'; 10_000]),
];

/// For the others.
pub(crate) const SMALL: &[Target] = &[
    get(HELLO, |response| response.body == b"Hello, world\n"),
    get(WAIT, |response| response.body == b"waited 30 ms\n"),
];
