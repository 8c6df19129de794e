//! The head of a response: status line and headers, and what they say about the body's length.

use std::fmt;

use super::error::ClientError;

/// Status line and headers of one response, interim ones included.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The text after it; bytes that are not UTF-8 replaced.
    pub reason: String,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// Names as sent, values as bytes, in the order of the wire.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Statuses of the interim responses (1xx) that came before.
    pub interim: Vec<u16>,
}

/// The framing of a body (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    Close,
}

impl Head {
    /// Returns the first value of the header `name`, in any case.
    ///
    /// # Panics
    /// Panics when it is not UTF-8: read [`Head::headers`] then.
    pub fn header(&self, name: &str) -> Option<&str> {
        text_values(&self.headers, name).next()
    }

    /// Returns every value of the header `name`, in the order of the wire.
    ///
    /// # Panics
    /// Panics when one is not UTF-8.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        text_values(&self.headers, name).collect()
    }

    /// Parses the bytes up to and including the empty line.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ClientError> {
        let mut lines = Lines(bytes);
        let line = lines.next_line()?;
        let (version, reason) = line
            .split_at_checked(8)
            .filter(|(version, _)| [b"HTTP/1.1".as_slice(), b"HTTP/1.0"].contains(version))
            .ok_or_else(|| bad("no HTTP/1.x status line", line))?;
        let (code, reason) = reason
            .strip_prefix(b" ")
            .and_then(|rest| rest.split_at_checked(3))
            .filter(|(code, _)| code.iter().all(u8::is_ascii_digit) && code[0] != b'0')
            .ok_or_else(|| bad("no three-digit status code", line))?;
        // The blank after the code must be there even when the reason is empty (RFC 9112 4).
        let reason =
            reason.strip_prefix(b" ").ok_or_else(|| bad("no blank after the status code", line))?;
        Ok(Self {
            status: code.iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0')),
            reason: String::from_utf8_lossy(reason).into_owned(),
            version: String::from_utf8_lossy(version).into_owned(),
            headers: fields(&mut lines)?,
            interim: Vec::new(),
        })
    }

    /// Returns the framing of the body, for the answer to a request with `method`.
    pub(crate) fn framing(&self, method: &str) -> Result<Framing, ClientError> {
        let coding = text_values(&self.headers, "transfer-encoding").collect::<Vec<_>>().join(", ");
        let lengths: Vec<_> = text_values(&self.headers, "content-length").collect();
        if !coding.is_empty() && !lengths.is_empty() {
            return Err(ClientError::malformed(format!(
                "both Transfer-Encoding ({coding}) and Content-Length ({})",
                lengths.join(", ")
            )));
        }
        let length = match lengths.as_slice() {
            [] => None,
            [text] if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                let length = text.parse();
                Some(length.map_err(|_| bad("Content-Length too large", text.as_bytes()))?)
            }
            several => {
                return Err(bad("Content-Length is not a number", several.join(", ").as_bytes()));
            }
        };
        let connected = method == "CONNECT" && (200..300).contains(&self.status);
        if method == "HEAD" || connected || matches!(self.status, 100..=199 | 204 | 304) {
            return Ok(Framing::Length(0));
        }
        let last_coding = coding.rsplit(',').next().unwrap_or_default().trim();
        match (last_coding, length) {
            ("", Some(length)) => Ok(Framing::Length(length)),
            (coding, _) if coding.eq_ignore_ascii_case("chunked") => {
                if self.version == "HTTP/1.0" {
                    return Err(ClientError::malformed("chunked in an HTTP/1.0 response"));
                }
                Ok(Framing::Chunked)
            }
            _ => Ok(Framing::Close),
        }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.interim.is_empty() {
            writeln!(f, "(after {:?})", self.interim)?;
        }
        writeln!(f, "{} {} {}", self.version, self.status, self.reason)?;
        write_fields(f, &self.headers)
    }
}

/// Parses trailer fields, up to and including the empty line.
pub(crate) fn parse_trailers(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, ClientError> {
    fields(&mut Lines(bytes))
}

/// Returns the values of `name` as text, in the order of the wire.
pub(crate) fn text_values<'a>(
    fields: &'a [(String, Vec<u8>)],
    name: &str,
) -> impl Iterator<Item = &'a str> {
    fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(
        |(field, value)| match std::str::from_utf8(value) {
            Ok(text) => text,
            Err(_) => panic!("the header {field} is not UTF-8: {}", value.escape_ascii()),
        },
    )
}

pub(crate) fn write_fields(
    f: &mut fmt::Formatter<'_>,
    fields: &[(String, Vec<u8>)],
) -> fmt::Result {
    fields.iter().try_for_each(|(name, value)| writeln!(f, "{name}: {}", value.escape_ascii()))
}

struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    /// Returns the next line without its CRLF.
    fn next_line(&mut self) -> Result<&'a [u8], ClientError> {
        let end = self.0.windows(2).position(|pair| pair == b"\r\n");
        let end = end.ok_or_else(|| bad("a line without CRLF", self.0))?;
        let (line, rest) = (&self.0[..end], &self.0[end + 2..]);
        self.0 = rest;
        match line.iter().find(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            Some(_) => Err(bad("CR, LF or NUL within a line", line)),
            None => Ok(line),
        }
    }
}

fn fields(lines: &mut Lines<'_>) -> Result<Vec<(String, Vec<u8>)>, ClientError> {
    let mut fields = Vec::new();
    loop {
        let line = lines.next_line()?;
        if line.is_empty() {
            return Ok(fields);
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let colon = colon.ok_or_else(|| bad("a header without a colon", line))?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let name = std::str::from_utf8(name).ok().filter(|name| is_token(name));
        let name = name.ok_or_else(|| bad("a header whose name is not a token", line))?;
        fields.push((name.to_owned(), value.trim_ascii().to_vec()));
    }
}

/// RFC 9110 5.6.2.
fn is_token(name: &str) -> bool {
    let special = "!#$%&'*+-.^_`|~";
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || special.contains(c))
}

fn bad(what: &str, line: &[u8]) -> ClientError {
    let shown = &line[..line.len().min(200)];
    ClientError::malformed(format!("{what}: \"{}\"", shown.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientErrorKind;

    fn head(text: &str) -> Head {
        Head::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn parses_status_line_and_headers() {
        let head = head("HTTP/1.1 404 Not Found\r\nA: 1\r\nb:\t x y \r\na: 2\r\nE:\r\n\r\n");
        assert_eq!((head.status, &*head.reason, &*head.version), (404, "Not Found", "HTTP/1.1"));
        assert_eq!(head.headers("a"), ["1", "2"]);
        assert_eq!(head.header("B"), Some("x y"));
        assert_eq!(head.header("e"), Some(""));
        assert_eq!(head.header("c"), None);
        assert_eq!(super::Head::parse(b"HTTP/1.0 200 \r\n\r\n").unwrap().reason, "");
    }

    #[test]
    fn refuses_what_a_server_must_not_send() {
        for text in [
            "",
            "hello",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 200OK\r\n\r\n",
            "HTTP/1.1 200 OK\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: 1\0\r\n\r\n",
        ] {
            let error = Head::parse(text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ClientErrorKind::Malformed, "{text:?}: {error}");
        }
    }

    #[test]
    fn finds_the_framing() {
        let with = |status: u16, fields: &str, method: &str| {
            head(&format!("HTTP/1.1 {status} x\r\n{fields}\r\n")).framing(method)
        };
        assert_eq!(with(200, "Content-Length: 5\r\n", "GET"), Ok(Framing::Length(5)));
        assert_eq!(with(200, "Content-Length: 5\r\n", "HEAD"), Ok(Framing::Length(0)));
        assert_eq!(with(304, "Content-Length: 5\r\n", "GET"), Ok(Framing::Length(0)));
        assert_eq!(with(204, "", "GET"), Ok(Framing::Length(0)));
        assert_eq!(with(101, "", "GET"), Ok(Framing::Length(0)));
        assert_eq!(with(200, "Transfer-Encoding: gzip, Chunked\r\n", "GET"), Ok(Framing::Chunked));
        assert_eq!(with(200, "Transfer-Encoding: gzip\r\n", "GET"), Ok(Framing::Close));
        assert_eq!(with(200, "", "GET"), Ok(Framing::Close));
    }

    #[test]
    fn refuses_ambiguous_framing() {
        for fields in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        ] {
            let head = head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
            let error = head.framing("GET").unwrap_err();
            assert_eq!(error.kind(), ClientErrorKind::Malformed, "{fields:?}");
        }
        let old = head("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert!(old.framing("GET").is_err());
    }
}
