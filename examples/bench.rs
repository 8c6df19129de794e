//! The application of `cargo httpd bench`: the same responses as benches/c_handler, from
//! applications.
#![forbid(unsafe_code)]

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use mod_rust::{Body, Environ, Factory, Result, StartResponse};

#[path = "bench/waiting.rs"]
mod waiting;

/// A stream of 1 MiB comes in this many pieces.
const PIECES: usize = 64;
static PIECE: [u8; 16 * 1024] = [b'x'; 16 * 1024];

/// The largest body that `echo` takes, in bytes.
const ECHO_LIMIT: u64 = 1024 * 1024;

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];

fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, TEXT)?;
    Ok(Body::from("Hello, world\n"))
}

fn echo<'x>(mut environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let body = environ.input().read_all(ECHO_LIMIT)?;
    start_response.start(200, TEXT)?;
    Ok(Body::from(body))
}

fn stream<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, TEXT)?;
    Ok(Body::from_ready((0..PIECES).map(|_| Ok(Bytes::from_static(&PIECE)))))
}

fn environ<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let mut text = Vec::with_capacity(2048);
    environ.each(|key, value| {
        text.extend_from_slice(key);
        text.push(b'=');
        text.extend_from_slice(value);
        text.push(b'\n');
    });
    start_response.start(200, TEXT)?;
    Ok(Body::from(text))
}

async fn hello_from_axum() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain")], "Hello, world\n")
}

/// Gives its thread away once before the same answer.
async fn hello_after_a_yield() -> impl IntoResponse {
    tokio::task::yield_now().await;
    hello_from_axum().await
}

mod_rust::module! {
    /// `LoadModule bench_module …/mod_bench.so`
    pub static bench_module: "mod_bench.c";
    applications = {
        "hello" => Factory::of(hello),
        "echo" => Factory::of(echo),
        "stream" => Factory::of(stream),
        "environ" => Factory::of(environ),
        "axum" => Factory::service(Router::new().route("/", get(hello_from_axum))),
        "awaiting" => Factory::service(Router::new().route("/", get(hello_after_a_yield))),
        "waiting" => Factory::service(waiting::router()),
    };
}
