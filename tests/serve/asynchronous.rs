//! The program of a service that the tests of `mod_rust::serve` start, whose requests wait without a
//! thread.

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use mod_rust::gateway::service::RequestBody;
use mod_rust::{Error, Factory, Gateway};
use tokio::sync::watch;

type Body = UnsyncBoxBody<Bytes, Error>;

/// The futures that wait now, those that were dropped meanwhile, and the gate that they wait for.
#[derive(Debug)]
struct Waiting {
    now: AtomicUsize,
    dropped: AtomicUsize,
    gate: watch::Sender<bool>,
}

/// A future that waits. Its drop counts.
struct Guard {
    waiting: &'static Waiting,
    is_done: bool,
}

impl Guard {
    fn new(waiting: &'static Waiting) -> Self {
        waiting.now.fetch_add(1, Ordering::SeqCst);
        Self { waiting, is_done: false }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.waiting.now.fetch_sub(1, Ordering::SeqCst);
        self.waiting.dropped.fetch_add(usize::from(!self.is_done), Ordering::SeqCst);
    }
}

fn text(text: impl Into<Bytes>) -> Result<Response<Body>, Error> {
    Ok(Response::new(Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()))
}

/// Makes a response of pieces of 64K.
fn pieces(count: usize) -> Result<Response<Body>, Error> {
    let frames = (0..count).map(|_| Ok(Frame::data(Bytes::from(vec![b'x'; 64 << 10]))));
    Ok(Response::new(StreamBody::new(tokio_stream::iter(frames)).boxed_unsync()))
}

async fn answer(
    waiting: &'static Waiting,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Error> {
    // Each request waits.
    tokio::task::yield_now().await;
    match request.uri().path() {
        // Waits until the gate is open.
        "/wait" => {
            let mut guard = Guard::new(waiting);
            let mut gate = waiting.gate.subscribe();
            gate.wait_for(|&is_open| is_open).await.map_err(Error::from_source)?;
            guard.is_done = true;
            text("waited")
        }
        "/free" => {
            waiting.gate.send_replace(true);
            text("freed")
        }
        "/seen" => {
            let [now, dropped] =
                [&waiting.now, &waiting.dropped].map(|count| count.load(Ordering::SeqCst));
            text(format!("now {now}, dropped {dropped};"))
        }
        // Waits without the gate.
        "/naps" => {
            let mut guard = Guard::new(waiting);
            tokio::time::sleep(Duration::from_millis(500)).await;
            guard.is_done = true;
            text("rested")
        }
        "/echo" => {
            let mut guard = Guard::new(waiting);
            let body = request.into_body().collect().await?.to_bytes();
            guard.is_done = true;
            text(body)
        }
        "/both" => {
            let mut rest = request.into_body();
            let first = rest.frame().await.transpose()?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            let pause = Box::pin(tokio::time::sleep(Duration::from_millis(600)));
            let both = Both { first, pause, rest, _guard: Guard::new(waiting) };
            Ok(Response::new(both.boxed_unsync()))
        }
        // More than any socket takes.
        "/huge" => pieces(1024),
        "/bulk" => pieces(256),
        "/late" => {
            let frames =
                [Ok(Frame::data(Bytes::from_static(b"some"))), Err(Error::new("no words"))];
            let body = StreamBody::new(tokio_stream::iter(frames)).boxed_unsync();
            Ok(Response::new(body))
        }
        "/bust" => panic!("the request goes bust"),
        // Does not read the request body.
        _ => text("away"),
    }
}

/// A response with the first piece of the request body, and the rest after a pause.
struct Both {
    first: Option<Frame<Bytes>>,
    pause: Pin<Box<tokio::time::Sleep>>,
    rest: RequestBody,
    _guard: Guard,
}

impl http_body::Body for Both {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        ready!(self.pause.as_mut().poll(context));
        Pin::new(&mut self.rest).poll_frame(context)
    }
}

#[derive(Clone, Copy)]
struct Service(&'static Waiting);

impl tower_service::Service<Request<RequestBody>> for Service {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        Box::pin(answer(self.0, request))
    }
}

fn main() -> ExitCode {
    let waiting = Waiting {
        now: AtomicUsize::new(0),
        dropped: AtomicUsize::new(0),
        gate: watch::Sender::new(false),
    };
    let service = Service(Box::leak(Box::new(waiting)));
    Gateway::new("asynchronous", "1.0")
        .application("asynchronous", Factory::service(service))
        .mount("/", "asynchronous")
        .main()
}
