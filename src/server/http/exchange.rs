//! One request: from hyper to a thread that runs its application, and the response back.

use std::cell::{Cell, OnceCell};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::body::{Broken, ParkedOutput, ResponseBody, ResponseOutput, ResponseRest};
use super::deadlines::Activity;
use super::executor::Executor;
use super::input::{BodySource, ReadBody, RequestBodyQueue, discard};
use super::options::HttpOptions;
use super::path::PathRefusal;
use super::sink::{HttpSink, ResponseDraft};
use super::variables::{self, Ends, Unfit};
use crate::gateway::exchange::Upgrade;
use crate::gateway::run::Awaited;
use crate::gateway::{Code, Error, ErrorKind, Level, panic};
use crate::os;
use crate::protocol::params::Params;
use crate::server::site::{
    self, Fault, Mode, Refusal, ResponseEnd, Served, Site, SuspendedRequest, page,
};
use crate::server::workers::visits::{Visited, Visits, us};

/// The piece of a response that a stream of HTTP/2 gets at once: a frame, in bytes.
const H2_PIECE: usize = 16 * 1024;

/// The part that all requests share.
pub(super) struct ServerState {
    pub(super) site: Arc<Site>,
    pub(super) options: HttpOptions,
    pub(super) executor: Arc<Executor>,
    pub(super) parked: Arc<ParkedOutput>,
    /// The process is to end: connections of HTTP/1 are not kept.
    pub(super) is_draining: AtomicBool,
}

/// Answers a request of the connection with these `ends`.
///
/// # Errors
///
/// The response broke before its head: the connection is closed.
pub(super) async fn answer(
    shared: Arc<ServerState>,
    ends: Ends,
    activity: Arc<Activity>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Broken> {
    // However this future ends: the application is told by the end of `reader`.
    let (start, started) = oneshot::channel();
    let (output, reader) = ResponseOutput::new(shared.parked.clone(), activity.clone(), start);
    let (mut parts, body) = request.into_parts();
    let is_http1 = parts.version < Version::HTTP_2;
    let mut params = Params::new();
    let proxies = &shared.options.proxies;
    if let Err(unfit) = variables::write(&parts, ends, proxies, &mut params) {
        variables::write_refused(&parts, ends, proxies, &mut params);
        return Ok(shared.refuse(unfit, &params, parts.uri.path()));
    }
    let upgrade = match (parts.extensions.remove(), parts.extensions.remove()) {
        (Some(on_upgrade), None) => Upgrade::Hyper(on_upgrade),
        (Some(on_upgrade), Some(protocol)) => Upgrade::Connect(on_upgrade, protocol),
        (None, _) => Upgrade::None,
    };
    drop(parts);
    let params = Arc::new(params);
    let client = params.get(b"REMOTE_ADDR").map(|it| String::from_utf8_lossy(it).into_owned());
    let rest = if is_http1 && !body.is_end_stream() {
        let (rest, unread) = oneshot::channel();
        let activity = activity.clone();
        tokio::spawn(async move {
            if let Ok(body) = unread.await {
                discard(body).await;
                activity.discarded();
            }
        });
        Some(rest)
    } else {
        None
    };
    let is_held_back = params.get(b"HTTP_EXPECT").is_some();
    let inbox = RequestBodyQueue::new(
        body,
        (shared.site.timeouts.body, is_held_back),
        output.clone(),
        shared.executor.clone(),
    );
    let job = HttpRequest {
        shared: shared.clone(),
        params: params.clone(),
        inbox,
        read: ReadBody::default(),
        output: output.clone(),
        draft: ResponseDraft::default(),
        visits: OnceCell::new(),
        upgrade: Cell::new(upgrade),
        rest,
        suspended: None,
    };
    let Ok(ticket) = shared.executor.run(move || job.run()) else {
        return Ok(shared.overloaded(Refusal::QueueFull, &params, client.as_deref()));
    };
    let mut started = pin!(started);
    let queue_timeout = shared.site.timeouts.queue;
    let started = match tokio::time::timeout(queue_timeout, &mut started).await {
        Ok(started) => started,
        Err(_) if ticket.cancel() => {
            return Ok(shared.overloaded(Refusal::QueueTimeout, &params, client.as_deref()));
        }
        Err(_) => started.await,
    };
    let started = started.map_err(|_| Broken)?;
    // hyper buffers a piece without regard to the stream's window, and drops the body behind the last
    // one: what is in hyper counts nowhere.
    let piece = if is_http1 { usize::MAX } else { H2_PIECE };
    let body = match started.rest {
        ResponseRest::Whole(data, trailers) => {
            output.complete();
            ResponseBody::Whole { data, piece, trailers, _reader: Some(reader) }
        }
        ResponseRest::Stream => ResponseBody::Stream { reader, piece, breaks: false },
    };
    let mut response = started.head.map(|()| body);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        activity.switch();
        return Ok(response);
    }
    if is_http1 && shared.is_draining.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// The visits of a request.
pub(super) type HttpVisits = Visits<Executor, Box<HttpRequest>>;

/// A request on a thread of the executor, or between two visits.
pub(super) struct HttpRequest {
    shared: Arc<ServerState>,
    params: Arc<Params>,
    inbox: RequestBodyQueue,
    read: ReadBody,
    output: Arc<ResponseOutput>,
    draft: ResponseDraft,
    /// Brings the next visit, once the request has waited.
    visits: OnceCell<Arc<HttpVisits>>,
    /// Gives the connection, or the stream, to an application that switches it to another protocol.
    upgrade: Cell<Upgrade>,
    /// Takes the unread rest of the body.
    rest: Option<oneshot::Sender<Incoming>>,
    /// The state of a request that has waited.
    suspended: Option<Box<SuspendedRequest>>,
}

impl Visited<Executor> for Box<HttpRequest> {
    fn visit(self, (): &mut (), _: &Arc<HttpVisits>) {
        (*self).run();
    }
}

impl HttpRequest {
    /// Goes on with the application: from its call, or its last wait, to its next wait or its end.
    fn run(self) {
        let Self { shared, params, inbox, read, output, draft, visits, upgrade, rest, suspended } =
            self;
        let (site, executor) = (&shared.site, &shared.executor);
        let is_http2 = params.get(b"SERVER_PROTOCOL") == Some(b"HTTP/2.0");
        let visit_waker = || {
            if visits.get().is_none() {
                let new = Visits::new(executor)?;
                output.tell(new.waker());
                let _ = visits.set(new);
            }
            visits.get().map(Visits::waker)
        };
        let sink = HttpSink::new(
            (&params, executor),
            (&inbox, &output),
            &upgrade,
            (site.timeouts.send, is_http2),
            &visit_waker,
            draft,
        );
        let mut source = BodySource::new(&inbox, read);
        let request = (&**site, Mode::Http, &*params);
        // A panic of the kit's own ends the request, not the thread.
        let served = panic::catch(|| match suspended {
            None => site::start(request, &sink, &mut source),
            Some(suspended) => {
                let is_late = visits.get().is_some_and(|visits| visits.is_late());
                go_on(*suspended, request, (&sink, &mut source), is_late)
            }
        });
        match served {
            Ok(Served::Suspended(suspended)) => {
                let (read, draft) = (source.into_read(), sink.into_draft());
                let Some(own) = visits.get().cloned() else { return };
                let suspended = Some(suspended);
                let request = Self {
                    shared,
                    params,
                    inbox,
                    read,
                    output,
                    draft,
                    visits,
                    upgrade,
                    rest,
                    suspended,
                };
                request.wait(&own, is_http2);
                return;
            }
            Ok(Served::Done(ResponseEnd::Whole)) => {
                if let Some(visits) = visits.get() {
                    visits.end();
                }
                if let Some(rest) = rest.filter(|_| !inbox.is_at_end() && inbox.can_end()) {
                    // The connection may be gone.
                    let _ = rest.send(inbox.into_rest());
                }
                return;
            }
            Ok(Served::Done(ResponseEnd::Broken | ResponseEnd::Gone)) => {}
            Err(error) => {
                site.log.line(
                    Code::WorkerPanicked.level(),
                    &Code::WorkerPanicked.line(format_args!("a worker thread {error}")),
                );
            }
        }
        sink.break_off();
        if let Some(visits) = visits.get() {
            visits.end();
        }
    }

    /// Has the request wait for its next visit.
    fn wait(self, visits: &Arc<HttpVisits>, is_http2: bool) {
        let waker = visits.waker();
        let timeouts = &self.shared.site.timeouts;
        let awaited = self.suspended.as_ref().map(|suspended| suspended.awaited());
        // Every event that has come before is a call of the waker, which leads to another visit.
        let (has_come, timeout) = match awaited {
            Some(Awaited::Input) => {
                let is_there = self.inbox.poll_ready(&mut Context::from_waker(&waker));
                (is_there, Some(timeouts.body))
            }
            // A connection of HTTP/1 has a deadline of its own.
            Some(Awaited::Room) => {
                (!self.output.wait_for_room(&waker), is_http2.then_some(timeouts.send))
            }
            Some(Awaited::Waker) | None => (false, None),
        };
        if has_come || self.output.is_gone() {
            waker.wake();
        }
        visits.expect(timeout.map(|timeout| os::monotonic_us().saturating_add(us(timeout))));
        visits.suspend(Box::new(self));
    }
}

/// Goes on with a request that has waited, unless nobody wants its response any more.
fn go_on(
    suspended: SuspendedRequest,
    request: site::Request<'_>,
    (sink, source): (&HttpSink<'_>, &mut BodySource<'_>),
    is_late: bool,
) -> Served {
    let error = if sink.is_gone() {
        Error::of(ErrorKind::ClientGone, "the client left while the application waited")
    } else if is_late && suspended.awaited() == Awaited::Room {
        sink.unread()
    } else {
        if is_late {
            source.expire();
        }
        return suspended.resume(request, sink, source);
    };
    Served::Done(suspended.give_up(request, sink, error))
}

impl ServerState {
    /// Answers a request that no thread takes up.
    fn overloaded(
        &self,
        refusal: Refusal,
        params: &Params,
        client: Option<&str>,
    ) -> Response<ResponseBody> {
        self.site.log.fault(refusal.fault(), Level::Error, || {
            let text = refusal.text(&self.site.limits, &self.site.timeouts);
            format!("http: {text} [client {}]", client.unwrap_or("-"))
        });
        let mut response = self.own(params, refusal.status());
        if let Some(seconds) = refusal.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        response
    }

    /// Answers what no application is asked for.
    fn refuse(&self, unfit: Unfit, params: &Params, path: &str) -> Response<ResponseBody> {
        let (status, why) = match unfit {
            Unfit::Server => {
                self.site.log_refusal(Mode::Http, params, (StatusCode::OK, 0));
                let mut response = Response::new(whole(Bytes::new()));
                let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS");
                response.headers_mut().insert(header::ALLOW, allowed);
                return response;
            }
            Unfit::Host => {
                (StatusCode::BAD_REQUEST, "it has not one valid Host (RFC 9112, 3.2)".to_owned())
            }
            Unfit::Connect => {
                (StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served here".to_owned())
            }
            Unfit::Path(refused @ PathRefusal::Malformed) => {
                (StatusCode::BAD_REQUEST, refused.to_string())
            }
            Unfit::Path(refused @ PathRefusal::NotThere) => {
                (StatusCode::NOT_FOUND, refused.to_string())
            }
        };
        self.site.log.fault(Fault::Violation, Level::Info, || {
            let client = params.get(b"REMOTE_ADDR").unwrap_or(b"-").escape_ascii();
            let path = path.escape_debug().take(PATH_MAX).collect::<String>();
            format!(
                "http: a request for {path} is refused: {why}; answering {} [client {client}]",
                status.as_u16()
            )
        });
        self.own(params, status)
    }

    /// Makes a small page for an error that no application answers.
    fn own(&self, params: &Params, status: StatusCode) -> Response<ResponseBody> {
        let page = page(status);
        self.site.log_refusal(Mode::Http, params, (status, page.len()));
        let mut response = Response::new(whole(page.into()));
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("text/html; charset=iso-8859-1");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// The most characters of a path in a log line.
const PATH_MAX: usize = 256;

const fn whole(data: Bytes) -> ResponseBody {
    ResponseBody::Whole { data, piece: usize::MAX, trailers: None, _reader: None }
}
