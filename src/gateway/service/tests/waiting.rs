//! Futures that are not ready at once, and those who wake them.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use tower_service::Service;

use super::{Answer, Frames, RequestBody, app, service};
use crate::gateway::memory::TestRequest;
use crate::gateway::{Application, ErrorKind};

type Incoming = http::Request<RequestBody>;

fn text(text: &'static str) -> Answer<Full<Bytes>> {
    Ok(Response::new(Full::new(Bytes::from_static(text.as_bytes()))))
}

both_ways! {
    fn woken_by_another_thread() {
        let app = app(async |_request| {
            let done = Arc::new(AtomicBool::new(false));
            poll_fn(move |context| {
                if done.load(Ordering::Acquire) {
                    return Poll::Ready(());
                }
                let (done, waker) = (done.clone(), context.waker().clone());
                thread::spawn(move || {
                    done.store(true, Ordering::Release);
                    waker.wake();
                });
                Poll::Pending
            })
            .await;
            text("awake")
        });
        for _ in 0..100 {
            assert_eq!(TestRequest::get("/").call(&app).text(), "awake");
        }
    }
}

both_ways! {
    fn woken_by_the_runtime() {
        let app = app(async |_request| {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let here = thread::current().id();
            let there = tokio::spawn(async { thread::current() }).await?;
            assert_ne!(there.id(), here, "a task runs on the runtime");
            assert_eq!(there.name(), Some("mod_rust-rt"));
            tokio::task::spawn_blocking(|| thread::sleep(Duration::from_millis(1))).await?;
            assert_eq!(thread::current().id(), here, "the future stays where it was polled first");
            text("slept")
        });
        assert_eq!(TestRequest::get("/").call(&app).text(), "slept");
    }
}

both_ways! {
    fn polled_no_more_often_than_woken() {
        let polls = Arc::new(AtomicU32::new(0));
        let seen = polls.clone();
        let app = app(move |_request| {
            let polls = polls.clone();
            let mut sleep = Box::pin(tokio::time::sleep(Duration::from_millis(20)));
            poll_fn(move |context| {
                polls.fetch_add(1, Ordering::Relaxed);
                sleep.as_mut().poll(context).map(|()| text("slept"))
            })
        });
        assert!(TestRequest::get("/").call(&app).is_complete());
        // A request that is suspended is polled once before it has a waker.
        assert!(seen.load(Ordering::Relaxed) <= 3);
    }
}

both_ways! {
    fn a_service_that_is_not_ready_at_once() {
        #[derive(Clone)]
        struct Limited(Arc<Mutex<u32>>);
        impl Service<Incoming> for Limited {
            type Response = Response<Full<Bytes>>;
            type Error = super::BoxError;
            type Future = std::future::Ready<Answer<Full<Bytes>>>;

            fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), super::BoxError>> {
                let mut left = self.0.lock().unwrap();
                if *left == 0 {
                    return Poll::Ready(Ok(()));
                }
                *left -= 1;
                let waker = context.waker().clone();
                thread::spawn(move || waker.wake());
                Poll::Pending
            }

            fn call(&mut self, _request: Incoming) -> Self::Future {
                assert_eq!(*self.0.lock().unwrap(), 0, "called before it was ready");
                std::future::ready(text("ready"))
            }
        }
        let app = service(Limited(Arc::new(Mutex::new(3))));
        assert_eq!(TestRequest::get("/").call(&app).text(), "ready");
    }
}

both_ways! {
    /// Wakers are kept and called at any time.
    fn a_waker_outlives_its_exchange() {
        let kept = Arc::new(Mutex::new(Vec::<Waker>::new()));
        let wakers = kept.clone();
        let app = app(move |_request| {
            let kept = kept.clone();
            poll_fn(move |context| {
                kept.lock().unwrap().push(context.waker().clone());
                Poll::Ready(text("ready"))
            })
        });
        assert!(TestRequest::get("/").call(&app).is_complete());
        let wakers: Vec<_> = wakers.lock().unwrap().drain(..).collect();
        thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join().unwrap();
        assert!(TestRequest::get("/").call(&app).is_complete());
    }
}

/// Reports that it was dropped.
struct Dropped(mpsc::Sender<bool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        // Whether it could still use the runtime.
        let _ = self.0.send(tokio::runtime::Handle::try_current().is_ok());
    }
}

both_ways! {
    fn the_client_leaves_while_the_future_waits() {
        let (sender, receiver) = mpsc::channel();
        let app = app(move |_request| {
            let dropped = Dropped(sender.clone());
            async move {
                let _dropped = dropped;
                std::future::pending::<Answer<Full<Bytes>>>().await
            }
        });
        let response = TestRequest::get("/").leaves_at_wait().call(&app);
        assert_eq!(response.error().unwrap().kind(), ErrorKind::ClientGone);
        assert_eq!(receiver.try_recv(), Ok(true), "the future was not dropped at once");
    }
}

both_ways! {
    fn the_client_leaves_while_the_body_waits() {
        let (sender, receiver) = mpsc::channel();
        let app = app(move |_request| {
            let dropped = Dropped(sender.clone());
            async move {
                let mut first = Some(Frame::data(Bytes::from_static(b"part")));
                Ok(Response::new(Frames(move |_context: &mut Context<'_>| {
                    let _holds = &dropped;
                    first.take().map_or(Poll::Pending, |frame| Poll::Ready(Some(Ok(frame))))
                })))
            }
        });
        for request in [TestRequest::get("/").leaves_at_wait(), TestRequest::get("/").leaves_after(0)] {
            let response = request.call(&app);
            assert!(response.is_broken());
            assert_eq!(response.error().unwrap().kind(), ErrorKind::ClientGone);
            assert_eq!(receiver.try_recv(), Ok(true), "the body was not dropped at once");
        }
    }
}

both_ways! {
    fn no_waker_is_called() {
        let app = app(async |_request| std::future::pending::<Answer<Full<Bytes>>>().await);
        let response = TestRequest::get("/").deadline(Duration::from_millis(20)).call(&app);
        let error = response.error().unwrap().to_string();
        assert!(error.contains("no waker woke the application"), "{error}");
    }
}

both_ways! {
    fn a_body_that_a_task_has_taken() {
        let app = app(async |request: Incoming| {
            let task = tokio::spawn(async move { request.into_body().collect().await });
            let body = task.await??.to_bytes();
            Ok(Response::new(Full::new(body)))
        });
        assert_eq!(TestRequest::post("/", "for a task").call(&app).text(), "for a task");
        for _ in 0..100 {
            let request = TestRequest::new("POST", "/").chunk("one").pause().chunk("two").pause();
            assert_eq!(request.call(&app).text(), "onetwo");
            assert_eq!(request.must_block().call(&app).text(), "onetwo");
        }
    }
}

both_ways! {
    /// While the task reads the request, the response is on its way.
    fn a_body_that_a_task_echoes() {
        let app = app(async |request: Incoming| {
            let (sender, mut receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
            tokio::spawn(async move {
                let mut body = request.into_body();
                while let Some(Ok(frame)) = body.frame().await {
                    sender.send(frame.into_data().unwrap()).await.unwrap();
                }
            });
            Ok(Response::new(Frames(move |context: &mut Context<'_>| {
                receiver.poll_recv(context).map(|data| data.map(|data| Ok(Frame::data(data))))
            })))
        });
        for _ in 0..100 {
            let response = TestRequest::new("POST", "/")
                .chunk("ping")
                .after_output(4)
                .chunk("pong")
                .after_output(8)
                .call(&app);
            assert!(response.is_complete(), "{response:?}");
            assert_eq!(response.text(), "pingpong");
        }
    }
}

both_ways! {
    fn a_body_that_is_kept_when_all_is_over() {
        let (sender, receiver) = mpsc::channel();
        let app = app(move |request: Incoming| {
            let sender = sender.clone();
            async move {
                let (started, is_started) = tokio::sync::oneshot::channel();
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    let first = body.frame().await.unwrap();
                    assert_eq!(first.unwrap().into_data().unwrap(), "some");
                    let mut second = Box::pin(body.frame());
                    // It waits for more when the exchange ends.
                    let waits = poll_fn(|context| Poll::Ready(second.as_mut().poll(context)));
                    assert!(waits.await.is_pending());
                    let _ = started.send(());
                    let error = second.await.unwrap().unwrap_err();
                    sender.send((error.kind(), body.frame().await.is_none())).unwrap();
                });
                is_started.await?;
                text("done")
            }
        });
        let response =
            TestRequest::new("POST", "/").chunk("some").after_output(1000).chunk("never").call(&app);
        assert!(response.is_complete(), "{response:?}");
        let error = receiver.recv_timeout(Duration::from_secs(10)).expect("it hangs");
        assert_eq!(error, (ErrorKind::InputMalformed, true));
    }
}

both_ways! {
    fn services_inside_services() {
        let inner = Arc::new(app(async |_request| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            text("inner")
        }));
        let app = app(move |_request| {
            let inner = inner.clone();
            async move {
                let response = TestRequest::get("/").call(&*inner as &dyn Application);
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(Response::new(format!("outer and {}", response.text())))
            }
        });
        assert_eq!(TestRequest::get("/").call(&app).text(), "outer and inner");
    }
}

both_ways! {
    /// Without a runtime of this process the caller gets an error, not a hang.
    fn many_at_once() {
        let app = Arc::new(app(async |request: Incoming| {
            let body = request.into_body().collect().await?.to_bytes();
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(Response::new(Full::new(body)))
        }));
        thread::scope(|scope| {
            for n in 0..8 {
                let app = app.clone();
                scope.spawn(move || {
                    for round in 0..50 {
                        let body = format!("{n} {round}");
                        let request = TestRequest::new("POST", "/").pause().chunk(body.clone()).pause();
                        assert_eq!(request.call(&*app).text(), body);
                    }
                });
            }
        });
    }
}
