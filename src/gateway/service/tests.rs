//! Services against an exchange in memory, which gives up after ten seconds: nothing may hang.

/// Runs a test twice: with requests that are suspended, and with requests that wait on the thread.
macro_rules! both_ways {
    ($($(#[$attribute:meta])* fn $name:ident() $body:block)*) => {$(
        $(#[$attribute])*
        fn $name() $body

        mod $name {
            #[test]
            fn suspended() {
                super::$name();
            }

            #[test]
            fn on_thread() {
                crate::gateway::memory::STAYS_ON_THREAD.set(true);
                super::$name();
                crate::gateway::memory::STAYS_ON_THREAD.set(false);
            }
        }
    )*};
}

mod axum;
mod bodies;
mod request;
mod upgrade;
mod waiting;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use tower_service::Service;

use super::{BoxError, RequestBody, service};
use crate::gateway::{Application, Error};

type Answer<B> = Result<Response<B>, BoxError>;

/// A service out of a closure.
#[derive(Clone)]
struct Closure<F>(F);

impl<F, R, B> Service<Request<RequestBody>> for Closure<F>
where
    F: FnMut(Request<RequestBody>) -> R,
    R: Future<Output = Answer<B>>,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = R;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> R {
        self.0(request)
    }
}

fn app<F, R, B>(f: F) -> impl Application
where
    F: FnMut(Request<RequestBody>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Answer<B>> + Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    service(Closure(f))
}

/// A body out of a closure, which says nothing of its length.
struct Frames<F>(F);

impl<F> http_body::Body for Frames<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> + Unpin,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        (self.0)(context)
    }
}

/// Makes a body of ready data frames.
fn frames(
    data: &'static [&'static str],
) -> impl http_body::Body<Data = Bytes, Error = Error> + Send {
    let mut data = data.iter();
    Frames(move |_context: &mut Context<'_>| {
        let frame = data.next().map(|data| Ok(Frame::data(Bytes::from_static(data.as_bytes()))));
        Poll::Ready(frame)
    })
}

/// Is not ready once, and has itself polled again at once.
fn yield_once() -> impl Future<Output = ()> {
    let mut yielded = false;
    std::future::poll_fn(move |context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}
