//! Status and headers: once, well-formed, and before the body.

use bytes::Bytes;
use http::StatusCode;

use super::{TEXT, broken, chunks, failed, stream};
use crate::gateway::memory::TestRequest;
use crate::gateway::{Body, Error, ErrorKind, StartResponse, app_fn};

#[test]
fn a_whole_response() {
    let app = app_fn(|_environ, start_response| {
        start_response.start("201 Made it", [("X-A", "1"), ("x-b", "2"), ("X-A", "3")])?;
        Ok(Body::from("hello"))
    });
    let response = TestRequest::get("/").call(&app);
    assert!(response.is_complete());
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.reason(), Some(&b"Made it"[..]));
    let headers: Vec<_> =
        response.headers().iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let expected: [(&[u8], &[u8]); 4] =
        [(b"X-A", b"1"), (b"x-b", b"2"), (b"X-A", b"3"), (b"Content-Length", b"5")];
    assert_eq!(headers, expected);
    assert_eq!(response.text(), "hello");
    assert!(response.flushes().is_empty(), "one piece needs no flush");
}

#[test]
fn a_second_start_is_refused() {
    let app = app_fn(|_environ, start_response| {
        start_response.start(200, TEXT)?;
        let error = start_response.start(404, TEXT).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyStarted);
        Ok(Body::from("first"))
    });
    let response = TestRequest::get("/").call(&app);
    assert_eq!((response.status().as_u16(), &*response.text()), (200, "first"));
}

#[test]
fn an_error_replaces_the_head_before_it_went_out() {
    let app = app_fn(|_environ, start_response| {
        start_response.start(200, [("X-First", "1"), ("Content-Length", "1000")])?;
        assert!(!start_response.is_committed());
        start_response.replace(503, [("X-Second", "2")], Error::new("changed my mind"))?;
        Ok(Body::from("sorry"))
    });
    let response = TestRequest::get("/").call(&app);
    assert!(response.is_complete());
    assert_eq!((response.status().as_u16(), &*response.text()), (503, "sorry"));
    assert_eq!(response.header("x-first"), None);
    assert_eq!(response.header("content-length"), Some(&b"5"[..]));
}

#[test]
fn an_error_after_the_head_went_out_is_handed_back() {
    let app = app_fn(|_environ, start_response| {
        start_response.start(200, TEXT)?.put("part")?;
        assert!(start_response.is_committed());
        start_response.replace(500, TEXT, Error::new("too late"))?;
        Ok(Body::empty())
    });
    let response = TestRequest::get("/").call(&app);
    assert_eq!(broken(&response), ErrorKind::Application);
    assert_eq!(response.error().unwrap().to_string(), "too late");
    assert_eq!((response.status().as_u16(), &*response.text()), (200, "part"));
}

#[test]
fn refused_heads() {
    type Refused = (&'static str, &'static [(&'static str, &'static str)], ErrorKind);
    let refused: [Refused; 10] = [
        ("101 Switching", &[], ErrorKind::InvalidStatus),
        ("600 Odd", &[], ErrorKind::InvalidStatus),
        ("200 a\r\nX: y", &[], ErrorKind::InvalidStatus),
        ("200 OK", &[("X", "a\r\nSet-Cookie: x")], ErrorKind::InvalidHeader),
        ("200 OK", &[("X y", "a")], ErrorKind::InvalidHeader),
        ("200 OK", &[("Status", "404")], ErrorKind::InvalidHeader),
        ("200 OK", &[("Transfer-Encoding", "chunked")], ErrorKind::HopByHop),
        ("200 OK", &[("connection", "close")], ErrorKind::HopByHop),
        ("200 OK", &[("Content-Length", "+5")], ErrorKind::ContentLength),
        ("200 OK", &[("Content-Length", "5"), ("content-length", "5")], ErrorKind::ContentLength),
    ];
    for (status, headers, kind) in refused {
        let app = app_fn(move |_environ, start_response: StartResponse<'_>| {
            start_response.start(status, headers.iter().copied())?;
            Ok(Body::from("hello"))
        });
        let response = TestRequest::get("/").call(&app);
        assert_eq!(failed(&response), kind, "{status} {headers:?}");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[test]
fn a_refused_head_is_none() {
    let app = app_fn(|_environ, start_response| {
        assert!(start_response.start(200, [("A", "b"), ("Bad header", "x")]).is_err());
        Ok(Body::from("hello"))
    });
    assert_eq!(failed(&TestRequest::get("/").call(&app)), ErrorKind::NotStarted);

    let app = app_fn(|_environ, start_response| {
        assert!(start_response.start(200, [("A", "b"), ("Bad header", "x")]).is_err());
        start_response.start(200, [("C", "d")])?;
        Ok(Body::from("hello"))
    });
    let response = TestRequest::get("/").call(&app);
    assert!(response.is_complete());
    assert_eq!((response.header("a"), response.header("c")), (None, Some(&b"d"[..])));
}

#[test]
fn a_body_without_a_head_is_refused() {
    for body in [
        Body::empty as fn() -> Body<'static>,
        || Body::from("x"),
        || Body::from_chunks(chunks(["x"])),
    ] {
        let app = app_fn(move |_environ, _start_response| Ok(body()));
        let response = TestRequest::get("/").call(&app);
        assert_eq!(failed(&response), ErrorKind::NotStarted);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

/// PEP 3333: `start_response` may be called by the first step of the iterable.
#[test]
fn the_head_may_come_with_the_first_chunk() {
    let app = app_fn(|_environ, start_response| {
        let mut left = 2;
        Ok(stream(move |_pace| {
            if left == 2 {
                start_response.start(202, TEXT)?;
            }
            left -= 1;
            Ok((left > 0).then(|| Bytes::from_static(b"late")))
        }))
    });
    let response = TestRequest::get("/").call(&app);
    assert!(response.is_complete());
    assert_eq!((response.status().as_u16(), &*response.text()), (202, "late"));
    assert_eq!(response.header("content-length"), None);
    let head = TestRequest::head("/").call(&app);
    assert!(head.is_complete() && head.body().is_empty());
    assert_eq!(head.status(), StatusCode::ACCEPTED);
}

#[test]
fn trailers_follow_a_stream() {
    struct Trailing(Option<Bytes>, &'static str);
    impl crate::gateway::BodyStream for Trailing {
        fn next_chunk(
            &mut self,
            _pace: &mut dyn crate::gateway::Pace,
        ) -> crate::gateway::Result<Option<Bytes>> {
            Ok(self.0.take())
        }
        fn trailers(&mut self) -> Option<http::HeaderMap> {
            Some([(self.1.parse().unwrap(), "7".parse().unwrap())].into_iter().collect())
        }
    }
    let app = |name| {
        app_fn(move |_environ, start_response: StartResponse<'_>| {
            start_response.start(200, TEXT)?;
            Ok(Body::stream(Trailing(Some(Bytes::from_static(b"x")), name)))
        })
    };
    let response = TestRequest::get("/").call(&app("x-sum"));
    assert!(response.is_complete());
    assert_eq!(response.trailers().unwrap()["x-sum"], "7");
    assert!(TestRequest::head("/").call(&app("x-sum")).trailers().is_none());
    for (name, kind) in
        [("transfer-encoding", ErrorKind::HopByHop), ("content-length", ErrorKind::InvalidHeader)]
    {
        assert_eq!(broken(&TestRequest::get("/").call(&app(name))), kind);
    }
}
