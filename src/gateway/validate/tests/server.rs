//! Rules of the server's side.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Validate, assert_blames, hello, valid};
use crate::gateway::memory::TestRequest;
use crate::gateway::run::run;
use crate::gateway::{
    Application, Body, Environ, Exchange, FileBody, Fill, Input, InputSource, Level, Outcome, Pace,
    Result, SharedVariables, StartResponse, Status, Variables,
};

#[test]
fn keys_that_must_be_there() {
    for key in [
        "REQUEST_METHOD",
        "SCRIPT_NAME",
        "SERVER_NAME",
        "SERVER_PORT",
        "QUERY_STRING",
        "gateway.version",
        "gateway.url_scheme",
        "gateway.input_terminated",
        "gateway.run_once",
    ] {
        let response = TestRequest::get("/").without(key).call(&Validate::new(hello));
        assert_blames(&response, "server", &format!("{key} is missing from the environ"));
    }
}

#[test]
fn keys_as_they_must_not_be() {
    for (key, value, rule) in [
        ("HTTP_CONTENT_TYPE", "text/plain", "it is CONTENT_TYPE"),
        ("HTTP_CONTENT_LENGTH", "0", "it is CONTENT_LENGTH"),
        ("HTTP_PROXY", "http://evil/", "CVE-2016-5385"),
        ("REQUEST_METHOD", "G E T", "REQUEST_METHOD is \"G E T\", and not a token"),
        ("SERVER_PORT", "http", "and not a number"),
        ("SERVER_NAME", "", "and not a name"),
        ("SERVER_PROTOCOL", "SPDY/3", "and not HTTP/ with a version"),
        ("SCRIPT_NAME", "app", "and not empty, or with a slash in front"),
        ("SCRIPT_NAME", "/", "SCRIPT_NAME is \"/\""),
        ("PATH_INFO", "x", "and not empty, or with a slash in front"),
        ("CONTENT_LENGTH", "+1", "and not a number of bytes"),
        ("CONTENT_LENGTH", "7", "CONTENT_LENGTH is 7, but the input says that it has 0 bytes"),
        ("gateway.version", "2", "and not the version of the contract"),
        ("gateway.url_scheme", "ftp", "and not http or https"),
        ("gateway.multithread", "True", "and not 0 or 1"),
        ("X=Y", "z", "cannot name a variable"),
        ("X", "a\0b", "holds a NUL"),
    ] {
        let response = TestRequest::get("/x").variable(key, value).call(&Validate::new(hello));
        assert_blames(&response, "server", rule);
    }
    let nowhere = TestRequest::get("/").without("PATH_INFO").call(&Validate::new(hello));
    assert_blames(&nowhere, "server", "both empty");
    let target = TestRequest::get("/a b").call(&Validate::new(hello));
    assert_blames(&target, "server", "cannot have stood on a request line");
    for (name, value, rule) in [
        ("X Y", "a", "its name is not a token"),
        ("X", "a\x01", "its value holds a control character"),
    ] {
        let response = TestRequest::get("/").header(name, value).call(&Validate::new(hello));
        assert_blames(&response, "server", rule);
    }
}

#[test]
fn the_input() {
    struct Odd(u32, &'static [&'static str], Option<u64>);
    impl InputSource for Odd {
        fn length(&self) -> Option<u64> {
            self.2
        }
        fn fill(&mut self, _wait: bool) -> Result<Fill<'_>> {
            Ok(match self.1.first().copied() {
                Some("wait") => Fill::NotYet,
                Some("end") | None => Fill::End,
                Some(data) => Fill::Data(data.as_bytes()),
            })
        }
        fn consume(&mut self, _amount: usize) {
            self.0 += 1;
            self.1 = &self.1[1..];
        }
    }
    struct Around<A>(A, &'static [&'static str], Option<u64>);
    impl<A: Application> Application for Around<A> {
        fn call<'x>(
            &self,
            mut environ: Environ<'x>,
            start_response: StartResponse<'x>,
        ) -> Result<Body<'x>> {
            environ.set_input(Input::from_source(Odd(0, self.1, self.2)));
            self.0.call(environ, start_response)
        }
    }
    let reads = |steps, length| {
        let app = valid(|mut environ, start_response| {
            let body = environ.input().read_all(100)?;
            start_response.start(200, super::TEXT)?;
            Ok(Body::from(body))
        });
        TestRequest::get("/").call(&Around(app, steps, length))
    };
    assert_eq!(reads(&["a", "bc"], Some(3)).text(), "abc");
    assert_eq!(reads(&["a", "bc"], None).text(), "abc");
    assert_blames(&reads(&["wait"], None), "server", "the input did not wait");
    assert_blames(&reads(&[""], None), "server", "the input gave no bytes");
    assert_blames(&reads(&["abc"], Some(2)), "server", "gave 3 bytes, and its length is 2");
    assert_blames(&reads(&["a"], Some(2)), "server", "ended after 1 bytes of 2, without an error");
}

#[test]
fn no_read_follows_the_end_of_the_body() {
    struct AsksOn<A>(A);
    struct Never;
    impl Pace for Never {
        fn may_wait(&mut self) -> Result<()> {
            Ok(())
        }
        fn must_wait(&mut self) -> Result<()> {
            Ok(())
        }
    }
    impl<A: Application> Application for AsksOn<A> {
        fn call<'x>(
            &self,
            environ: Environ<'x>,
            start_response: StartResponse<'x>,
        ) -> Result<Body<'x>> {
            let mut body = self.0.call(environ, start_response)?.into_stream()?;
            while body.next_chunk(&mut Never)?.is_some() {}
            body.next_chunk(&mut Never)?;
            Ok(Body::empty())
        }
    }
    let app = valid(|_environ, start_response| {
        start_response.start(200, super::TEXT)?;
        Ok(Body::from_chunks([Ok("x".into())]))
    });
    let response = TestRequest::get("/").call(&AsksOn(app));
    assert_blames(&response, "server", "asked for a chunk after the body's end");
}

/// An exchange whose ways to ask differ in what they tell.
struct Odd {
    each: &'static [(&'static str, &'static str)],
    headers: &'static [(&'static str, &'static str)],
    committed: Cell<bool>,
}

const RIGHT: [(&str, &str); 15] = [
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("QUERY_STRING", ""),
    ("REMOTE_ADDR", "::1"),
    ("REQUEST_METHOD", "GET"),
    ("SCRIPT_NAME", "/app"),
    ("SERVER_NAME", "localhost"),
    ("SERVER_PORT", "80"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("SERVER_SOFTWARE", "odd"),
    ("gateway.version", crate::gateway::environ::GATEWAY_VERSION),
    ("gateway.url_scheme", "http"),
    ("gateway.input_terminated", "1"),
    ("gateway.multithread", "0"),
    ("gateway.multiprocess", "0"),
    ("gateway.run_once", "0"),
];

impl Variables for Odd {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let (_, value) = RIGHT.iter().find(|(known, _)| known.as_bytes() == key)?;
        Some(value.as_bytes())
    }
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.each.iter().for_each(|(key, value)| visit(key.as_bytes(), value.as_bytes()));
    }
    fn header(&self, _name: &[u8]) -> Option<&[u8]> {
        None
    }
    fn each_header(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.headers.iter().for_each(|(name, value)| visit(name.as_bytes(), value.as_bytes()));
    }
    fn raw_target(&self) -> &[u8] {
        b"/app"
    }
}

impl Exchange for Odd {
    fn begin(&self, _status: Status<'_>) {}
    fn put_header(&self, _name: &[u8], _value: &[u8]) {}
    fn commit(&self, _length: Option<u64>) {
        self.committed.set(true);
    }
    fn write(&self, _data: Bytes) -> Result<()> {
        Ok(())
    }
    fn conditions(&self, _file: &FileBody) -> Option<StatusCode> {
        None
    }
    fn file(&self, _file: FileBody) -> Result<()> {
        Ok(())
    }
    fn flush(&self) -> Result<()> {
        Ok(())
    }
    fn finish(&self, _trailers: Option<HeaderMap>) -> Result<()> {
        Ok(())
    }
    fn logs(&self, _level: Level) -> bool {
        false
    }
    fn log(&self, _level: Level, _message: &str) {}
    fn share(&self) -> Arc<dyn SharedVariables> {
        unreachable!("no service is called")
    }
}

struct NoInput;

impl InputSource for NoInput {
    fn length(&self) -> Option<u64> {
        Some(0)
    }
    fn fill(&mut self, _wait: bool) -> Result<Fill<'_>> {
        Ok(Fill::End)
    }
    fn consume(&mut self, _amount: usize) {}
}

#[test]
fn one_by_one_and_all_together() {
    let with = |each: Vec<(&'static str, &'static str)>, headers| {
        let exchange = Odd { each: each.leak(), headers, committed: Cell::new(false) };
        match run(&Validate::new(hello), &exchange, &mut NoInput) {
            Outcome::Complete => String::new(),
            Outcome::Failed(error) if !exchange.committed.get() => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let of = |each| with(each, &[]);
    assert_eq!(of(RIGHT.to_vec()), "");
    let header = with(RIGHT.to_vec(), &[("Host", "localhost")]);
    assert!(header.contains("\"Host\": it is told with all, and not by itself"), "{header}");
    assert!(of(RIGHT[..14].to_vec()).contains("gateway.run_once is told by itself"));
    let mut other = RIGHT.to_vec();
    other[5].1 = "otherhost";
    assert!(of(other).contains("SERVER_NAME is told otherwise one by one"));
    let twice = [&RIGHT[..], &RIGHT[..1]].concat();
    assert!(of(twice).contains("GATEWAY_INTERFACE is twice in the environ"));
    let more = [&RIGHT[..], &[("X", "y")]].concat();
    assert!(of(more).contains("X is told otherwise one by one"));
}
