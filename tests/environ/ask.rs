//! Asks the same of the probe and of what it is compared with.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use httpd_testkit::{Connection, Server};

use crate::hosts::{ADDRESSES, Other, Site};
use crate::pairs::{Pairs, from_cgi, from_probe};

/// A request, as bytes go over the wire.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) site: Site,
    pub(crate) method: &'static str,
    pub(crate) target: Vec<u8>,
    pub(crate) version: &'static str,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    /// Sent after the head as it is.
    pub(crate) body: &'static [u8],
    /// To the IPv6 address.
    pub(crate) is_ipv6: bool,
}

/// A response of one of the two.
pub(crate) struct Answer {
    /// 0 if there is none.
    pub(crate) status: u16,
    /// The environ, if it is one that came.
    pub(crate) environ: Option<Pairs>,
    /// The text of an error.
    text: String,
}

impl Request {
    pub(crate) fn new(site: Site, target: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Host", site.host().into_bytes())];
        Self {
            site,
            method: "GET",
            target: target.into(),
            version: "HTTP/1.1",
            headers,
            body: b"",
            is_ipv6: false,
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Replaces the site's host name.
    pub(crate) fn host(mut self, host: &str) -> Self {
        self.headers[0].1 = host.into();
        self
    }

    pub(crate) fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    pub(crate) fn body(self, body: &'static [u8]) -> Self {
        Self { body, ..self }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.method.as_bytes().to_vec();
        for part in [b" ", &*self.target, b" ", self.version.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
        for (name, value) in &self.headers {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        [&*bytes, b"\r\n", self.body].concat()
    }
}

impl Answer {
    /// Returns whether this has the same text as `other`, except for the address.
    pub(crate) fn says(&self, other: &Self) -> bool {
        let text = |answer: &Self| {
            ADDRESSES.iter().fold(answer.text.clone(), |text, at| text.replace(at, "(address)"))
        };
        text(self) == text(other)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes().escape_ascii().to_string();
        let shown = bytes.get(..300).unwrap_or(&bytes);
        write!(f, "{}{shown}", if self.is_ipv6 { "(IPv6) " } else { "" })
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.text)?;
        for (name, value) in self.environ.iter().flatten() {
            write!(f, "\n        {}={}", name.escape_ascii(), value.escape_ascii())?;
        }
        Ok(())
    }
}

/// Returns the responses of the probe and of the other.
pub(crate) fn ask(server: &Server, other: Other, request: &Request) -> [Answer; 2] {
    let ports = [server.port(), server.tls_addr().port()];
    [0, 1].map(|which| {
        let addr: SocketAddr = if request.is_ipv6 {
            format!("[::1]:{}", ports[which])
        } else {
            format!("{}:{}", ADDRESSES[which], server.port())
        }
        .parse()
        .expect("an address");
        let is_cgi = which == 1 && other == Other::Cgi;
        let mut answer = put(addr, server.patience(), is_cgi, request);
        if request.is_ipv6 {
            // It differs where the client did not name one.
            if let Some(port) =
                answer.environ.as_mut().and_then(|it| it.get_mut(&b"SERVER_PORT"[..]))
                && *port == ports[which].to_string().into_bytes()
            {
                *port = b"(the listener's)".to_vec();
            }
        }
        answer
    })
}

/// Sends the request to `addr`.
pub(crate) fn put(addr: SocketAddr, patience: Duration, is_cgi: bool, request: &Request) -> Answer {
    let mut connection = Connection::open(addr, patience);
    connection.write(request.bytes());
    match connection.try_read_response(request.method) {
        Ok(response) => answer(is_cgi, response.status, &response.body),
        Err(error) => Answer { status: 0, environ: None, text: error.to_string() },
    }
}

/// Sends the same over TLS with curl.
pub(crate) fn over_tls(
    server: &Server,
    other: Other,
    version: &str,
    request: &Request,
) -> [Answer; 2] {
    let port = server.tls_addr().port();
    [0, 1].map(|which| {
        let connect = format!("localhost:{port}:{}:{port}", ADDRESSES[which]);
        let mut args = vec![version.to_owned(), "--connect-to".into(), connect];
        args.extend(["--path-as-is".into(), "--request".into(), request.method.into()]);
        for (name, value) in &request.headers[1..] {
            let value = String::from_utf8_lossy(value);
            args.extend(["--header".into(), format!("{name}: {value}")]);
        }
        if !request.body.is_empty() {
            let body = String::from_utf8_lossy(request.body).into_owned();
            args.extend(["--data-binary".into(), body]);
        }
        args.push(server.tls_url(&String::from_utf8_lossy(&request.target)));
        // Neither reads the body before it answers. With HTTP/2, curl 7.88 then loses a response
        // now and then (exit 92), also of httpd's static files.
        let may_be_lost = !request.body.is_empty();
        let output = (0..5)
            .map(|_| server.curl(&args))
            .find(|output| !(may_be_lost && output.exit == Some(92)))
            .unwrap_or_else(|| panic!("{request:?}: lost five times"));
        let status = output.status.unwrap_or_else(|| panic!("{request:?}: {output:?}"));
        answer(which == 1 && other == Other::Cgi, status, &output.stdout)
    })
}

fn answer(is_cgi: bool, status: u16, body: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(body);
    // A refusal is a page; the probe has a text for paths that are not below its `/environ`.
    let is_none = ["<!DOCTYPE", "<html>", "<?xml", "there is no such path"]
        .iter()
        .any(|start| text.starts_with(start));
    if is_none || body.is_empty() {
        return Answer { status, environ: None, text: text.into() };
    }
    let pairs = if is_cgi { from_cgi(body) } else { from_probe(&text) };
    match pairs {
        Ok(pairs) => Answer { status, environ: Some(pairs), text: String::new() },
        Err(error) => panic!("{error} in what answered: {text}"),
    }
}
