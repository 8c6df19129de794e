//! A call of a service as a [`ResponseTask`]: one allocation for its future and then its body.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::response::Parts;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tower_service::Service;

use super::BoxError;
use super::body::{Fed, Feed, RequestBody};
use super::upgrade::Switch;
use crate::gateway::error::{Error, ErrorKind, Result};
use crate::gateway::input::Input;
use crate::gateway::status::IntoStatus;
use crate::gateway::task::{ResponseTask, Step};

pin_project! {
    /// A call of the service `S`, to the end of its response.
    pub(super) struct ServiceTask<S, F, B> {
        #[pin]
        state: State<S, F, B>,
        runtime: Handle,
        feed: Option<Feed>,
        switch: Switch,
        wants_input: bool,
        is_head: bool,
        is_switched: bool,
    }

    // Values of the service may need the runtime in their drop: a pooled connection, for example.
    impl<S, F, B> PinnedDrop for ServiceTask<S, F, B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if !matches!(*this.state, State::Over) {
                let _context = this.runtime.enter();
                this.state.set(State::Over);
            }
        }
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F, B> {
        // The service may not be ready yet.
        Start { service: S, request: Option<Request<RequestBody>> },
        Call {
            #[pin]
            future: F,
        },
        // The head is here until it has been told.
        Body {
            head: Option<Parts>,
            #[pin]
            body: B,
            next: Option<Step>,
        },
        Over,
    }
}

impl<S, B> ServiceTask<S, S::Future, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
{
    pub(super) fn new(
        service: S,
        request: Request<RequestBody>,
        runtime: Handle,
        feed: Option<Feed>,
        switch: Switch,
    ) -> Self {
        let is_head = *request.method() == http::Method::HEAD;
        let state = State::Start { service, request: Some(request) };
        let (wants_input, is_switched) = (false, false);
        Self { state, runtime, feed, switch, wants_input, is_head, is_switched }
    }
}

impl<S, B> ResponseTask for ServiceTask<S, S::Future, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Send,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: HttpBody + Send,
    B::Error: Into<BoxError>,
{
    fn poll(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        input: &mut Input<'_>,
    ) -> Poll<Result<Step>> {
        let mut this = self.project();
        let _context = this.runtime.enter();
        if *this.is_switched
            && let Switch::Tunnel(tunnel) = this.switch
        {
            return tunnel.poll(context, input, this.wants_input);
        }
        loop {
            if let Poll::Ready(step) = this.state.as_mut().poll(context, *this.is_head, this.switch)
            {
                let is_switch = matches!(&step, Ok(Step::Switch(_)));
                if is_switch && matches!(this.switch, Switch::Never) {
                    return Poll::Ready(Err(Error::of(
                        ErrorKind::InvalidStatus,
                        "status 101: the client asked for no upgrade that this server can do",
                    )));
                }
                *this.is_switched = is_switch;
                return Poll::Ready(step);
            }
            let fed = this
                .feed
                .as_mut()
                .map_or(Fed::Unasked, |feed| feed.serve(input, context.waker(), false));
            if fed == Fed::Served {
                continue;
            }
            if let Some(head) = this.state.as_mut().head() {
                return Poll::Ready(Ok(head));
            }
            *this.wants_input = fed == Fed::NotYet;
            return Poll::Pending;
        }
    }

    fn wants_input(&self) -> bool {
        self.wants_input
    }

    fn read_input(self: Pin<&mut Self>, input: &mut Input<'_>, waker: &Waker) {
        let this = self.project();
        // The wakers that it calls may be of the runtime's tasks.
        let _context = this.runtime.enter();
        if let Some(feed) = this.feed {
            feed.serve(input, waker, true);
        }
    }
}

impl<S, B> State<S, S::Future, B>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        is_head: bool,
        switch: &Switch,
    ) -> Poll<Result<Step>> {
        loop {
            match self.as_mut().project() {
                StateProjection::Start { service, request } => {
                    ready!(service.poll_ready(context)).map_err(Error::from_source)?;
                    let Some(request) = request.take() else {
                        return Poll::Ready(Err(Error::new("the service has been called")));
                    };
                    let future = service.call(request);
                    self.set(Self::Call { future });
                }
                StateProjection::Call { future } => {
                    let response = ready!(future.poll(context)).map_err(Error::from_source)?;
                    let (parts, body) = response.into_parts();
                    if switch.is_done_by(parts.status) {
                        self.set(Self::Over);
                        return Poll::Ready(Ok(Step::Switch(parts)));
                    }
                    if body.is_end_stream() {
                        self.set(Self::Over);
                        return Poll::Ready(Ok(Step::Whole(parts, Bytes::new())));
                    }
                    // The body of a HEAD is not run.
                    if is_head || !parts.status.into_status()?.has_body() {
                        let length = body.size_hint().exact();
                        self.set(Self::Over);
                        return Poll::Ready(Ok(Step::Head(parts, length)));
                    }
                    self.set(Self::Body { head: Some(parts), body, next: None });
                }
                StateProjection::Body { head, mut body, next } => {
                    if let Some(next) = next.take() {
                        return Poll::Ready(Ok(next));
                    }
                    let step = step(ready!(body.as_mut().poll_frame(context)))?;
                    if matches!(&step, Step::Data(data) if data.is_empty()) {
                        continue;
                    }
                    let Some(parts) = head.take() else { return Poll::Ready(Ok(step)) };
                    let left = |body: Pin<&mut B>| body.size_hint().exact();
                    let length = match step {
                        Step::End(None) => {
                            return Poll::Ready(Ok(Step::Whole(parts, Bytes::new())));
                        }
                        Step::Data(data) if body.is_end_stream() => {
                            self.set(Self::Over);
                            return Poll::Ready(Ok(Step::Whole(parts, data)));
                        }
                        Step::Data(ref data) => left(body).map(|left| left + data.len() as u64),
                        _ => left(body),
                    };
                    *next = Some(step);
                    return Poll::Ready(Ok(Step::Head(parts, length)));
                }
                StateProjection::Over => return Poll::Ready(Ok(Step::End(None))),
            }
        }
    }

    /// Returns the head alone if it has not been told yet.
    fn head(self: Pin<&mut Self>) -> Option<Step> {
        let StateProjection::Body { head, body, .. } = self.project() else { return None };
        head.take().map(|parts| Step::Head(parts, body.size_hint().exact()))
    }
}

fn step<D, E>(frame: Option<Result<Frame<D>, E>>) -> Result<Step>
where
    D: Buf,
    E: Into<BoxError>,
{
    let Some(frame) = frame.transpose().map_err(Error::from_source)? else {
        return Ok(Step::End(None));
    };
    Ok(match frame.into_data() {
        // No copy for `Bytes`.
        Ok(mut data) => Step::Data(data.copy_to_bytes(data.remaining())),
        Err(frame) => Step::End(frame.into_trailers().ok()),
    })
}
