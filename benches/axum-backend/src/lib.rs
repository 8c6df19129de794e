//! Parts that the benchmark's backends share: the answers' data, the runtime, the listener.
//!
//! A backend prints its address as one line once it listens, so whoever started it need not guess.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::UnixListener;

#[path = "../../../examples/bench/waiting.rs"]
mod waiting;

/// The answer to `/hello`.
pub const HELLO: &str = "Hello, world\n";
/// The number of chunks that `/stream` sends.
pub const CHUNKS: usize = 64;
/// One of them.
pub static CHUNK: [u8; 16384] = [b'x'; 16384];

/// Returns the application that waits, which the module of the benchmark has too.
pub fn waiting() -> axum::Router {
    waiting::router()
}

/// Runs a backend on two worker threads.
///
/// # Errors
/// Fails when the runtime cannot be made, or what the backend returns.
pub fn run(backend: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(backend)
}

/// Listens on a Unix socket that every user may connect to, as httpd's children are others.
///
/// # Errors
/// Fails when the path cannot be bound: it is too long, in use, or its folder is not writable.
pub fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Says on standard output that the backend listens, and where.
///
/// # Errors
/// Fails when nobody reads it.
pub fn announce(address: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{address}")?;
    out.flush()
}

/// Returns the error of a wrong command line.
pub fn usage(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("usage: {text}"))
}
