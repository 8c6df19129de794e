//! The cases of the probe's body readers hold for services, too, which do not wait on the thread of
//! the request.

use httpd_testkit::mpm_tests;

use crate::case::{Case, Step, ok, talk};
use crate::embedded::Embedded;
use crate::{daemon, driver};

/// Returns the cases for the axum example: `/echo` reads the whole body, `/duplex` sends back each
/// piece.
fn cases() -> Vec<Case> {
    let head = |path: &str, fields: &str| {
        let text = format!("POST /api{path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        Step::Write(text.into_bytes())
    };
    vec![
        talk(
            "one 100 when a service reads the body",
            vec![
                head("/echo", "Content-Length: 5\r\nExpect: 100-continue"),
                Step::ReadInterim(100),
                Step::Write(b"hello".into()),
                Step::Read("POST", ok().text("hello")),
            ],
        ),
        talk(
            "one 100 when a service reads chunks",
            vec![
                head("/echo", "Transfer-Encoding: chunked\r\nExpect: 100-continue"),
                Step::ReadInterim(100),
                Step::Write(b"2\r\nab\r\n".into()),
                Step::Write(b"1\r\nc\r\n0\r\n\r\n".into()),
                Step::Read("POST", ok().text("abc")),
            ],
        ),
        talk(
            "one 100 and then both directions",
            vec![
                head("/duplex", "Transfer-Encoding: chunked\r\nExpect: 100-continue"),
                Step::ReadInterim(100),
                Step::Write(b"2\r\nab\r\n".into()),
                Step::ReadHead(ok()),
                Step::ReadChunk(b"ab"),
                Step::Write(b"1\r\nc\r\n".into()),
                Step::ReadChunk(b"c"),
                Step::Write(b"0\r\n\r\n".into()),
                Step::ReadLastChunk,
            ],
        ),
        talk(
            "a service that gives back each piece before the next is sent",
            vec![
                head("/duplex", "Content-Length: 6"),
                Step::Write(b"abc".into()),
                // The body that the service returns knows its length.
                Step::ReadHead(ok().header("Content-Length", "6")),
                Step::ReadBytes(b"abc"),
                Step::Write(b"def".into()),
                Step::ReadBytes(b"def"),
            ],
        ),
        talk(
            "a malformed chunk breaks a service's answer",
            vec![
                head("/duplex", "Transfer-Encoding: chunked"),
                Step::Write(b"2\r\nab\r\n".into()),
                Step::ReadHead(ok()),
                Step::ReadChunk(b"ab"),
                Step::Write(b"zz\r\n".into()),
                Step::ReadBroken,
            ],
        ),
    ]
}

mpm_tests! {
    fn services(mpm) {
        let builder = Embedded::builder().mpm(mpm).module("mod_axum.so");
        let target = Embedded::start(builder.conf("RustAppAlias /api api"));
        driver::run(&target, &cases());
    }

    fn services_in_a_process_group(mpm) {
        let builder = daemon::builder().mpm(mpm).module("mod_axum.so");
        let target = Embedded::start(builder.conf("RustAppAlias /api api"));
        driver::run(&target, &cases());
    }
}
