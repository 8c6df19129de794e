//! Bodies in both directions: frames, lengths, trailers, errors.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty, Full};

use super::{Frames, app, frames, yield_once};
use crate::gateway::memory::TestRequest;
use crate::gateway::{Error, ErrorKind, Input, Level, StartResponse, app_fn};

type Incoming = http::Request<super::RequestBody>;

both_ways! {
    fn a_body_at_hand_goes_out_in_one_piece() {
        let full = app(async |_request| {
            let response = Response::builder().status(201).header("x-a", "1").header("X-A", "2");
            Ok(response.body(Full::new(Bytes::from_static(b"hello")))?)
        });
        let response = TestRequest::get("/").call(&full);
        assert!(response.is_complete());
        assert_eq!((response.status().as_u16(), &*response.text()), (201, "hello"));
        assert_eq!(response.header("content-length"), Some(&b"5"[..]));
        assert_eq!((response.writes(), response.flushes()), (&[5][..], &[0; 0][..]));
        assert_eq!(response.headers().iter().filter(|(name, _)| name == b"x-a").count(), 2);

        let empty = app(async |_request| Ok(Response::new(Empty::<Bytes>::new())));
        assert_eq!(TestRequest::get("/").call(&empty).header("content-length"), Some(&b"0"[..]));
        let nothing = app(async |_request| Ok(Response::new(frames(&[]))));
        assert_eq!(TestRequest::get("/").call(&nothing).header("content-length"), Some(&b"0"[..]));
    }
}

both_ways! {
    /// `Bytes` are passed on without a copy, independent of their owner.
    fn data_is_not_copied() {
        struct Watched;
        impl crate::gateway::Application for Watched {
            fn call<'x>(
                &self,
                environ: crate::gateway::Environ<'x>,
                start_response: StartResponse<'x>,
            ) -> crate::gateway::Result<crate::gateway::Body<'x>> {
                let data = Bytes::from(vec![b'x'; 100]);
                let at = data.as_ptr();
                let inner = app(move |_request| {
                    let data = data.clone();
                    async { Ok(Response::new(Full::new(data))) }
                });
                let body = inner.call(environ, start_response)?;
                let mut stream = body.into_stream()?;
                struct Never;
                impl crate::gateway::Pace for Never {
                    fn may_wait(&mut self) -> crate::gateway::Result<()> {
                        unreachable!()
                    }
                    fn must_wait(&mut self) -> crate::gateway::Result<()> {
                        unreachable!()
                    }
                }
                let chunk = stream.next_chunk(&mut Never)?.unwrap();
                assert_eq!(chunk.as_ptr(), at);
                Ok(crate::gateway::Body::from(chunk))
            }
        }
        let response = TestRequest::get("/").call(&Watched);
        assert!(response.is_complete(), "{response:?}");
    }
}

both_ways! {
    fn ready_frames_go_out_together() {
        let app = app(async |_request| Ok(Response::new(frames(&["a", "", "bc", "d"]))));
        let response = TestRequest::get("/").call(&app);
        assert!(response.is_complete());
        assert_eq!((&*response.text(), response.writes()), ("abcd", &[1, 2, 1][..]));
        assert_eq!(response.flushes(), [0; 0]);
        assert_eq!(response.header("content-length"), None);
    }
}

both_ways! {
    fn a_frame_that_is_not_there_flushes_what_is() {
        let app = app(async |_request| {
            let mut step = 0;
            Ok(Response::new(Frames(move |context: &mut std::task::Context<'_>| {
                step += 1;
                if step % 3 == 1 {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let frame = Frame::data(Bytes::from_static(b"xy"));
                Poll::Ready((step < 9).then_some(Ok(frame)))
            })))
        });
        let response = TestRequest::get("/").call(&app);
        assert!(response.is_complete(), "{response:?}");
        assert_eq!(response.text(), "xyxyxyxyxy");
        assert_eq!(response.flushes(), [4, 8]);
    }
}

both_ways! {
    fn the_head_goes_out_before_a_body_that_takes_its_time() {
        let app = app(async |_request| {
            let mut sleep = Some(Box::pin(tokio::time::sleep(Duration::from_millis(10))));
            Ok(Response::new(Frames(move |context: &mut std::task::Context<'_>| {
                let Some(asleep) = &mut sleep else { return Poll::Ready(None) };
                std::task::ready!(asleep.as_mut().poll(context));
                sleep = None;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"late")))))
            })))
        });
        let response = TestRequest::get("/").call(&app);
        assert!(response.is_complete(), "{response:?}");
        assert_eq!((&*response.text(), response.flushes()), ("late", &[0][..]));
    }
}

both_ways! {
    fn lengths_are_held_against_the_body() {
        let app = app(async |request: Incoming| {
            let length = request.uri().query().unwrap_or_default();
            Ok(Response::builder().header("content-length", length).body(frames(&["ab", "c"]))?)
        });
        assert!(TestRequest::get("/?3").call(&app).is_complete());
        for (query, kind) in [("/?2", ErrorKind::ContentLength), ("/?4", ErrorKind::ContentLength)] {
            let response = TestRequest::get(query).call(&app);
            assert!(response.is_broken());
            assert_eq!(response.error().unwrap().kind(), kind);
        }
    }
}

both_ways! {
    fn an_unsent_body_is_not_run() {
        for (status, method) in [(204, "GET"), (304, "GET"), (200, "HEAD")] {
            let polled = Arc::new(AtomicU32::new(0));
            let seen = polled.clone();
            let app = app(move |_request| {
                let polled = polled.clone();
                async move {
                    let body = Frames(move |_context: &mut std::task::Context<'_>| {
                        polled.fetch_add(1, Ordering::Relaxed);
                        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"endless")))))
                    });
                    Ok(Response::builder().status(status).body(body)?)
                }
            });
            let response = TestRequest::new(method, "/").call(&app);
            assert!(response.is_complete() && response.body().is_empty(), "{response:?}");
            assert_eq!(seen.load(Ordering::Relaxed), 0);
        }
        let known = app(async |_request| Ok(Response::new(Full::new(Bytes::from_static(b"hello")))));
        assert_eq!(TestRequest::head("/").call(&known).header("content-length"), Some(&b"5"[..]));
    }
}

both_ways! {
    fn the_request_body_is_read_on_demand() {
        let app = app(async |request: Incoming| {
            let length = request.body().size_hint().exact();
            let mut body = request.into_body();
            let mut sizes = Vec::new();
            while let Some(frame) = body.frame().await {
                sizes.push(frame?.into_data().unwrap().len());
            }
            assert!(body.is_end_stream());
            assert!(body.frame().await.is_none());
            Ok(Response::new(format!("{length:?} {sizes:?}")))
        });
        assert_eq!(TestRequest::post("/", "12345").call(&app).text(), "Some(5) [5]");
        assert_eq!(TestRequest::get("/").call(&app).text(), "Some(0) []");
        let chunked = TestRequest::new("POST", "/").chunk("12").chunk("345").pause().chunk("6").pause();
        assert_eq!(chunked.call(&app).text(), "None [5, 1]");
        let large = vec![b'x'; 150_000];
        assert_eq!(
            TestRequest::post("/", large.clone()).call(&app).text(),
            "Some(150000) [65536, 65536, 18928]"
        );
        let pieces = large.chunks(8000).map(<[u8]>::to_vec);
        let pieces =
            pieces.fold(TestRequest::new("POST", "/"), TestRequest::chunk).length(Some(150_000));
        assert_eq!(pieces.call(&app).text(), "Some(150000) [65536, 65536, 18928]");
        assert_eq!(chunked.clone().must_block().call(&app).text(), "None [5, 1]");
    }
}

both_ways! {
    fn trailers_go_both_ways() {
        let app = app(async |request: Incoming| {
            let body = request.into_body().collect().await?;
            let sum = body.trailers().map_or(HeaderMap::new(), Clone::clone);
            let response = Full::new(body.to_bytes()).with_trailers(async move { Some(Ok(sum)) });
            Ok(Response::new(response))
        });
        let request =
            || TestRequest::new("POST", "/").trailer("x-sum".parse().unwrap(), "7".parse().unwrap());
        let response = request().chunk("data").call(&app);
        assert!(response.is_complete(), "{response:?}");
        assert_eq!(
            (&*response.text(), &response.trailers().unwrap()["x-sum"]),
            ("data", &"7".parse().unwrap())
        );
        // Without a byte of data too.
        let response = request().chunk("").call(&app);
        assert_eq!(response.trailers().unwrap()["x-sum"], "7");
        // The echo of a request body has its trailers.
        let echo = super::app(async |request: Incoming| Ok(Response::new(request.into_body())));
        let response = request().chunk("a").pause().chunk("b").call(&echo);
        assert_eq!(
            (&*response.text(), &response.trailers().unwrap()["x-sum"]),
            ("ab", &"7".parse().unwrap())
        );
    }
}

both_ways! {
    /// The client sends on only when it has the answer to what it sent.
    fn both_directions_at_once() {
        let echo = app(async |request: Incoming| Ok(Response::new(request.into_body())));
        let request = TestRequest::new("POST", "/")
            .chunk("one")
            .after_output(3)
            .chunk("two")
            .chunk("three")
            .after_output(11)
            .chunk("four")
            .after_output(15);
        let response = request.call(&echo);
        assert!(response.is_complete(), "{response:?}");
        assert_eq!((&*response.text(), response.flushes()), ("onetwothreefour", &[3, 11, 15][..]));

        let known = TestRequest::post("/", "at hand").call(&echo);
        assert_eq!(known.header("content-length"), Some(&b"7"[..]));
        assert_eq!(known.writes(), [7]);
        let large: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let response = TestRequest::post("/", large.clone()).call(&echo);
        assert!(response.is_complete() && response.body()[..] == large);
    }
}

both_ways! {
    fn an_answer_before_the_body_was_read() {
        let app = app(async |request: Incoming| {
            let mut body = request.into_body();
            if let Some(frame) = body.frame().await {
                frame?;
            }
            Ok(Response::builder().status(403).body(Full::new(Bytes::from_static(b"no")))?)
        });
        let response =
            TestRequest::new("POST", "/").chunk("a").after_output(100).chunk("never sent").call(&app);
        assert!(response.is_complete(), "{response:?}");
        assert_eq!((response.status().as_u16(), &*response.text()), (403, "no"));
    }
}

both_ways! {
    fn a_request_body_that_fails() {
        let app = app(async |request: Incoming| match request.into_body().collect().await {
            Ok(_) => Ok(Response::new(String::from("whole"))),
            Err(error) if error.kind() == ErrorKind::InputTooLarge => {
                Ok(Response::builder().status(422).body("too much".into())?)
            }
            Err(error) => Err(error.into()),
        });
        let failing = |kind| TestRequest::new("POST", "/").chunk("some").pause().fail(kind).call(&app);
        let timeout = failing(ErrorKind::InputTimeout);
        assert_eq!(timeout.status(), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(timeout.error().unwrap().kind(), ErrorKind::InputTimeout);
        let handled = failing(ErrorKind::InputTooLarge);
        assert!(handled.is_complete());
        assert_eq!((handled.status().as_u16(), &*handled.text()), (422, "too much"));

        // While the answer is on its way.
        let echo = super::app(async |request: Incoming| Ok(Response::new(request.into_body())));
        let response = TestRequest::new("POST", "/")
            .chunk("some")
            .pause()
            .fail(ErrorKind::InputMalformed)
            .call(&echo);
        assert!(response.is_broken());
        assert_eq!(response.text(), "some");
        assert_eq!(response.error().unwrap().kind(), ErrorKind::InputMalformed);
    }
}

both_ways! {
    fn errors_of_a_service() {
        let app = app(async |request: Incoming| {
            let late = request.uri().path() == "/late";
            yield_once().await;
            match request.uri().path() {
                "/error" => return Err(io::Error::other("disk on fire").into()),
                "/status" => {
                    return Err(Error::with_status(StatusCode::BAD_GATEWAY, "no upstream").into());
                }
                "/panic" => panic!("out of luck"),
                "/early-hints" => {
                    return Ok(Response::builder().status(103).body(frames(&[]).boxed())?);
                }
                "/upgrade" => return Ok(Response::builder().status(101).body(frames(&[]).boxed())?),
                _ => {}
            }
            let mut frames = vec![Err(Error::new("ran dry"))];
            if late {
                frames.push(Ok(Frame::data(Bytes::from_static(b"part"))));
            }
            let body = Frames(move |_context: &mut std::task::Context<'_>| Poll::Ready(frames.pop()));
            Ok(Response::new(body.boxed()))
        });
        let of = |path: &str| {
            let response = TestRequest::get(path).call(&app);
            assert!(!response.is_complete());
            let error = response.error().unwrap();
            (response.status().as_u16(), error.kind(), error.to_string(), response.is_broken())
        };
        assert_eq!(
            of("/error"),
            (500, ErrorKind::Application, "the application failed: disk on fire".into(), false)
        );
        assert_eq!(of("/status"), (502, ErrorKind::Application, "no upstream".into(), false));
        assert_eq!(of("/panic").1, ErrorKind::Panic);
        assert_eq!((of("/early-hints").0, of("/early-hints").1), (500, ErrorKind::InvalidStatus));
        assert_eq!((of("/upgrade").0, of("/upgrade").1), (500, ErrorKind::InvalidStatus));
        assert_eq!(of("/early"), (500, ErrorKind::Application, "ran dry".into(), false));
        assert_eq!(of("/late"), (200, ErrorKind::Application, "ran dry".into(), true));
    }
}

both_ways! {
    fn fields_of_the_connection_are_left_out() {
        let app = app(async |request: Incoming| {
            let mut response = Response::builder().header("x-kept", "yes");
            for pair in request.uri().query().unwrap_or_default().split('&') {
                let (name, value) = pair.split_once('=').unwrap_or_default();
                response = response.header(name, value);
            }
            Ok(response.body(frames(&["body"]))?)
        });
        for (query, left_out) in [
            ("transfer-encoding=chunked", "transfer-encoding"),
            ("connection=close", "connection"),
            ("connection=x-own,keep-alive&x-own=1&keep-alive=5", "connection, keep-alive, x-own"),
            ("status=200", "status"),
            ("upgrade=h2c&te=trailers&proxy-connection=x", "proxy-connection, te, upgrade"),
        ] {
            let response = TestRequest::get(format!("/?{query}")).call(&app);
            assert!(response.is_complete(), "{query}: {response:?}");
            assert_eq!((response.status().as_u16(), &*response.text()), (200, "body"), "{query}");
            let names: Vec<_> = response.headers().iter().map(|(name, _)| name.as_slice()).collect();
            assert_eq!(names, [&b"x-kept"[..]], "{query}");
            let line = format!("left out: {left_out} (RFC 9110");
            let debug = response.log().iter().filter(|(level, _)| *level == Level::Debug);
            let lines: Vec<_> = debug.map(|(_, line)| line.as_str()).collect();
            assert!(lines.len() == 1 && lines[0].contains(&line), "{query}: {lines:?}");
        }
    }
}

both_ways! {
    fn an_input_of_middleware_is_read_too() {
        let inner = app(async |request: Incoming| Ok(Response::new(request.into_body())));
        let app = app_fn(move |mut environ, start_response: StartResponse<'_>| {
            let text = environ.input().read_all(100)?.to_ascii_uppercase();
            let length = text.len() as u64;
            environ.set_input(Input::from_reader(io::Cursor::new(text), Some(length)));
            crate::gateway::Application::call(&inner, environ, start_response)
        });
        assert_eq!(TestRequest::post("/", "shout").call(&app).text(), "SHOUT");
    }
}
