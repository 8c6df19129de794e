//! Content-Length against what is sent; responses that have no body.

use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::StatusCode;

use super::{TEXT, broken, chunks, failed, stream};
use crate::gateway::memory::TestRequest;
use crate::gateway::{Body, ErrorKind, FileBody, Level, StartResponse, app_fn};

#[test]
fn a_whole_body_against_its_length() {
    for (length, fits) in [("5", true), ("4", false), ("6", false), ("0", false)] {
        let app = app_fn(move |_environ, start_response: StartResponse<'_>| {
            start_response.start(200, [("Content-Length", length)])?;
            Ok(Body::from("hello"))
        });
        let response = TestRequest::get("/").call(&app);
        if fits {
            assert!(response.is_complete());
            assert_eq!(response.header("content-length"), Some(length.as_bytes()));
        } else {
            assert_eq!(failed(&response), ErrorKind::ContentLength, "{length}");
            assert_eq!(failed(&TestRequest::head("/").call(&app)), ErrorKind::ContentLength);
        }
    }
}

#[test]
fn a_stream_against_its_length() {
    let app = |length: &'static str, chunks: fn() -> Body<'static>| {
        let app = app_fn(move |_environ, start_response: StartResponse<'_>| {
            start_response.start(200, [("Content-Length", length)])?;
            Ok(chunks())
        });
        TestRequest::get("/").call(&app)
    };
    fn two() -> Body<'static> {
        Body::from_chunks(chunks(["abc", "def"]))
    }
    let exact = app("6", two);
    assert!(exact.is_complete());
    assert_eq!(exact.header("content-length"), Some(&b"6"[..]));
    let short = app("7", two);
    assert_eq!((broken(&short), &*short.text()), (ErrorKind::ContentLength, "abcdef"));
    let long = app("5", two);
    assert_eq!((broken(&long), &*long.text()), (ErrorKind::ContentLength, "abc"));
    // A fault that shows before anything went out is an error page.
    assert_eq!(failed(&app("2", two)), ErrorKind::ContentLength);
    assert_eq!(failed(&app("6", || two().with_length(Some(5)))), ErrorKind::ContentLength);
    assert_eq!(failed(&app("6", || Body::from_ready([]))), ErrorKind::ContentLength);
    let empty = app("0", || Body::from_ready([]));
    assert!(empty.is_complete());
}

#[test]
fn a_stream_that_states_its_length_is_held_to_it() {
    for (length, complete) in [(3, true), (4, false), (2, false)] {
        let app = app_fn(move |_environ, start_response: StartResponse<'_>| {
            start_response.start(200, TEXT)?;
            Ok(Body::from_ready(chunks(["ab", "c"])).with_length(Some(length)))
        });
        let response = TestRequest::get("/").call(&app);
        assert_eq!(response.is_complete(), complete);
        assert_eq!(response.header("content-length"), Some(length.to_string().as_bytes()));
        if !complete {
            assert_eq!(broken(&response), ErrorKind::ContentLength);
        }
    }
}

#[test]
fn an_empty_stream_has_length_0() {
    let app = app_fn(|_environ, start_response| {
        start_response.start(200, TEXT)?;
        Ok(Body::from_chunks(chunks(["", ""])))
    });
    let response = TestRequest::get("/").call(&app);
    assert!(response.is_complete() && response.writes().is_empty());
    assert_eq!(response.header("content-length"), Some(&b"0"[..]));
}

#[test]
fn written_bytes_count() {
    for (length, complete) in [("8", true), ("9", false), ("7", false)] {
        let app = app_fn(move |_environ, start_response: StartResponse<'_>| {
            let mut writer = start_response.start(200, [("Content-Length", length)])?;
            write!(writer, "one")?;
            writer.put("two")?;
            Ok(Body::from("th"))
        });
        let response = TestRequest::get("/").call(&app);
        assert_eq!(response.is_complete(), complete, "{length}");
        if complete {
            assert_eq!((response.text(), response.writes()), ("onetwoth".into(), &[3, 3, 2][..]));
        } else {
            assert_eq!(broken(&response), ErrorKind::ContentLength);
        }
    }
}

#[test]
fn a_head_closes_the_body_and_does_not_run_it() {
    let app = app_fn(|_environ, start_response| {
        start_response.start(200, TEXT)?;
        let run = Rc::new(Cell::new(false));
        let seen = run.clone();
        let body = stream(move |_pace| {
            run.set(true);
            Ok(Some(Bytes::from_static(b"endless")))
        });
        Ok(body.with_length(Some(77)).on_close(move || assert!(!seen.get(), "it was run")))
    });
    let response = TestRequest::head("/").call(&app);
    assert!(response.is_complete() && response.body().is_empty());
    assert_eq!(response.header("content-length"), Some(&b"77"[..]));
    assert_eq!(super::errors_logged(&response), [""; 0]);
}

#[test]
fn a_head_has_the_headers_of_a_get() {
    let full = app_fn(|_environ, start_response| {
        start_response.start(200, TEXT)?;
        Ok(Body::from("hello"))
    });
    assert_eq!(TestRequest::head("/").call(&full).header("content-length"), Some(&b"5"[..]));
    // An application that answers HEAD itself leaves the body out.
    let own = app_fn(|_environ, start_response| {
        start_response.start(200, [("Content-Length", "5")])?;
        Ok(Body::empty())
    });
    let response = TestRequest::head("/").call(&own);
    assert!(response.is_complete());
    assert_eq!(response.header("content-length"), Some(&b"5"[..]));
    let silent = app_fn(|_environ, start_response| {
        start_response.start(200, TEXT)?.put("dropped")?;
        Ok(Body::empty())
    });
    let response = TestRequest::head("/").call(&silent);
    assert!(response.is_complete() && response.body().is_empty());
    assert_eq!(response.header("content-length"), None);
}

#[test]
fn statuses_without_a_body() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    for (status, length) in [(204, None), (205, Some(&b"0"[..])), (304, Some(&b"5"[..]))] {
        for body in [(|| Body::from("hello")) as fn() -> Body<'static>, Body::empty, || {
            stream(|_pace| {
                RUNS.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            })
        }] {
            let app = app_fn(move |_environ, start_response: StartResponse<'_>| {
                let mut writer = start_response.start(status, [("Content-Length", "5")])?;
                writer.put("hello")?;
                Ok(body())
            });
            let response = TestRequest::get("/").call(&app);
            assert!(response.is_complete(), "{response:?}");
            assert_eq!(response.status().as_u16(), status);
            assert!(response.body().is_empty());
            // RFC 9110, 8.6: a 304 may say what a 200 would have sent, a 204 may not. A 205 says
            // that there is nothing (15.3.6).
            assert_eq!(response.header("content-length"), length);
        }
    }
    assert_eq!(RUNS.load(Ordering::Relaxed), 0);
    let app = app_fn(|_environ, start_response| {
        start_response.start(204, [("", ""); 0])?;
        Ok(Body::from("hello"))
    });
    let response = TestRequest::get("/").call(&app);
    assert!(
        matches!(response.log(), [(Level::Warn, line)] if line.contains("204")),
        "{response:?}"
    );
}

#[test]
fn a_length_that_no_server_counts_to() {
    for length in ["9223372036854775808", "18446744073709551615"] {
        let given = app_fn(move |_environ, start_response: StartResponse<'_>| {
            start_response.start(200, [("Content-Length", length)])?;
            Ok(Body::empty())
        });
        assert_eq!(failed(&TestRequest::head("/").call(&given)), ErrorKind::ContentLength);
        let known = app_fn(move |_environ, start_response: StartResponse<'_>| {
            start_response.start(200, [("", ""); 0])?;
            Ok(stream(|_pace| Ok(None)).with_length(length.parse().ok()))
        });
        assert_eq!(failed(&TestRequest::head("/").call(&known)), ErrorKind::ContentLength);
    }
}

#[test]
fn a_file_is_sent_by_the_server() {
    let path = std::env::temp_dir().join(format!("mod_rust-file-{}", std::process::id()));
    std::fs::write(&path, "0123456789").unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();

    let whole = move || FileBody::new(file.try_clone().unwrap()).unwrap();
    let part = {
        let whole = whole();
        move || FileBody::range(whole.file().try_clone().unwrap(), 2, 3).unwrap()
    };
    let app = app_fn(move |environ, start_response: StartResponse<'_>| {
        let file = if environ.query_string() == b"part" { part() } else { whole() };
        if environ.path_info() == b"/late" {
            start_response.start(200, TEXT)?.put("written")?;
        } else {
            start_response.start(200, TEXT)?;
        }
        Ok(Body::file(file))
    });
    let response = TestRequest::get("/").call(&app);
    assert_eq!(
        (response.text(), response.header("content-length")),
        ("0123456789".into(), Some(&b"10"[..]))
    );
    let tag = response.header("etag").unwrap().to_vec();
    assert_eq!(TestRequest::get("/?part").call(&app).text(), "234");
    let head = TestRequest::head("/").call(&app);
    assert!(head.body().is_empty());
    assert_eq!(head.header("content-length"), Some(&b"10"[..]));

    let unchanged = TestRequest::get("/").header("If-None-Match", &tag).call(&app);
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
    assert!(unchanged.body().is_empty() && unchanged.error().is_none());
    let changed = TestRequest::get("/").header("If-Match", "\"other\"").call(&app);
    assert_eq!(changed.status(), StatusCode::PRECONDITION_FAILED);

    assert_eq!(broken(&TestRequest::get("/late").call(&app)), ErrorKind::AlreadyStarted);
}

#[test]
fn an_internal_redirect_replaces_a_response() {
    let app = app_fn(|environ, start_response: StartResponse<'_>| {
        if environ.path_info() == b"/started" {
            start_response.start(200, TEXT)?;
        }
        Ok(Body::internal_redirect(String::from_utf8_lossy(environ.query_string())))
    });
    assert_eq!(TestRequest::get("/?/other?a=b").call(&app).redirect(), Some("/other?a=b"));
    assert_eq!(failed(&TestRequest::get("/started?/x").call(&app)), ErrorKind::AlreadyStarted);
    for bad in ["", "other", "http://elsewhere/", "/a b", "/a\r\nb"] {
        let response = TestRequest::get("/").variable("QUERY_STRING", bad).call(&app);
        assert_eq!(failed(&response), ErrorKind::InvalidHeader, "{bad:?}");
    }
}
