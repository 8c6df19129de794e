//! The endpoints of the peers: one request each, the same for all of them.

use serde::Serialize;

/// Bytes that `/echo` gets.
pub(crate) const ECHO_SIZE: usize = 65536;
/// Bytes of the small file.
pub(crate) const FILE_SIZE: usize = 4096;
/// Connections of the run that looks at the slowest requests.
const CROWD: u32 = 64;
/// Streams of a connection of HTTP/2: together, they are as many requests as elsewhere.
pub(crate) const STREAMS: u32 = 4;

/// Twenty request headers as a browser sends them, beside Host.
pub(crate) const TWENTY_HEADERS: &str = "\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.8,de;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: http://localhost/a/page/of/this/site?with=query\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\n\
    Cache-Control: max-age=0\r\n\
    Pragma: no-cache\r\n\
    DNT: 1\r\n\
    Sec-GPC: 1\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-User: ?1\r\n\
    Priority: u=0, i\r\n\
    X-Requested-With: XMLHttpRequest\r\n\
    X-Request-Id: 6f1c2b9e-0000-4000-8000-123456789abc\r\n\
    X-Forwarded-For: 192.0.2.17\r\n\
    Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n";

/// One of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Endpoint {
    /// `GET /hello`: 13 bytes of known length.
    Hello,
    /// The same with twenty request headers.
    Headers,
    /// `GET /file`: a small file, through the file wrapper where there is one.
    File,
    /// `GET /hello` again, on one connection: the time of a request that nothing competes with.
    One,
    /// The same on eight connections.
    Eight,
    /// The same on more connections than the applications have threads: for the slowest.
    Crowd,
    /// The same on 256 connections.
    Many,
    /// The same over TLS.
    Tls,
    /// The same over HTTP/2 and TLS.
    Http2,
    /// `GET /axum`: the same answer from an axum Router inside httpd.
    Axum,
    /// The same with twenty request headers.
    AxumHeaders,
    /// `GET /awaiting`: the same from a handler that awaits once, and goes on in the same visit.
    Awaiting,
    /// `GET /sleeping`: the same after a timer of two milliseconds, on more connections.
    Sleeping,
    /// `POST /echo`: 64 KiB back, of known length.
    Echo,
    /// `GET /stream`: 1 MiB in 64 writes of 16 KiB, of unknown length.
    Stream,
    /// `GET /environ`: every environ key and value, a line each.
    Environ,
}

/// The way in which requests come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// HTTP/1.1.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 over TLS.
    Http2,
}

impl Transport {
    /// The modules of httpd that it needs, without `mod_`.
    pub(crate) fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &[],
            Self::Tls => &["ssl"],
            Self::Http2 => &["ssl", "http2"],
        }
    }

    /// The programs that it needs beside wrk, and their packages.
    pub(crate) fn programs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Plain => &[],
            Self::Tls => &[("openssl", "openssl")],
            Self::Http2 => &[("openssl", "openssl"), ("h2load", "nghttp2-client (Debian, Ubuntu)")],
        }
    }
}

impl Endpoint {
    /// All of them, in the order of the tables.
    pub(crate) const ALL: [Self; 16] = [
        Self::Hello,
        Self::Headers,
        Self::File,
        Self::One,
        Self::Eight,
        Self::Crowd,
        Self::Many,
        Self::Tls,
        Self::Http2,
        Self::Axum,
        Self::AxumHeaders,
        Self::Awaiting,
        Self::Sleeping,
        Self::Echo,
        Self::Stream,
        Self::Environ,
    ];

    /// Those that are measured where none is named: each has a bar.
    pub(crate) const USUAL: [Self; 6] =
        [Self::Hello, Self::One, Self::Crowd, Self::Axum, Self::Echo, Self::Stream];

    /// Its name on the command line and in the tables, its path, and its description for a table.
    fn facts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Hello => ("hello", "/hello", "GET, 13 bytes"),
            Self::Headers => ("headers", "/hello", "hello with 20 request headers"),
            Self::File => ("file", "/file", "GET, a file of 4 KiB through the file wrapper"),
            Self::One => ("one", "/hello", "hello on 1 connection: how long a request takes"),
            Self::Eight => ("eight", "/hello", "hello on 8 connections"),
            Self::Crowd => {
                ("crowd", "/hello", "hello on 64 connections: what the slowest wait for")
            }
            Self::Many => ("many", "/hello", "hello on 256 connections"),
            Self::Tls => ("tls", "/hello", "hello over TLS, on kept connections"),
            Self::Http2 => ("http2", "/hello", "hello over HTTP/2 and TLS, four streams at once"),
            Self::Axum => (
                "axum",
                "/axum",
                "hello from an axum Router inside httpd, against the C handler's hello",
            ),
            Self::AxumHeaders => (
                "axum-headers",
                "/axum",
                "the same with 20 request headers, against the C handler with as many",
            ),
            Self::Awaiting => (
                "awaiting",
                "/awaiting",
                "axum's hello from a handler that awaits once, and goes on in the same visit",
            ),
            Self::Sleeping => (
                "sleeping",
                "/sleeping",
                "axum's hello after a timer of 2 ms, on 64 connections: the request suspends",
            ),
            Self::Echo => ("echo", "/echo", "POST, 64 KiB back"),
            Self::Stream => ("stream", "/stream", "GET, 1 MiB in 64 writes of 16 KiB, chunked"),
            Self::Environ => ("environ", "/environ", "GET, every environ key and value"),
        }
    }

    /// Returns its name on the command line and in the tables.
    pub(crate) fn name(self) -> &'static str {
        self.facts().0
    }

    /// Returns the path that is requested.
    pub(crate) fn path(self) -> &'static str {
        self.facts().1
    }

    /// Returns its description for a table.
    pub(crate) fn description(self) -> &'static str {
        self.facts().2
    }

    /// The endpoint of the C handler that it is compared with.
    pub(crate) fn reference(self) -> Self {
        match self {
            Self::Axum | Self::Awaiting => Self::Hello,
            Self::AxumHeaders => Self::Headers,
            Self::Sleeping => Self::Crowd,
            other => other,
        }
    }

    /// The same for counts, which do not depend on the number of connections.
    pub(crate) fn counted_reference(self) -> Self {
        if self.reference().is_counted() { self.reference() } else { Self::Hello }
    }

    /// Connections of its own, where the number is what it is about.
    pub(crate) fn connections(self) -> Option<u32> {
        match self {
            Self::One => Some(1),
            Self::Eight => Some(8),
            Self::Crowd | Self::Sleeping => Some(CROWD),
            Self::Many => Some(256),
            _ => None,
        }
    }

    /// Returns the way in which its requests come.
    pub(crate) fn transport(self) -> Transport {
        match self {
            Self::Tls => Transport::Tls,
            Self::Http2 => Transport::Http2,
            _ => Transport::Plain,
        }
    }

    /// True if one request of it is worth counting, and is unlike the other endpoints'.
    pub(crate) fn is_counted(self) -> bool {
        self == Self::Hello || self.path() != Self::Hello.path() || !self.headers().is_empty()
    }

    /// The headers of its requests beside Host, each with its line end.
    pub(crate) fn headers(self) -> &'static str {
        match self {
            Self::Headers | Self::AxumHeaders => TWENTY_HEADERS,
            _ => "",
        }
    }

    /// Bytes to post, for a POST.
    pub(crate) fn post(self) -> Option<usize> {
        (self == Self::Echo).then_some(ECHO_SIZE)
    }

    /// Requests of the short and of the long run whose difference gives the counts of one request.
    pub(crate) fn count_requests(self) -> (u32, u32) {
        match self {
            Self::Echo | Self::Stream => (20, 120),
            _ => (200, 1200),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for endpoint in Endpoint::ALL {
            let value = endpoint.to_possible_value().unwrap();
            assert_eq!(value.get_name(), endpoint.name());
        }
        assert_eq!(Endpoint::value_variants(), Endpoint::ALL);
    }

    #[test]
    fn one_request_of_each_kind_is_counted() {
        let counted: Vec<_> = Endpoint::ALL.into_iter().filter(|e| e.is_counted()).collect();
        for left_out in [Endpoint::One, Endpoint::Crowd, Endpoint::Tls, Endpoint::Http2] {
            assert!(!counted.contains(&left_out));
        }
        assert_eq!(counted.len(), 10, "{counted:?}");
        assert!(counted.iter().all(|endpoint| counted.contains(&endpoint.counted_reference())));
        assert_eq!(TWENTY_HEADERS.matches("\r\n").count(), 20);
    }
}
