//! The same answers from applications of mod_rust, over every protocol that it speaks: what
//! `cargo httpd bench --gateways` measures. The command line is that of every gateway program
//! (docs/gateways.md).
#![forbid(unsafe_code)]

use std::process::ExitCode;

use axum_backend::{CHUNK, CHUNKS, HELLO, waiting};
use bytes::Bytes;
use mod_rust::{Body, Environ, Factory, Gateway, Result, StartResponse};

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];

fn main() -> ExitCode {
    Gateway::new("gateway-backend", env!("CARGO_PKG_VERSION"))
        .application("hello", Factory::of(hello))
        .application("stream", Factory::of(stream))
        .application("waiting", Factory::service(waiting()))
        .mount("/hello", "hello")
        .mount("/stream", "stream")
        .mount("/waiting", "waiting")
        .main()
}

fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, TEXT)?;
    Ok(Body::from(HELLO))
}

fn stream<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, TEXT)?;
    Ok(Body::from_ready((0..CHUNKS).map(|_| Ok(Bytes::from_static(&CHUNK)))))
}
