//! Errors and panics: an error page before the head, a broken response after it; close always runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::StatusCode;

use super::{TEXT, broken, chunks, errors_logged, failed, stream};
use crate::gateway::memory::TestRequest;
use crate::gateway::{Body, BodyStream, Error, ErrorKind, Pace, Result, StartResponse, app_fn};

/// Counts how often a body was closed.
#[derive(Clone, Default)]
struct Closed(Arc<AtomicU32>);

impl Closed {
    fn note(&self) -> impl FnOnce() + use<> {
        let count = self.0.clone();
        move || {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn times(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn an_error_before_the_head_is_an_error_page() {
    let app = app_fn(|_environ, start_response| {
        start_response.start(200, TEXT)?;
        Err(Error::with_status(StatusCode::BAD_GATEWAY, "no upstream"))
    });
    let response = TestRequest::get("/").call(&app);
    assert_eq!(failed(&response), ErrorKind::Application);
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[test]
fn an_error_in_a_stream() {
    let app = |first: &'static str| {
        app_fn(move |_environ, start_response: StartResponse<'_>| {
            start_response.start(200, TEXT)?;
            let failure = Err(Error::new("the source dried up"));
            Ok(Body::from_chunks([Ok(Bytes::from_static(first.as_bytes())), failure]))
        })
    };
    assert_eq!(failed(&TestRequest::get("/").call(&app(""))), ErrorKind::Application);
    let response = TestRequest::get("/").call(&app("part"));
    assert_eq!((broken(&response), &*response.text()), (ErrorKind::Application, "part"));
}

#[test]
fn a_panic_is_an_error() {
    let app = app_fn(|environ, start_response: StartResponse<'_>| {
        let writer = start_response.start(200, TEXT)?;
        if environ.path_info() == b"/late" {
            { writer }.put("part")?;
        }
        panic!("out of luck at {}", environ.path_info().escape_ascii())
    });
    let response = TestRequest::get("/early").call(&app);
    assert_eq!(failed(&response), ErrorKind::Panic);
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let message = response.error().unwrap().to_string();
    assert!(message.ends_with("out of luck at /early"), "{message}");
    let response = TestRequest::get("/late").call(&app);
    assert_eq!((broken(&response), &*response.text()), (ErrorKind::Panic, "part"));
}

#[test]
fn a_panic_in_a_stream_is_an_error() {
    for (chunks_before, early) in [(0, true), (2, false)] {
        let closed = Closed::default();
        let seen = closed.clone();
        let app = app_fn(move |_environ, start_response: StartResponse<'_>| {
            start_response.start(200, TEXT)?;
            let mut left = chunks_before;
            let body = stream(move |_pace| {
                assert!(left > 0, "ran dry");
                left -= 1;
                Ok(Some(Bytes::from_static(b"x")))
            });
            Ok(body.on_close(closed.note()))
        });
        let response = TestRequest::get("/").call(&app);
        assert_eq!(if early { failed(&response) } else { broken(&response) }, ErrorKind::Panic);
        assert_eq!(seen.times(), 1);
    }
}

#[test]
fn a_panic_in_close_changes_nothing_for_the_client() {
    for body in [
        (|| Body::from("whole")) as fn() -> Body<'static>,
        || Body::from_chunks(chunks(["who", "le"])),
        || Body::stream(PanicsWhenDropped(Some("whole"))),
    ] {
        let app = app_fn(move |_environ, start_response: StartResponse<'_>| {
            start_response.start(200, TEXT)?;
            Ok(body().on_close(|| panic!("cannot close")))
        });
        let response = TestRequest::get("/").call(&app);
        assert!(response.is_complete(), "{response:?}");
        assert_eq!(response.text(), "whole");
        let errors = errors_logged(&response);
        assert!(errors.last().unwrap().contains("cannot close"), "{errors:?}");
    }
}

/// Two panics at once would end the process.
#[test]
fn a_panic_in_close_after_a_panic() {
    let app = app_fn(|_environ, start_response| {
        start_response.start(200, TEXT)?;
        let body = Body::stream(PanicsWhenDropped(None)).on_close(|| panic!("nor close"));
        Ok(Body::stream(Outer(body.into_stream()?)).on_close(|| panic!("nor this")))
    });
    let response = TestRequest::get("/").call(&app);
    assert_eq!(failed(&response), ErrorKind::Panic);
    assert!(response.error().unwrap().to_string().contains("no chunk"), "{response:?}");
    assert_eq!(errors_logged(&response).len(), 2, "{response:?}");

    let app = app_fn(|_environ, start_response| {
        start_response.start(200, TEXT)?;
        let _body = Body::from("x").on_close(|| panic!("second"));
        panic!("first")
    });
    let response = TestRequest::get("/").call(&app);
    assert_eq!(failed(&response), ErrorKind::Panic);
    assert!(response.error().unwrap().to_string().contains("first"), "{response:?}");
}

struct PanicsWhenDropped(Option<&'static str>);

impl BodyStream for PanicsWhenDropped {
    fn next_chunk(&mut self, _pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        match &mut self.0 {
            None => panic!("no chunk"),
            Some("") => Ok(None),
            Some(text) => Ok(Some(Bytes::from_static(std::mem::take(text).as_bytes()))),
        }
    }
}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("cannot drop");
        }
    }
}

struct Outer<'x>(Box<dyn BodyStream + 'x>);

impl BodyStream for Outer<'_> {
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        self.0.next_chunk(pace)
    }
}

#[test]
fn close_runs_on_every_path() {
    type Body_ = fn() -> Result<Body<'static>>;
    let bodies: [Body_; 5] = [
        || Ok(Body::from("full")),
        || Ok(Body::empty()),
        || Ok(Body::from_chunks(chunks(["a", "b"]))),
        || Ok(Body::from_chunks([Err(Error::new("broken"))])),
        || Ok(Body::stream(Outer(Body::from_chunks(chunks(["a"])).into_stream()?))),
    ];
    let requests = [
        TestRequest::get("/"),
        TestRequest::head("/"),
        TestRequest::get("/not-started"),
        TestRequest::get("/204"),
        TestRequest::get("/").leaves_after(0),
        TestRequest::get("/wrong-length"),
    ];
    for request in &requests {
        for body in bodies {
            let closed = Closed::default();
            let seen = closed.clone();
            let app = app_fn(move |environ, start_response: StartResponse<'_>| {
                let (status, headers) = match environ.path_info() {
                    b"/204" => (204, &[][..]),
                    b"/wrong-length" => (200, &[("Content-Length", "99")][..]),
                    _ => (200, &TEXT[..]),
                };
                if environ.path_info() != b"/not-started" {
                    start_response.start(status, headers.iter().copied())?;
                }
                Ok(body()?.on_close(closed.note()).on_close(closed.note()))
            });
            let response = request.call(&app);
            assert_eq!(seen.times(), 2, "{request:?} {response:?}");
        }
    }
}

#[test]
fn close_runs_in_order_and_once_also_through_middleware() {
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = order.clone();
    let app = app_fn(move |_environ, start_response: StartResponse<'_>| {
        start_response.start(200, TEXT)?;
        let note = |n: u8| {
            let order = order.clone();
            move || order.lock().unwrap().push(n)
        };
        let inner = Body::from_chunks(chunks(["a"])).on_close(note(1)).on_close(note(2));
        Ok(Body::stream(Outer(inner.into_stream()?)).on_close(note(3)))
    });
    assert!(TestRequest::get("/").call(&app).is_complete());
    assert_eq!(*seen.lock().unwrap(), [1, 2, 3]);
}

#[test]
fn the_body_is_closed_when_the_client_leaves() {
    let closed = Closed::default();
    let seen = closed.clone();
    let app = app_fn(move |_environ, start_response: StartResponse<'_>| {
        start_response.start(200, TEXT)?;
        let endless = std::iter::repeat_with(|| Ok(Bytes::from_static(b"x")));
        Ok(Body::from_chunks(endless).on_close(closed.note()))
    });
    let response = TestRequest::get("/").leaves_after(5).call(&app);
    assert_eq!((broken(&response), &*response.text()), (ErrorKind::ClientGone, "xxxxx"));
    assert_eq!(seen.times(), 1);
}
