//! The same answers over FastCGI with the crate `fastcgi`, on the Unix socket whose path is its
//! argument: a thread for each connection.
//!
//! The crate writes a record for each write, its header and its content on their own, and copies
//! the content. In its favour, what is written is collected to the largest record here.
#![forbid(unsafe_code)]

use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use axum_backend::{CHUNK, CHUNKS, HELLO, announce, usage};
use fastcgi::Request;

/// The most content of a record.
const RECORD: usize = 65_535;

fn main() -> io::Result<()> {
    let path = std::env::args().nth(1).ok_or_else(|| usage("fastcgi-backend PATH"))?;
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
    announce(&path)?;
    fastcgi::run_raw(
        |mut request| {
            if let Err(error) = answer(&mut request) {
                eprintln!("fastcgi-backend: {error}");
            }
        },
        listener.as_raw_fd(),
    );
    Ok(())
}

fn answer(request: &mut Request) -> io::Result<()> {
    let target = request.param("REQUEST_URI").unwrap_or_default();
    let stdout = request.stdout();
    match target.split('?').next().unwrap_or_default() {
        "/hello" => {
            let mut out = BufWriter::with_capacity(256, stdout);
            let length = HELLO.len();
            write!(out, "Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{HELLO}")?;
            out.flush()
        }
        "/stream" => {
            let mut out = BufWriter::with_capacity(RECORD, stdout);
            out.write_all(b"Content-Type: text/plain\r\n\r\n")?;
            for _ in 0..CHUNKS {
                out.write_all(&CHUNK)?;
            }
            out.flush()
        }
        _ => {
            let mut out = stdout;
            out.write_all(b"Status: 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        }
    }
}
