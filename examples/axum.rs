//! An axum `Router` inside httpd, unchanged: routes, extractors, state, streaming both ways.
//!
//! ```text
//! LoadModule axum_module modules/mod_axum.so
//! RustAppAlias /api api
//! ```
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Extension, OriginalUri, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use mod_rust::Factory;
use mod_rust::gateway::service::{ServiceEnviron, with_extension};
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// The state that the handlers of one process share.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU64>);

async fn hello() -> &'static str {
    "Hello, axum\n"
}

async fn count(State(Counter(counter)): State<Counter>) -> String {
    format!("{}\n", counter.fetch_add(1, Ordering::Relaxed) + 1)
}

/// The environ is among the request's extensions, for the handler and for tasks of its own.
async fn variable(
    Path(name): Path<String>,
    Extension(environ): Extension<ServiceEnviron>,
) -> Response {
    let here = environ.get(&name);
    let task = tokio::spawn(async move { environ.get(&name) });
    match (here, task.await) {
        (Some(here), Ok(Some(there))) if here == there => here.into_response(),
        (None, Ok(None)) => StatusCode::NOT_FOUND.into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The environ from a thread that the service waits for without letting its own thread answer. Only
/// a wrong service does that.
async fn joined(
    Path(name): Path<String>,
    Extension(environ): Extension<ServiceEnviron>,
) -> Response {
    match std::thread::spawn(move || environ.get(name)).join() {
        Ok(Some(value)) => value.into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// All of the environ, from a task.
async fn everything(Extension(environ): Extension<ServiceEnviron>) -> Result<String, StatusCode> {
    let names = tokio::spawn(async move {
        let mut names = String::new();
        environ.each(|name, _| names += &format!("{}\n", name.escape_ascii()));
        names
    });
    names.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// The environ from a task that outlives the response's head, piece by piece.
async fn later(Extension(environ): Extension<ServiceEnviron>) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for name in ["SCRIPT_NAME", "PATH_INFO", "REQUEST_METHOD"] {
            let value = environ.get(name).unwrap_or_default();
            if sender.send(Ok::<_, Infallible>(value)).await.is_err() {
                return;
            }
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

/// The whole request body back.
async fn echo(body: Bytes) -> Bytes {
    body
}

/// Each frame of the request body back as it comes, trailers among them.
async fn duplex(body: Body) -> Body {
    body
}

/// The first frame of the request body back a moment after it came, while a task waits for the next.
async fn first(body: Body) -> Result<Bytes, StatusCode> {
    let mut frames = body.into_data_stream();
    let first = frames.next().await.and_then(Result::ok).ok_or(StatusCode::BAD_REQUEST)?;
    tokio::spawn(async move { while frames.next().await.is_some() {} });
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(first)
}

/// The client's address and the URI with the mount's path, as axum's own server gives them.
async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>, original: OriginalUri) -> String {
    format!("{} {}\n", peer.ip(), original.0)
}

/// Answers with fields that a proxy hands on from another server's response.
async fn handed_on() -> impl IntoResponse {
    let fields = [("connection", "close"), ("transfer-encoding", "chunked"), ("status", "200")];
    (fields, "handed on\n")
}

async fn wait(Path(ms): Path<u64>) -> String {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    format!("waited {ms} ms\n")
}

/// Pieces from a task of its own, with trailers after them.
async fn stream(Path(pieces): Path<u32>) -> Response {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        for piece in 0..pieces {
            if sender.send(Bytes::from(format!("piece {piece}\n"))).await.is_err() {
                tracing::debug!("the client of the stream has gone");
                return;
            }
        }
    });
    let frames = ReceiverStream::new(receiver).map(|data| Ok::<_, Infallible>(Frame::data(data)));
    let trailers = HeaderMap::from_iter([(
        axum::http::HeaderName::from_static("x-pieces"),
        HeaderValue::from(pieces),
    )]);
    let trailers = std::future::ready(Some(Ok(trailers)));
    Body::new(StreamBody::new(frames).with_trailers(trailers)).into_response()
}

/// Pieces with a pause before each.
async fn slow(Path(pieces): Path<u32>) -> Response {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for piece in 0..pieces {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if sender.send(Ok::<_, Infallible>(format!("piece {piece}\n"))).await.is_err() {
                return;
            }
        }
    });
    Body::from_stream(ReceiverStream::new(receiver)).into_response()
}

/// Events of `tracing` are lines of the ErrorLog, with this request's client and virtual host.
async fn trace(Path(text): Path<String>) -> StatusCode {
    tracing::warn!(text, "traced");
    StatusCode::NO_CONTENT
}

/// Bytes of a response that look into the environ when they have been sent.
struct Farewell(ServiceEnviron, [u8; 1000]);

impl AsRef<[u8]> for Farewell {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl Drop for Farewell {
    fn drop(&mut self) {
        let query = self.0.get("QUERY_STRING").unwrap_or_default();
        tracing::info!("farewell to {}", query.escape_ascii());
    }
}

async fn farewell(Extension(environ): Extension<ServiceEnviron>) -> Body {
    Body::from(Bytes::from_owner(Farewell(environ, [b'.'; 1000])))
}

fn router() -> Router {
    Router::new()
        .route("/farewell", post(farewell))
        .route("/", get(hello))
        .route("/count", post(count))
        .route("/environ", get(everything))
        .route("/environ/{name}", get(variable))
        .route("/joined/{name}", get(joined))
        .route("/later", get(later))
        .route("/echo", post(echo))
        .route("/duplex", post(duplex))
        .route("/first", post(first))
        .route("/peer", get(peer))
        .route("/handed-on", get(handed_on))
        .route("/wait/{ms}", get(wait))
        .route("/stream/{pieces}", get(stream))
        .route("/slow/{pieces}", get(slow))
        .route("/trace/{text}", get(trace))
        .with_state(Counter::default())
}

/// Returns the application, with the extensions that axum's extractors look for.
fn api() -> Factory {
    let service = with_extension(router(), |environ| environ.peer_addr().map(ConnectInfo));
    Factory::service(with_extension(service, |environ| environ.original_uri().map(OriginalUri)))
}

mod_rust::module! {
    /// `LoadModule axum_module …/mod_axum.so`
    pub static axum_module: "mod_axum.c";
    applications = { "api" => api() };
}
