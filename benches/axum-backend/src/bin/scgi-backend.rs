//! The same answers over SCGI on a Unix socket: what stands behind mod_proxy_scgi.
//!
//! Written by hand, as no SCGI crate is kept up. An SCGI connection carries one request, and its
//! end is the end of the answer; a small answer is one write.
#![forbid(unsafe_code)]

use std::io;
use std::ops::Range;
use std::path::Path;

use axum_backend::{CHUNK, CHUNKS, HELLO, announce, bind_unix, run, usage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// The longest head that is taken; httpd's own limits keep it far below.
const LONGEST_HEAD: usize = 1 << 20;

fn main() -> io::Result<()> {
    let path = std::env::args().nth(1).ok_or_else(|| usage("scgi-backend PATH"))?;
    run(async move {
        let listener = bind_unix(Path::new(&path))?;
        announce(&path)?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                if let Err(error) = serve(stream).await {
                    eprintln!("scgi-backend: {error}");
                }
            });
        }
    })
}

async fn serve(mut stream: UnixStream) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(16384);
    let content = loop {
        match netstring(&buffer)? {
            Some(content) => break content,
            None if stream.read_buf(&mut buffer).await? > 0 => {}
            // httpd looked whether the connection is good, and sent nothing.
            None if buffer.is_empty() => return Ok(()),
            None => return Err(malformed("the head is cut short")),
        }
    };
    let head = Head::parse(&buffer[content.clone()])?;
    let body = &buffer[content.end + 1..];
    answer(&mut stream, &head, body).await?;
    stream.shutdown().await
}

async fn answer(stream: &mut UnixStream, head: &Head<'_>, body: &[u8]) -> io::Result<()> {
    match head.path() {
        b"/hello" => stream.write_all(&[&text_head(HELLO.len()), HELLO.as_bytes()].concat()).await,
        b"/echo" => {
            let length = head.content_length()?;
            let mut answer = text_head(length);
            answer.reserve(length);
            let whole = answer.len() + length;
            answer.extend_from_slice(body);
            while answer.len() < whole {
                if stream.read_buf(&mut answer).await? == 0 {
                    return Err(malformed("the body is cut short"));
                }
            }
            stream.write_all(&answer).await
        }
        b"/stream" => {
            stream.write_all(b"Content-Type: text/plain\r\n\r\n").await?;
            for _ in 0..CHUNKS {
                stream.write_all(&CHUNK).await?;
            }
            Ok(())
        }
        b"/environ" => {
            let mut text = Vec::with_capacity(1024);
            for (name, value) in &head.fields {
                text.extend_from_slice(name);
                text.push(b'=');
                text.extend_from_slice(value);
                text.push(b'\n');
            }
            stream.write_all(&[text_head(text.len()), text].concat()).await
        }
        _ => stream.write_all(b"Status: 404 Not Found\r\nContent-Length: 0\r\n\r\n").await,
    }
}

/// Returns the range of the netstring that a request begins with; a comma follows it. `None` while
/// more of it must come.
fn netstring(buffer: &[u8]) -> io::Result<Option<Range<usize>>> {
    let digits = buffer.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match buffer.get(digits) {
        // LONGEST_HEAD has seven.
        None if digits < 8 => return Ok(None),
        Some(b':') if digits > 0 => {}
        _ => return Err(malformed("it begins with no length")),
    }
    let length = number(&buffer[..digits]).filter(|length| *length <= LONGEST_HEAD);
    let length = length.ok_or_else(|| malformed("the head is too long"))?;
    let content = digits + 1..digits + 1 + length;
    match buffer.get(content.end) {
        None => Ok(None),
        Some(b',') => Ok(Some(content)),
        Some(_) => Err(malformed("no comma ends the head")),
    }
}

/// A request's head: names and values, each with a NUL behind it.
struct Head<'a> {
    fields: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Head<'a> {
    fn parse(content: &'a [u8]) -> io::Result<Self> {
        let content = content.strip_suffix(b"\0").ok_or_else(|| malformed("no NUL ends it"))?;
        let parts: Vec<_> = content.split(|byte| *byte == 0).collect();
        if parts.len() % 2 != 0 {
            return Err(malformed("a name has no value"));
        }
        let fields: Vec<_> = parts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        if fields[0].0 != b"CONTENT_LENGTH" {
            return Err(malformed("CONTENT_LENGTH does not come first"));
        }
        if !fields.contains(&(b"SCGI", b"1")) {
            return Err(malformed("it is not SCGI 1"));
        }
        Ok(Self { fields })
    }

    fn value(&self, name: &[u8]) -> &'a [u8] {
        self.fields.iter().find(|(key, _)| *key == name).map_or(b"", |(_, value)| value)
    }

    /// Returns the path of the request, without its query.
    fn path(&self) -> &'a [u8] {
        self.value(b"REQUEST_URI").split(|byte| *byte == b'?').next().unwrap_or_default()
    }

    fn content_length(&self) -> io::Result<usize> {
        number(self.value(b"CONTENT_LENGTH")).ok_or_else(|| malformed("CONTENT_LENGTH"))
    }
}

fn text_head(length: usize) -> Vec<u8> {
    format!("Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed SCGI request: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] =
        b"49:CONTENT_LENGTH\x005\x00SCGI\x001\x00REQUEST_URI\x00/echo?a=1\x00X\x00\x00,hello";

    #[test]
    fn a_request_and_its_prefixes() {
        let content = netstring(REQUEST).unwrap().unwrap();
        let head = Head::parse(&REQUEST[content.clone()]).unwrap();
        assert_eq!(head.path(), b"/echo");
        assert_eq!(head.content_length().unwrap(), 5);
        assert_eq!(&REQUEST[content.end..], b",hello");
        assert_eq!(head.fields.last(), Some(&(&b"X"[..], &b""[..])));
        for end in 0..=content.end {
            assert!(netstring(&REQUEST[..end]).unwrap().is_none(), "{end}");
        }
    }

    #[test]
    fn other_protocols_than_scgi_are_refused() {
        for request in [
            &b"GET / HTTP/1.1\r\n"[..],
            b":CONTENT_LENGTH\x000\x00",
            b"99999999:",
            b"24:CONTENT_LENGTH\x000\x00SCGI\x001\x00;",
        ] {
            assert!(netstring(request).is_err(), "{}", request.escape_ascii());
        }
        for content in [
            &b""[..],
            b"CONTENT_LENGTH\x000\x00SCGI\x001",
            b"CONTENT_LENGTH\x000\x00SCGI\x00",
            b"SCGI\x001\x00CONTENT_LENGTH\x000\x00",
            b"CONTENT_LENGTH\x000\x00SCGI\x002\x00",
        ] {
            assert!(Head::parse(content).is_err(), "{}", content.escape_ascii());
        }
    }
}
