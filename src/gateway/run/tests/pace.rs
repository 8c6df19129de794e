//! Tests the time at which output is sent.

use std::io::Write;

use bytes::Bytes;

use super::{TEXT, broken, chunks, failed, stream};
use crate::gateway::memory::TestRequest;
use crate::gateway::{Body, ErrorKind, StartResponse, app_fn};

fn flushes(body: fn() -> Body<'static>) -> Vec<u64> {
    let app = app_fn(move |_environ, start_response: StartResponse<'_>| {
        start_response.start(200, TEXT)?;
        Ok(body())
    });
    let response = TestRequest::get("/").call(&app);
    assert!(response.is_complete());
    assert_eq!(response.text(), "aabbcc");
    response.flushes().to_vec()
}

/// PEP 3333: what was yielded is sent before the next is asked for.
#[test]
fn chunks_go_out_one_by_one() {
    assert_eq!(flushes(|| Body::from_chunks(chunks(["aa", "bb", "cc"]))), [2, 4, 6]);
    assert_eq!(flushes(|| Body::from_chunks(chunks(["aa", "", "bbcc"]))), [2, 6]);
    assert_eq!(flushes(|| Body::from_reader(&b"aabbcc"[..])), [6]);
}

#[test]
fn ready_chunks_go_out_together() {
    assert_eq!(flushes(|| Body::from_ready(chunks(["aa", "bb", "cc"]))), [0; 0]);
}

#[test]
fn a_stream_flushes_before_it_waits() {
    assert_eq!(
        flushes(|| {
            let mut left = vec!["cc", "bb", "aa"];
            stream(move |pace| {
                if left.len() == 1 {
                    pace.may_wait()?;
                    pace.may_wait()?;
                }
                Ok(left.pop().map(|chunk| Bytes::from_static(chunk.as_bytes())))
            })
        }),
        [4]
    );
}

#[test]
fn the_head_stays_back_while_it_may_change() {
    let app = app_fn(|environ, start_response: StartResponse<'_>| {
        start_response.start(200, TEXT)?;
        let must = environ.path_info() == b"/must";
        Ok(stream(move |pace| {
            if must {
                pace.must_wait()?;
                assert!(start_response.is_committed());
            } else {
                pace.may_wait()?;
                assert!(!start_response.is_committed());
            }
            Err(crate::gateway::Error::new("nothing came"))
        }))
    });
    let may = TestRequest::get("/may").call(&app);
    assert_eq!(failed(&may), ErrorKind::Application);
    let must = TestRequest::get("/must").call(&app);
    assert_eq!((broken(&must), must.flushes()), (ErrorKind::Application, &[0][..]));
    // A HEAD has no head to send before it is complete.
    assert!(TestRequest::head("/must").call(&app).is_complete());
}

#[test]
fn an_echo_flushes_before_it_waits() {
    let echo = app_fn(|mut environ, start_response| {
        start_response.start(200, TEXT)?;
        Ok(Body::from_input(environ.take_input()))
    });
    // The client sends on only when it has the answer to what it sent.
    let duplex = TestRequest::new("POST", "/")
        .chunk("ping")
        .after_output(4)
        .chunk("pong")
        .chunk("pang")
        .after_output(12)
        .call(&echo);
    assert!(duplex.is_complete(), "{duplex:?}");
    assert_eq!((&*duplex.text(), duplex.flushes()), ("pingpongpang", &[4, 12][..]));
    let at_hand = TestRequest::new("POST", "/").chunk("ping").chunk("pong").call(&echo);
    assert_eq!((&*at_hand.text(), at_hand.flushes()), ("pingpong", &[0; 0][..]));
    let known = TestRequest::post("/", "ping").call(&echo);
    assert_eq!(known.header("content-length"), Some(&b"4"[..]));
}

#[test]
fn an_application_that_does_not_flush_cannot_be_duplex() {
    let app = app_fn(|mut environ, start_response: StartResponse<'_>| {
        let mut writer = start_response.start(200, TEXT)?;
        while let Some(data) = environ.input().chunk(100)? {
            writer.put(data)?;
            if environ.path_info() == b"/flush" {
                writer.flush()?;
            }
        }
        Ok(Body::empty())
    });
    let request = |path| TestRequest::new("POST", path).chunk("ping").after_output(4).chunk("pong");
    assert_eq!(broken(&request("/keep").call(&app)), ErrorKind::InputTimeout);
    let response = request("/flush").call(&app);
    assert!(response.is_complete());
    assert_eq!(response.flushes(), [4, 8]);
}

#[test]
fn written_data_are_sent_before_the_body_is_read() {
    let app = app_fn(|_environ, start_response| {
        let mut writer = start_response.start(200, TEXT)?;
        writer.flush()?;
        writer.put("written ")?;
        Ok(Body::from_chunks(chunks(["body"])))
    });
    let response = TestRequest::get("/").call(&app);
    assert_eq!((&*response.text(), response.flushes()), ("written body", &[8, 12][..]));
}
