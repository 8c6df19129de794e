//! Every peer must give the same answers before it is measured: status, type, framing and every
//! byte.

use std::collections::BTreeMap;

use crate::client::{Framing, Response};
use crate::endpoint::{ECHO_SIZE, Endpoint, FILE_SIZE};
use crate::peer::{BARE, Peer};

/// Headers that the environ must show.
pub(crate) const ENVIRON_HEADERS: &str = "User-Agent: bench/1\r\nAccept: text/html, */*;q=0.1\r\n\
    Accept-Language: de\r\nCookie: a=1; b=2\r\nX-Bench-Header: one\r\n";
/// The query that it must show.
pub(crate) const ENVIRON_QUERY: &str = "?a=1&b=%20";

/// Keys that differ between two runs of the same peer, or by where the URL leads in the file
/// system.
const LOCAL_KEYS: [&str; 6] = [
    "CONTEXT_DOCUMENT_ROOT",
    "PATH_TRANSLATED",
    "REMOTE_PORT",
    "SCRIPT_FILENAME",
    "SERVER_PORT",
    "UNIQUE_ID",
];

/// An environ as `/environ` shows it.
pub(crate) type Environ = BTreeMap<String, String>;

/// Returns the body to post: no two neighbouring blocks are alike.
pub(crate) fn echo_body() -> Vec<u8> {
    (0..ECHO_SIZE).map(|i| (i % 251) as u8).collect()
}

/// Returns the content of the small file.
pub(crate) fn file_body() -> Vec<u8> {
    (0..FILE_SIZE).map(|i| b"0123456789abcdef\n"[i % 17]).collect()
}

/// Compares an answer. For `/environ` returns what it showed.
///
/// # Errors
/// Returns the difference, in one line.
pub(crate) fn verify(
    peer: &Peer,
    endpoint: Endpoint,
    response: &Response,
) -> Result<Option<Environ>, String> {
    if response.status != 200 {
        return Err(format!("status {}, not 200", response.status));
    }
    let kind = response.header("content-type").unwrap_or_default();
    if kind.split(';').next() != Some("text/plain") {
        return Err(format!("Content-Type `{kind}`, not text/plain"));
    }
    let framing = match endpoint {
        // A file's length is known.
        Endpoint::Stream if peer.name == BARE => Some(Framing::Length),
        Endpoint::Stream => Some(Framing::Chunked),
        Endpoint::Environ => None,
        _ => Some(Framing::Length),
    };
    if framing.is_some_and(|framing| framing != response.framing) {
        return Err(format!("the body ends by {:?}, not {framing:?}", response.framing));
    }
    match endpoint {
        Endpoint::File => same(&response.body, &file_body()),
        Endpoint::Echo => same(&response.body, &echo_body()),
        Endpoint::Stream => same(&response.body, &vec![b'x'; 1 << 20]),
        Endpoint::Environ => return parse_environ(&response.body).map(Some),
        _ => same(&response.body, b"Hello, world\n"),
    }?;
    Ok(None)
}

/// Checks an environ against the request, and for the modules of this project against the C
/// handler's: the same keys and values, but for keys with a dot, which are the gateway's own.
///
/// # Errors
/// The first key that differs.
pub(crate) fn verify_environ(
    peer: &Peer,
    environ: &Environ,
    reference: Option<&Environ>,
) -> Result<(), String> {
    let expected = [
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/environ?a=1&b=%20"),
        ("QUERY_STRING", "a=1&b=%20"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_NAME", "localhost"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("HTTP_HOST", "localhost"),
        ("HTTP_USER_AGENT", "bench/1"),
        ("HTTP_ACCEPT", "text/html, */*;q=0.1"),
        ("HTTP_ACCEPT_LANGUAGE", "de"),
        ("HTTP_COOKIE", "a=1; b=2"),
        ("HTTP_X_BENCH_HEADER", "one"),
    ];
    for (key, value) in expected {
        match environ.get(key) {
            Some(found) if found == value => {}
            found => return Err(format!("{key} is {found:?}, not `{value}`")),
        }
    }
    let Some(reference) = reference.filter(|_| peer.is_essential()) else { return Ok(()) };
    let counts = |key: &&String| !key.contains('.') && !LOCAL_KEYS.contains(&key.as_str());
    for key in reference.keys().chain(environ.keys()).filter(counts) {
        let (theirs, ours) = (reference.get(key), environ.get(key));
        if theirs != ours {
            return Err(format!("{key} is {ours:?}, the C handler's {theirs:?}"));
        }
    }
    Ok(())
}

fn same(body: &[u8], expected: &[u8]) -> Result<(), String> {
    if body == expected {
        return Ok(());
    }
    let at = body.iter().zip(expected).position(|(one, other)| one != other);
    Err(match at {
        Some(at) => {
            format!("byte {at} of the body is {:#04x}, not {:#04x}", body[at], expected[at])
        }
        None => format!("the body has {} bytes, not {}", body.len(), expected.len()),
    })
}

fn parse_environ(body: &[u8]) -> Result<Environ, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the environ is not UTF-8".to_owned())?;
    let mut environ = Environ::new();
    for line in text.lines() {
        let (key, value) =
            line.split_once('=').ok_or_else(|| format!("the environ has the line `{line}`"))?;
        if environ.insert(key.into(), value.into()).is_some() {
            return Err(format!("{key} is there twice"));
        }
    }
    Ok(environ)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{LIMIT, OURS, PEERS};

    fn peer(name: &str) -> &'static Peer {
        PEERS.iter().find(|peer| peer.name == name).unwrap()
    }

    fn response(framing: Framing, body: &[u8]) -> Response {
        let headers = vec![("content-type".into(), "text/plain; charset=utf-8".into())];
        Response { status: 200, headers, framing, body: body.to_vec() }
    }

    #[test]
    fn every_difference_is_found() {
        let limit = peer(LIMIT);
        let good = response(Framing::Length, b"Hello, world\n");
        assert!(verify(limit, Endpoint::Hello, &good).is_ok());
        let refused = |response: Response, what: &str| {
            let error = verify(limit, Endpoint::Hello, &response).unwrap_err();
            assert!(error.contains(what), "{error}");
        };
        refused(response(Framing::Length, b"Hello, World\n"), "byte 7");
        refused(response(Framing::Length, b"Hello, world"), "12 bytes, not 13");
        refused(response(Framing::Chunked, b"Hello, world\n"), "Chunked");
        refused(Response { status: 500, ..response(Framing::Length, b"") }, "status 500");
        refused(Response { headers: Vec::new(), ..response(Framing::Length, b"") }, "Content-Type");
        let echo = response(Framing::Length, &[b'a'; ECHO_SIZE]);
        assert!(verify(limit, Endpoint::Echo, &echo).unwrap_err().contains("byte 0"));
    }

    #[test]
    fn environs_are_compared_key_by_key() {
        let text = "GATEWAY_INTERFACE=CGI/1.1\nREQUEST_METHOD=GET\nREQUEST_URI=/environ?a=1&b=%20\n\
            QUERY_STRING=a=1&b=%20\nSERVER_PROTOCOL=HTTP/1.1\nSERVER_NAME=localhost\n\
            REMOTE_ADDR=127.0.0.1\nHTTP_HOST=localhost\nHTTP_USER_AGENT=bench/1\n\
            HTTP_ACCEPT=text/html, */*;q=0.1\nHTTP_ACCEPT_LANGUAGE=de\nHTTP_COOKIE=a=1; b=2\n\
            HTTP_X_BENCH_HEADER=one\nSERVER_PORT=1\nSERVER_ADDR=127.0.0.1\n";
        let reference = parse_environ(text.as_bytes()).unwrap();
        let ours = peer(OURS);
        let mut environ = reference.clone();
        environ.insert("SERVER_PORT".into(), "2".into());
        environ.insert("gateway.version".into(), "1".into());
        assert_eq!(verify_environ(ours, &environ, Some(&reference)), Ok(()));
        environ.remove("SERVER_ADDR");
        assert!(verify_environ(ours, &environ, Some(&reference)).is_err());
        assert_eq!(verify_environ(ours, &environ, None), Ok(()));
        environ.insert("REQUEST_METHOD".into(), "POST".into());
        assert!(verify_environ(ours, &environ, None).is_err());
        assert!(parse_environ(b"A=1\nA=2\n").is_err());
    }
}
