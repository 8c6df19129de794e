//! One request: from hyper to a thread that runs its application, and the response back.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use ipnet::IpNet;
use tokio::sync::oneshot;

use super::body::{Broken, Guard, Presence, ResponseBody};
use super::executor::Executor;
use super::input::{Inbox, Source};
use super::path::Refused;
use super::sink::{HttpSink, Rest};
use super::variables::{self, Ends, Unfit};
use crate::gateway::{Code, Level, panic};
use crate::protocol::params::Params;
use crate::server::site::{self, Ending, Mode, Site, page};

/// What all requests share.
pub(super) struct Shared {
    pub(super) site: Arc<Site>,
    pub(super) trusted: Vec<IpNet>,
    pub(super) executor: Arc<Executor>,
}

/// Answers a request of the connection with these `ends`.
///
/// # Errors
///
/// The response broke before its head: the connection is closed.
pub(super) async fn answer(
    shared: Arc<Shared>,
    ends: Ends,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Broken> {
    let (parts, body) = request.into_parts();
    let mut params = Params::new();
    if let Err(unfit) = variables::write(&parts, ends, &shared.trusted, &mut params) {
        return Ok(shared.refuse(unfit, ends.peer.map(|peer| peer.ip()), parts.uri.path()));
    }
    drop(parts);
    let presence = Arc::new(Presence::default());
    // Whatever becomes of this future, the application is told.
    let guard = Guard(presence.clone());
    let (start, started) = oneshot::channel();
    let (job, executor) = (shared.clone(), shared.executor.clone());
    let run = move || job.run(&params, body, &presence, start);
    if let Err(error) = executor.run(run) {
        shared.site.log.line(
            Code::NoResources.level(),
            &Code::NoResources.line(format_args!(
                "no thread can be started for a request: {error}; answering 503"
            )),
        );
        return Ok(own(StatusCode::SERVICE_UNAVAILABLE));
    }
    let started = started.await.map_err(|_| Broken)?;
    let body = match started.rest {
        Rest::Whole(data, trailers) => ResponseBody::Whole { data, trailers },
        Rest::Stream(pieces) => ResponseBody::Stream { pieces, breaks: false, _guard: guard },
    };
    Ok(started.head.map(|()| body))
}

impl Shared {
    /// On a thread of the executor: from the application's call to its end.
    fn run(
        &self,
        params: &Params,
        body: Incoming,
        presence: &Presence,
        start: oneshot::Sender<super::sink::Started>,
    ) {
        let timeouts = &self.site.timeouts;
        let inbox = Inbox::new(body, timeouts.body, self.executor.clone());
        let is_http2 = params.get(b"SERVER_PROTOCOL") == Some(b"HTTP/2.0");
        let sink =
            HttpSink::new(&self.executor, &inbox, presence, (timeouts.send, is_http2), start);
        let mut source = Source::new(&inbox);
        // A panic of the kit's own ends the request, not the thread.
        let ending =
            panic::catch(|| site::serve(&self.site, Mode::Http, params, &sink, &mut source));
        match ending {
            Ok(Ending::Whole) => {}
            Ok(Ending::Broken | Ending::Gone) => sink.break_off(),
            Err(error) => {
                self.site.log.line(
                    Code::WorkerPanicked.level(),
                    &Code::WorkerPanicked.line(format_args!("a worker thread {error}")),
                );
                sink.break_off();
            }
        }
    }

    /// Answers what no application is asked for.
    fn refuse(&self, unfit: Unfit, client: Option<IpAddr>, path: &str) -> Response<ResponseBody> {
        let (status, why) = match unfit {
            Unfit::Server => {
                let mut response = Response::new(whole(Bytes::new()));
                let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, OPTIONS");
                response.headers_mut().insert(header::ALLOW, allowed);
                return response;
            }
            Unfit::Host => (StatusCode::BAD_REQUEST, "it has not one Host".to_owned()),
            Unfit::Connect => {
                (StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served here".to_owned())
            }
            Unfit::Path(refused @ Refused::Malformed) => {
                (StatusCode::BAD_REQUEST, refused.to_string())
            }
            Unfit::Path(refused @ Refused::NotThere) => {
                (StatusCode::NOT_FOUND, refused.to_string())
            }
        };
        let client = client.map_or_else(|| "-".to_owned(), |client| client.to_string());
        let path = path.escape_debug();
        self.site.log.line(
            Level::Info,
            &Code::PeerViolation.line(format_args!(
                "http: a request for {path} is refused: {why}; answering {} [client {client}]",
                status.as_u16()
            )),
        );
        own(status)
    }
}

/// A small page for an error that no application answers.
fn own(status: StatusCode) -> Response<ResponseBody> {
    let mut response = Response::new(whole(page(status).into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/html; charset=iso-8859-1");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

const fn whole(data: Bytes) -> ResponseBody {
    ResponseBody::Whole { data, trailers: None }
}
