//! The same answers over FastCGI with the crate `outer_cgi`, which reads the command line itself:
//! `fcgi-unix --bind PATH --chmod 666 --max-connections N`. It has a thread for each connection,
//! and collects what is written to the largest record.
#![forbid(unsafe_code)]

use std::collections::HashMap;

use anyhow::Result;
use axum_backend::{CHUNK, CHUNKS, HELLO};
use outer_cgi::IO;

fn main() {
    outer_cgi::main(|_| {}, answer)
}

fn answer(out: &mut dyn IO, environ: HashMap<String, String>) -> Result<i32> {
    let target = environ.get("REQUEST_URI").map_or("", String::as_str);
    match target.split('?').next().unwrap_or_default() {
        "/hello" => {
            let length = HELLO.len();
            write!(out, "Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{HELLO}")?;
        }
        "/stream" => {
            out.write_all(b"Content-Type: text/plain\r\n\r\n")?;
            for _ in 0..CHUNKS {
                out.write_all(&CHUNK)?;
            }
        }
        _ => out.write_all(b"Status: 404 Not Found\r\nContent-Length: 0\r\n\r\n")?,
    }
    Ok(0)
}
