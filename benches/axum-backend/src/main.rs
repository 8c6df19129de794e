//! An axum application over TCP or a Unix socket: what stands behind mod_proxy_http.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::io;
use std::path::Path;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::HeaderName;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum_backend::{CHUNK, CHUNKS, HELLO, announce, bind_unix, run, usage, waiting};
use tokio::net::{TcpListener, TcpSocket};

/// The connections that may wait to be accepted; the kernel allows 4,096 at most, usually.
const BACKLOG: u32 = 4096;
const TEXT: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "text/plain")];

fn main() -> io::Result<()> {
    let listen = std::env::args().nth(1).unwrap_or_default();
    run(async move {
        match listen.split_once(':') {
            Some(("tcp", address)) => {
                let listener = listen_tcp(address)?;
                announce(&listener.local_addr()?.to_string())?;
                let listener = listener.tap_io(|stream| {
                    // Without it a small answer waits for the client's acknowledgement.
                    if let Err(error) = stream.set_nodelay(true) {
                        eprintln!("axum-backend: no TCP_NODELAY: {error}");
                    }
                });
                axum::serve(listener, application()).await
            }
            Some(("unix", path)) => {
                let listener = bind_unix(Path::new(path))?;
                announce(path)?;
                axum::serve(listener, application()).await
            }
            _ => Err(usage("axum-backend tcp:ADDRESS:PORT | unix:PATH")),
        }
    })
}

/// Listens with a backlog for thousands of connections that come at once.
fn listen_tcp(address: &str) -> io::Result<TcpListener> {
    let address = address.parse().map_err(io::Error::other)?;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn application() -> Router {
    Router::new()
        .route("/hello", get(hello))
        .route("/echo", post(echo))
        .route("/stream", get(stream))
        .nest("/waiting", waiting())
}

async fn hello() -> impl IntoResponse {
    (TEXT, HELLO)
}

async fn echo(body: Bytes) -> impl IntoResponse {
    (TEXT, body)
}

async fn stream() -> Response {
    let chunks = (0..CHUNKS).map(|_| Ok::<_, Infallible>(Bytes::from_static(&CHUNK)));
    (TEXT, Body::from_stream(futures_util::stream::iter(chunks))).into_response()
}
