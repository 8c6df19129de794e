//! Rules of the application's side.

use std::io::{BufRead, Read};

use bytes::Bytes;

use super::{TEXT, assert_blames, broken, valid};
use crate::gateway::memory::TestRequest;
use crate::gateway::{
    Body, BodyStream, Error, ErrorKind, FileBody, Pace, Result, StartResponse, Writer,
};

#[track_caller]
fn assert_refused(
    f: impl for<'x> Fn(crate::gateway::Environ<'x>, StartResponse<'x>) -> Result<Body<'x>>
    + Send
    + Sync
    + 'static,
    rule: &str,
) {
    let response = TestRequest::new("POST", "/").chunk("input").call(&valid(f));
    assert_blames(&response, "application", rule);
}

#[test]
fn start_response_once_and_before_the_body() {
    assert_refused(|_, _| Ok(Body::from("x")), "the body comes without start_response");
    assert_refused(|_, _| Ok(Body::empty()), "the body comes without start_response");
    assert_refused(
        |_, _| Ok(Body::from_chunks([Ok("x".into())])),
        "the body comes without start_response",
    );
    assert_refused(|_, _| Ok(Body::from_chunks([])), "the body comes without start_response");
    assert_refused(
        |_, start_response| {
            start_response.start(200, TEXT)?;
            // It is found also if the application does not care.
            let _ = start_response.start(200, TEXT);
            Ok(Body::from("x"))
        },
        "start_response was called a second time",
    );
    assert_refused(
        |_, start_response| {
            start_response.start(200, TEXT)?;
            Ok(Body::internal_redirect("/x"))
        },
        "an internal redirect follows start_response",
    );
}

#[test]
fn it_may_be_called_again_to_replace() {
    let app = valid(|_environ, start_response| {
        start_response.start(204, [("X-A", "b")])?;
        start_response.replace(500, TEXT, Error::new("no"))?;
        Ok(Body::from("sorry"))
    });
    let response = TestRequest::get("/").call(&app);
    assert!(response.is_complete());
    assert_eq!((response.status().as_u16(), response.header("x-a")), (500, None));
}

#[test]
fn headers() {
    type Headers = &'static [(&'static str, &'static str)];
    let refused: [(u16, Headers, &str); 10] = [
        (200, &[("X Y", "a")], "its name is not a token"),
        (200, &[("X", "a\nb")], "its value holds a control character"),
        (200, &[("Connection", "close")], "belongs to the connection"),
        (200, &[("X-", "a")], "ends in a hyphen or underscore"),
        (200, &[("X_", "a")], "ends in a hyphen or underscore"),
        (200, &[("X", " a")], "starts or ends in white space"),
        (200, &[("Content-Type", "a/b"), ("content-type", "a/b")], "Content-Type is given twice"),
        (200, &[("Content-Length", "x")], "is not a number of bytes"),
        (304, &[("Content-Type", "a/b")], "a 304 response has a Content-Type, and no content"),
        (204, &[("Content-Length", "0")], "a 204 response has a Content-Length"),
    ];
    for (status, headers, rule) in refused {
        assert_refused(
            move |_, start_response: StartResponse<'_>| {
                start_response.start(status, headers.iter().copied())?;
                Ok(Body::empty())
            },
            rule,
        );
    }
    assert_refused(
        |_, start_response| {
            start_response.start(200, [("X-A", "b")])?;
            Ok(Body::from("x"))
        },
        "a 200 response with content has no Content-Type (RFC 9110, 8.3)",
    );
}

#[test]
fn content_and_its_length() {
    let with = |length: &'static str, body: fn() -> Body<'static>| {
        move |_: crate::gateway::Environ<'_>, start_response: StartResponse<'_>| {
            let headers = [("Content-Type", "text/plain"), ("Content-Length", length)];
            start_response.start(200, headers)?;
            Ok(body())
        }
    };
    let full = || Body::from("12345");
    let stream = || Body::from_ready([Ok("123".into()), Ok("45".into())]);
    for (length, rule) in
        [("4", "Content-Length is 4, but 5 bytes were"), ("6", "is 6, but only 5 bytes were given")]
    {
        assert_blames(
            &TestRequest::get("/").call(&valid_fn(with(length, full))),
            "application",
            rule,
        );
        assert_blames(
            &TestRequest::get("/").call(&valid_fn(with(length, stream))),
            "application",
            rule,
        );
    }
    assert!(TestRequest::get("/").call(&valid_fn(with("5", stream))).is_complete());
    assert_blames(
        &TestRequest::get("/").call(&valid_fn(with("5", || {
            Body::from_ready([Ok("12345".into())]).with_length(Some(4))
        }))),
        "application",
        "Content-Length is 5, but the body says that it has 4 bytes",
    );
    assert_refused(
        |_, start_response| {
            start_response.start(304, [("X-A", "b")])?;
            Ok(Body::from("x"))
        },
        "a 304 response has no content, but 1 bytes were given",
    );
}

fn valid_fn(
    f: impl for<'x> Fn(crate::gateway::Environ<'x>, StartResponse<'x>) -> Result<Body<'static>>
    + Send
    + Sync
    + 'static,
) -> super::Validate<impl crate::gateway::Application> {
    valid(move |environ, start_response| f(environ, start_response))
}

/// PEP 3333: the body does not use the writer, and a file stands alone.
#[test]
fn the_writer_has_its_time() {
    struct Writes<'x>(StartResponse<'x>);
    impl BodyStream for Writes<'_> {
        fn next_chunk(&mut self, _pace: &mut dyn Pace) -> Result<Option<Bytes>> {
            let mut writer: Writer<'_> = self.0.start(200, TEXT)?;
            writer.put("x")?;
            Ok(None)
        }
    }
    assert_refused(
        |_, start_response| Ok(Body::stream(Writes(start_response))),
        "the writer was used by the body",
    );
    assert_refused(
        |_, start_response| {
            start_response.start(200, TEXT)?.put("x")?;
            let file = std::fs::File::open(std::env::current_exe()?)?;
            Ok(Body::file(FileBody::new(file)?))
        },
        "a file follows what was written",
    );
    assert_refused(
        |_, start_response| {
            let mut writer = start_response.start(200, [("X-A", "b")])?;
            let _ = writer.put("x");
            Ok(Body::empty())
        },
        "has no Content-Type",
    );
}

#[test]
fn input_that_failed_stays_failed() {
    let app = valid(|mut environ, start_response| {
        start_response.start(200, TEXT)?;
        let mut text = Vec::new();
        let first = environ.input().read_to_end(&mut text);
        let again = environ.input().read_to_end(&mut text);
        Ok(Body::from(format!("{} {}", first.is_ok(), again.is_ok())))
    });
    let response =
        TestRequest::new("POST", "/").chunk("some").fail(ErrorKind::InputMalformed).call(&app);
    assert!(broken(&response).contains("read again after it had failed"));
    assert_eq!(TestRequest::post("/", "some").call(&app).text(), "true true");
}

#[test]
fn no_more_is_taken_than_was_given() {
    assert_refused(
        |mut environ, start_response| {
            start_response.start(200, TEXT)?;
            let given = environ.input().fill_buf()?.len();
            environ.input().consume(given + 1);
            Ok(Body::from("x"))
        },
        "6 bytes were taken off the input, which had given 5",
    );
}

/// An error of its own stays what it is.
#[test]
fn errors_pass() {
    let app = valid(|_, _| Err(Error::with_status(http::StatusCode::NOT_FOUND, "not here")));
    let response = TestRequest::get("/").call(&app);
    assert_eq!(response.status().as_u16(), 404);
    assert_eq!(response.error().unwrap().kind(), ErrorKind::Application);
}
