//! A module for the tests in this folder: an axum `Router` whose answers wait.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use mod_rust::Factory;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};

/// Logs when it is dropped.
struct Dropped(&'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        tracing::info!("the future of {} was dropped", self.0);
    }
}

async fn pause(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}

async fn wait(Path(ms): Path<u64>) -> String {
    let _dropped = Dropped("wait");
    pause(ms).await;
    format!("waited {ms} ms\n")
}

/// A body of so many bytes, whole, after a wait.
async fn late(Path((ms, size)): Path<(u64, usize)>) -> Bytes {
    pause(ms).await;
    let pattern: Vec<u8> = (0..251).collect();
    let mut body = pattern.repeat(size / pattern.len() + 1);
    body.truncate(size);
    body.into()
}

async fn status(Path((ms, status)): Path<(u64, u16)>) -> StatusCode {
    pause(ms).await;
    StatusCode::from_u16(status).unwrap_or(StatusCode::IM_A_TEAPOT)
}

/// Pieces of `size` bytes with a pause before each.
async fn drip(Path((pieces, ms, size)): Path<(u32, u64, usize)>) -> Response {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for piece in 0..pieces {
            if ms > 0 {
                pause(ms).await;
            }
            let data = Bytes::from(vec![b'0' + (piece % 10) as u8; size]);
            if sender.send(data).await.is_err() {
                tracing::info!("nobody takes the drip");
                return;
            }
        }
    });
    let pieces = ReceiverStream::new(receiver).map(Ok::<_, Infallible>);
    Body::from_stream(pieces).into_response()
}

/// Pieces that are always ready.
async fn flood(Path((pieces, size)): Path<(u32, usize)>) -> Body {
    let _dropped = Dropped("flood");
    let data = Bytes::from(vec![b'x'; size]);
    Body::from_stream(tokio_stream::iter(
        (0..pieces).map(move |_| Ok::<_, Infallible>(data.clone())),
    ))
}

/// Pieces of a stream whose waker is called all the time. After a few polls they are ready at once.
struct Restless {
    data: Bytes,
    polls: u32,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Stream for Restless {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        *self.waker.lock().unwrap() = Some(context.waker().clone());
        self.polls += 1;
        if self.polls < 4 {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(self.data.clone())))
    }
}

async fn restless(Path(size): Path<usize>) -> Body {
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let calls = Arc::downgrade(&waker);
    tokio::spawn(async move {
        while let Some(waker) = calls.upgrade() {
            if let Some(waker) = &*waker.lock().unwrap() {
                waker.wake_by_ref();
            }
            drop(waker);
            pause(5).await;
        }
    });
    let data = Bytes::from(vec![b'x'; size]);
    Body::from_stream(Restless { data, polls: 0, waker })
}

/// The length of the body, or 400 where it fails, after a wait.
async fn length(Path(ms): Path<u64>, body: Body) -> Result<String, StatusCode> {
    let length = count(body).await;
    pause(ms).await;
    Ok(format!("{} bytes\n", length.map_err(|_| StatusCode::BAD_REQUEST)?))
}

async fn count(body: Body) -> Result<usize, axum::Error> {
    let mut length = 0;
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        length += frame?.len();
    }
    Ok(length)
}

async fn duplex(body: Body) -> Body {
    body
}

/// Gives its thread away so many times, and is ready at once each time.
async fn yields(Path(times): Path<u32>) -> String {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
    format!("yielded {times} times\n")
}

/// Is polled over and over until the time has passed.
async fn busy(Path(ms): Path<u64>) -> String {
    let until = Instant::now() + Duration::from_millis(ms);
    std::future::poll_fn(|context| {
        if Instant::now() >= until {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
    format!("busy for {ms} ms\n")
}

async fn panics(Path(ms): Path<u64>) -> StatusCode {
    pause(ms).await;
    panic!("after a wait of {ms} ms");
}

/// A body that panics after its first piece.
async fn broken(Path(ms): Path<u64>) -> Body {
    let pieces = tokio_stream::iter(0..2).then(move |piece| async move {
        pause(ms).await;
        assert!(piece == 0, "in the body");
        Ok::<_, Infallible>("a piece\n")
    });
    Body::from_stream(pieces)
}

fn waits() -> Factory {
    let router = Router::new()
        .route("/wait/{ms}", get(wait))
        .route("/late/{ms}/{size}", get(late))
        .route("/status/{ms}/{status}", get(status))
        .route("/drip/{pieces}/{ms}/{size}", get(drip))
        .route("/flood/{pieces}/{size}", get(flood))
        .route("/restless/{size}", get(restless))
        .route("/length/{ms}", post(length))
        .route("/duplex", post(duplex))
        .route("/yield/{times}", get(yields))
        .route("/busy/{ms}", get(busy))
        .route("/panic/{ms}", get(panics))
        .route("/broken/{ms}", get(broken));
    Factory::service(router)
}

mod_rust::module! {
    /// `LoadModule waits_module …/mod_waits.so`
    pub static waits_module: "mod_waits.c";
    applications = { "waits" => waits() };
}
