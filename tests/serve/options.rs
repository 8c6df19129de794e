//! One table of options and protocols: an option holds for every protocol, or the row says why not.
//!
//! CGI is not in it. The web server starts the program for one request and bounds its time.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use crate::program::{Folder, PATIENCE, Program};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    FastCgi,
    Scgi,
    Uwsgi,
    Http1,
    /// With prior knowledge.
    Http2,
}

use Protocol::{FastCgi, Http1, Http2, Scgi, Uwsgi};

const ALL: &[Protocol] = &[FastCgi, Scgi, Uwsgi, Http1, Http2];
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// The bytes that a client sends before it is silent.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Nothing,
    HalfAHead,
    /// A request without its body.
    NoBody,
    /// A whole request of a connection that may be kept.
    Whole,
}

/// An option, what the client sends, the line that is logged, and the protocols with that promise.
struct Row {
    option: &'static str,
    sent: Sent,
    line: &'static str,
    protocols: &'static [Protocol],
}

const ROWS: &[Row] = &[
    Row { option: "--head-timeout", sent: Sent::Nothing, line: "RUST0053", protocols: ALL },
    Row { option: "--head-timeout", sent: Sent::HalfAHead, line: "RUST0053", protocols: ALL },
    Row { option: "--body-timeout", sent: Sent::NoBody, line: "RUST0004", protocols: ALL },
    // SCGI and uwsgi have one request a connection.
    Row {
        option: "--keep-alive",
        sent: Sent::Whole,
        line: "RUST0053",
        protocols: &[FastCgi, Http1, Http2],
    },
];

impl Protocol {
    const fn option(self) -> &'static str {
        match self {
            FastCgi => "fastcgi",
            Scgi => "scgi",
            Uwsgi => "uwsgi",
            Http1 | Http2 => "http",
        }
    }

    fn bytes(self, sent: Sent) -> Vec<u8> {
        match sent {
            Sent::Nothing => Vec::new(),
            Sent::HalfAHead if self == Http2 => {
                // HEADERS without END_HEADERS.
                let mut bytes = self.request("/echo", false);
                bytes[PREFACE.len() + SETTINGS.len() + 4] = 1;
                bytes
            }
            Sent::HalfAHead => self.request("/echo", false)[..10].to_vec(),
            Sent::NoBody => self.request("/echo", true),
            Sent::Whole => self.request("/echo", false),
        }
    }

    /// Returns a request for a path of five bytes, without its body if it has one.
    fn request(self, path: &str, has_body: bool) -> Vec<u8> {
        let (length, method) = if has_body { ("3", "POST") } else { ("0", "GET") };
        let variables = [
            ("CONTENT_LENGTH", length),
            ("SCGI", "1"),
            ("REQUEST_METHOD", method),
            ("REQUEST_URI", path),
            ("PATH_INFO", path),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
        ];
        let mut head = Vec::new();
        for (key, value) in variables {
            let (key_length, value_length) = (key.len() as u8, value.len() as u8);
            match self {
                FastCgi => head.extend([key_length, value_length]),
                Uwsgi => head.extend([key_length, 0]),
                Scgi | Http1 | Http2 => {}
            }
            head.extend(key.as_bytes());
            match self {
                Uwsgi => head.extend([value_length, 0]),
                Scgi => head.push(0),
                FastCgi | Http1 | Http2 => {}
            }
            head.extend(value.as_bytes());
            if self == Scgi {
                head.push(0);
            }
        }
        let size = head.len() as u8;
        match self {
            FastCgi => {
                let begin = [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0];
                let mut bytes = [&begin[..], &[1, 4, 0, 1, 0, size, 0, 0], &head].concat();
                bytes.extend([1, 4, 0, 1, 0, 0, 0, 0]);
                if !has_body {
                    bytes.extend([1, 5, 0, 1, 0, 0, 0, 0]);
                }
                bytes
            }
            Scgi => [format!("{size}:").as_bytes(), &head, b","].concat(),
            Uwsgi => [&[0, size, 0, 0][..], &head].concat(),
            Http1 => {
                let text =
                    format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}");
                format!("{text}\r\n\r\n").into_bytes()
            }
            Http2 => {
                // HPACK: method, scheme, path and authority by the static table.
                let method = if has_body { 0x83 } else { 0x82 };
                let fields =
                    [&[method, 0x86, 4, 5][..], path.as_bytes(), &[0x41, 1, b'a']].concat();
                let flags = if has_body { 4 } else { 5 };
                let header = [0, 0, fields.len() as u8, 1, flags, 0, 0, 0, 1];
                [PREFACE, SETTINGS, &header, &fields].concat()
            }
        }
    }
}

/// Reads until `needle` has come.
fn read_until(client: &mut TcpStream, needle: &str) -> String {
    let (mut text, mut piece) = (String::new(), [0; 1024]);
    while !text.contains(needle) {
        let read = client.read(&mut piece).expect("an answer");
        assert_ne!(read, 0, "no {needle} in {text}");
        text += &String::from_utf8_lossy(&piece[..read]);
    }
    text
}

#[test]
fn every_option_holds_for_every_protocol() {
    for row in ROWS {
        for &protocol in row.protocols {
            let mut program = Program::start(&[
                &format!("--{}", protocol.option()),
                "127.0.0.1:0",
                "--log-level",
                "debug",
                row.option,
                "400ms",
            ]);
            let mut client = TcpStream::connect(program.address(protocol.option())).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.write_all(&protocol.bytes(row.sent)).unwrap();
            let begun = Instant::now();
            // FastCGI passes an application's lines to the web server as STDERR.
            let line = if protocol == FastCgi && row.line == "RUST0004" {
                read_until(&mut client, row.line)
            } else {
                program.wait_for(row.line)
            };
            let case = format!("{} for {protocol:?}, {:?}: {line}", row.option, row.sent);
            if row.line == "RUST0053" {
                assert!(line.contains(&format!("400ms ({})", row.option)), "{case}");
                let _ = client.read_to_end(&mut Vec::new());
            }
            assert!(begun.elapsed() < PATIENCE / 2, "{case}");
            drop(client);
            program.stop();
        }
    }
}

/// One thread, which an application holds: a bound of the queue and of the wait in it.
#[test]
fn the_queue_has_its_bounds_with_every_protocol() {
    for (option, value, line) in
        [("--queue-size", "1", "RUST0023"), ("--queue-timeout", "300ms", "RUST0026")]
    {
        for &protocol in ALL {
            let folder = Folder::new();
            let held_by = folder.path("held");
            std::fs::write(&held_by, "").unwrap();
            let held = format!("held-by={}", folder.text("held"));
            let name = format!("--{}", protocol.option());
            let mut program = Program::start(&[
                &name,
                "127.0.0.1:0",
                "--option",
                &held,
                "--log-level",
                "debug",
                "--threads",
                "1",
                option,
                value,
            ]);
            // One is run, one may have been taken from the queue, and one waits there.
            let mut clients: Vec<_> = (0..6)
                .map(|_| {
                    let mut client =
                        TcpStream::connect(program.address(protocol.option())).unwrap();
                    client.set_read_timeout(Some(PATIENCE)).unwrap();
                    client.write_all(&protocol.request("/wait", false)).unwrap();
                    client
                })
                .collect();
            let logged = program.wait_for(line);
            let case = format!("{option} for {protocol:?}: {logged}");
            std::fs::remove_file(&held_by).unwrap();
            // No client is left without an answer.
            for client in &mut clients {
                let read =
                    client.read(&mut [0; 1024]).unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_ne!(read, 0, "{case}");
            }
            program.stop();
        }
    }
}
