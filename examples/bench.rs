//! The application of `cargo httpd bench`: the same responses as benches/c_handler, from
//! applications.
#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use mod_rust::gateway::FileBody;
use mod_rust::{Body, Environ, Factory, Result, StartResponse};

#[path = "bench/waiting.rs"]
mod waiting;

/// A stream of 1 MiB comes in this many pieces.
const PIECES: usize = 64;
static PIECE: [u8; 16 * 1024] = [b'x'; 16 * 1024];

/// The largest body that `echo` takes, in bytes.
const ECHO_LIMIT: u64 = 1024 * 1024;

/// The wait of `sleeping`.
const NAP: Duration = Duration::from_millis(2);

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];

fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, TEXT)?;
    Ok(Body::from("Hello, world\n"))
}

/// Sends the file `file` of the DocumentRoot.
fn file<'x>(environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let root = environ.get("DOCUMENT_ROOT").unwrap_or_default();
    let file = File::open(Path::new(OsStr::from_bytes(root)).join("file"))?;
    start_response.start(200, TEXT)?;
    Ok(Body::file(FileBody::new(file)?))
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

/// Waits for a timer before the same answer: its thread has other work meanwhile.
async fn hello_after_a_nap() -> impl IntoResponse {
    tokio::time::sleep(NAP).await;
    hello_from_axum().await
}

/// Says which process answers, so that a new generation shows.
fn process<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, TEXT)?;
    Ok(Body::from(format!("{}\n", std::process::id())))
}

mod_rust::module! {
    /// `LoadModule bench_module …/mod_bench.so`
    pub static bench_module: "mod_bench.c";
    applications = {
        "hello" => Factory::of(hello),
        "file" => Factory::of(file),
        "process" => Factory::of(process),
        "echo" => Factory::of(echo),
        "stream" => Factory::of(stream),
        "environ" => Factory::of(environ),
        "axum" => Factory::service(Router::new().route("/", get(hello_from_axum))),
        "awaiting" => Factory::service(Router::new().route("/", get(hello_after_a_yield))),
        "sleeping" => Factory::service(Router::new().route("/", get(hello_after_a_nap))),
        "waiting" => Factory::service(waiting::router()),
    };
}
