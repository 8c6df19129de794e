//! One table of options and protocols: an option holds for every protocol, or the row says why not.
//!
//! The web server starts a CGI program for one request and bounds its time, so that few options apply
//! to it.

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::program::{Folder, PATIENCE, Program, asynchronous, stage};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Cgi,
    FastCgi,
    Scgi,
    Uwsgi,
    Http1,
    /// With prior knowledge.
    Http2,
}

use Protocol::{Cgi, FastCgi, Http1, Http2, Scgi, Uwsgi};

pub(crate) const ALL: &[Protocol] = &[FastCgi, Scgi, Uwsgi, Http1, Http2, Cgi];
pub(crate) const LISTENING: &[Protocol] = &[FastCgi, Scgi, Uwsgi, Http1, Http2];
const STREAM: &[Protocol] = &[FastCgi, Scgi, Uwsgi];
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const BODY: &str = "abc";

/// The bytes that a client sends before it is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Nothing,
    HalfAHead,
    /// A request whose head has a value of 9,000 bytes.
    LongHead,
    /// A request without its body.
    NoBody,
    /// A request with its body.
    Body,
    /// A request with its body, for an application that does not read it.
    BodyUnread,
    /// A whole request of a connection that may be kept.
    Whole,
    /// A whole request for a large response, which is not read.
    Unread,
    /// A whole request for an application that takes two seconds.
    Slow,
}

/// An option with its value, the bytes that the client sends, the line that is logged and the status
/// of the answer, if any, and the protocols with that promise.
struct Row {
    option: &'static str,
    value: &'static str,
    sent: Sent,
    line: &'static str,
    status: &'static str,
    protocols: &'static [Protocol],
}

const fn row(
    (option, value): (&'static str, &'static str),
    sent: Sent,
    (line, status): (&'static str, &'static str),
    protocols: &'static [Protocol],
) -> Row {
    Row { option, value, sent, line, status, protocols }
}

const ROWS: &[Row] = &[
    row(("--head-timeout", "400ms"), Sent::Nothing, ("RUST0053", ""), LISTENING),
    row(("--head-timeout", "400ms"), Sent::HalfAHead, ("RUST0053", ""), LISTENING),
    row(("--body-timeout", "400ms"), Sent::NoBody, ("RUST0004", "408"), ALL),
    // SCGI and uwsgi have one request a connection.
    row(("--keep-alive", "400ms"), Sent::Whole, ("RUST0053", ""), &[FastCgi, Http1, Http2]),
    row(("--send-timeout", "400ms"), Sent::Unread, ("RUST0056", ""), LISTENING),
    row(("--request-timeout", "300ms"), Sent::Slow, ("RUST0027", "504"), LISTENING),
    row(("--max-body", "2"), Sent::Body, ("RUST0004", "413"), ALL),
    // HTTP/2 does not tell the length here.
    row(("--max-body", "2"), Sent::BodyUnread, ("RUST0004", "413"), &[FastCgi, Scgi, Uwsgi, Http1]),
    row(("--max-head", "1K"), Sent::LongHead, ("RUST0054", ""), STREAM),
    row(("--max-head", "8K"), Sent::LongHead, ("", "431"), &[Http1, Http2]),
];

impl Protocol {
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Cgi => "cgi",
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
                let mut bytes = self.request("/echo", sent);
                bytes[PREFACE.len() + SETTINGS.len() + 4] = 1;
                bytes
            }
            Sent::HalfAHead => self.request("/echo", sent)[..10].to_vec(),
            Sent::Unread => self.request("/huge", sent),
            Sent::Slow => self.request("/doze", sent),
            Sent::BodyUnread => self.request("/away", Sent::Body),
            _ => self.request("/echo", sent),
        }
    }

    /// Returns a request for a path of five bytes.
    pub(crate) fn request(self, path: &str, sent: Sent) -> Vec<u8> {
        let has_body = matches!(sent, Sent::Body | Sent::NoBody);
        let (length, method) = if has_body { ("3", "POST") } else { ("0", "GET") };
        let long = "v".repeat(if sent == Sent::LongHead { 9000 } else { 1 });
        let variables = [
            ("CONTENT_LENGTH", length),
            ("SCGI", "1"),
            ("REQUEST_METHOD", method),
            ("REQUEST_URI", path),
            ("PATH_INFO", path),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("HTTP_X", &long),
        ];
        let mut head = Vec::new();
        for (key, value) in variables {
            let (key_size, value_size) = (key.len() as u16, value.len() as u16);
            match self {
                FastCgi => {
                    head.push(key.len() as u8);
                    head.extend((u32::from(value_size) | 1 << 31).to_be_bytes());
                }
                Uwsgi => head.extend(key_size.to_le_bytes()),
                Cgi | Scgi | Http1 | Http2 => {}
            }
            head.extend(key.as_bytes());
            match self {
                Uwsgi => head.extend(value_size.to_le_bytes()),
                Scgi => head.push(0),
                Cgi | FastCgi | Http1 | Http2 => {}
            }
            head.extend(value.as_bytes());
            if self == Scgi {
                head.push(0);
            }
        }
        let size = head.len() as u16;
        let body = if sent == Sent::Body { BODY } else { "" };
        match self {
            Cgi => body.into(),
            FastCgi => {
                let begin = [1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0];
                let [high, low] = size.to_be_bytes();
                let mut bytes = [&begin[..], &[1, 4, 0, 1, high, low, 0, 0], &head].concat();
                bytes.extend([1, 4, 0, 1, 0, 0, 0, 0]);
                if sent == Sent::Body {
                    bytes.extend([1, 5, 0, 1, 0, BODY.len() as u8, 0, 0]);
                    bytes.extend(BODY.as_bytes());
                }
                if sent != Sent::NoBody {
                    bytes.extend([1, 5, 0, 1, 0, 0, 0, 0]);
                }
                bytes
            }
            Scgi => [format!("{size}:").as_bytes(), &head, b",", body.as_bytes()].concat(),
            Uwsgi => {
                let [low, high] = size.to_le_bytes();
                [&[0, low, high, 0], &head[..], body.as_bytes()].concat()
            }
            Http1 => {
                let text = format!(
                    "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nX: {long}"
                );
                format!("{text}\r\n\r\n{body}").into_bytes()
            }
            Http2 => {
                // HPACK: method, scheme, path and authority by the static table.
                let method = if has_body { 0x83 } else { 0x82 };
                let mut fields =
                    [&[method, 0x86, 4, 5][..], path.as_bytes(), &[0x41, 1, b'a']].concat();
                fields.extend([0, 1, b'x']);
                match long.len() {
                    short @ 0..127 => fields.push(short as u8),
                    // An integer with a prefix of 7 bits (RFC 7541, 5.1).
                    long => {
                        fields.extend([127, (long - 127) as u8 | 128, ((long - 127) >> 7) as u8])
                    }
                }
                fields.extend(long.as_bytes());
                let [high, low] = (fields.len() as u16).to_be_bytes();
                let flags = if has_body { 4 } else { 5 };
                let header = [0, high, low, 1, flags, 0, 0, 0, 1];
                let mut bytes = [PREFACE, SETTINGS, &header, &fields].concat();
                if sent == Sent::Body {
                    bytes.extend([0, 0, BODY.len() as u8, 0, 1, 0, 0, 0, 1]);
                    bytes.extend(BODY.as_bytes());
                }
                bytes
            }
        }
    }

    /// Returns an answer's status as it stands in the answer.
    pub(crate) fn status(self, status: &str) -> Vec<u8> {
        match self {
            Cgi | FastCgi | Scgi => return format!("Status: {status} ").into(),
            Uwsgi | Http1 => return format!("HTTP/1.1 {status} ").into(),
            Http2 => {}
        }
        // In HPACK's Huffman code (RFC 7541, appendix B).
        let mut bits = String::new();
        for digit in status.bytes().map(|byte| byte - b'0') {
            bits += &if digit < 3 { format!("{digit:05b}") } else { format!("{:06b}", digit + 22) };
        }
        bits = format!("{bits:1<24}");
        (0..3).map(|at| u8::from_str_radix(&bits[at * 8..][..8], 2).unwrap()).collect()
    }

    /// Starts the stage with these options. A CGI program gets `sent` as its body.
    fn start(self, options: &[&str], sent: Sent) -> (Program, Client) {
        self.start_program(&stage(), options, sent)
    }

    fn start_program(self, path: &Path, options: &[&str], sent: Sent) -> (Program, Client) {
        if self == Cgi {
            let mut command = Command::new(path);
            let (read, mut write) = std::io::pipe().unwrap();
            command.env("GATEWAY_INTERFACE", "CGI/1.1").env("REQUEST_METHOD", "POST");
            command.env("PATH_INFO", "/echo").env("CONTENT_LENGTH", "3");
            command.env("MOD_RUST_OPTIONS", options.join(" ")).stdin(Stdio::from(read));
            let program = Program::run(command);
            // The program may end without having read it.
            let _ = write.write_all(&self.bytes(sent));
            return (program, Client::Cgi(write));
        }
        let name = format!("--{}", self.option());
        let listens = [&name, "127.0.0.1:0", "--log-level", "debug"];
        let program = Program::start_at(path, &[&listens, options].concat());
        let mut client = self.connect(&program);
        // The program may close the connection meanwhile.
        let _ = client.write_all(&self.bytes(sent));
        (program, Client::Listening(client))
    }

    pub(crate) fn connect(self, program: &Program) -> TcpStream {
        let client = TcpStream::connect(program.address(self.option())).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }
}

/// The client of a program.
enum Client {
    Cgi(std::io::PipeWriter),
    Listening(TcpStream),
}

/// Reads until `bytes` has `needle`.
pub(crate) fn read_until(client: &mut impl Read, bytes: &mut Vec<u8>, needle: &[u8]) {
    let mut piece = [0; 1024];
    while !bytes.windows(needle.len()).any(|window| window == needle) {
        let read = client.read(&mut piece).expect("an answer");
        let (needle, text) = (needle.escape_ascii(), bytes.escape_ascii());
        assert_ne!(read, 0, "no {needle} in {text}");
        bytes.extend(&piece[..read]);
    }
}

/// Runs `check` for all protocols at once.
pub(crate) fn each(protocols: &[Protocol], check: impl Fn(Protocol) + Sync) {
    std::thread::scope(|scope| {
        for &protocol in protocols {
            let check = &check;
            scope.spawn(move || check(protocol));
        }
    });
}

#[test]
fn every_option_holds_for_every_protocol() {
    holds(&stage(), ROWS.iter());
}

/// The same for requests that wait without a thread.
#[test]
fn options_of_requests_hold_while_they_wait() {
    let begins = |row: &&Row| {
        matches!(row.sent, Sent::NoBody | Sent::Body | Sent::BodyUnread | Sent::Unread)
    };
    holds(&asynchronous(), ROWS.iter().filter(begins));
}

fn holds(path: &Path, rows: impl Iterator<Item = &'static Row>) {
    for row in rows {
        each(row.protocols, |protocol| {
            let case = format!("{} for {protocol:?}, {:?}", row.option, row.sent);
            println!("{case}");
            let (mut program, client) =
                protocol.start_program(path, &[row.option, row.value], row.sent);
            let begun = Instant::now();
            let mut client = match client {
                Client::Listening(client) => client,
                Client::Cgi(write) => {
                    let ended = program.end();
                    drop(write);
                    let has_status =
                        ended.stdout.as_bytes().starts_with(&protocol.status(row.status));
                    assert!(has_status, "{case}: {}", ended.stdout);
                    assert!(ended.stderr.contains(row.line), "{case}: {}", ended.stderr);
                    assert!(begun.elapsed() < PATIENCE / 2, "{case}");
                    return;
                }
            };
            let mut bytes = Vec::new();
            // FastCGI hands an application's lines to the web server, by STDERR, before the answer.
            let is_of_request = ["RUST0004", "RUST0027"].contains(&row.line);
            if protocol == FastCgi && is_of_request {
                read_until(&mut client, &mut bytes, row.line.as_bytes());
            } else if !row.line.is_empty() {
                let line = program.wait_for(row.line);
                let has_option = is_of_request || line.contains(&format!("({}", row.option));
                assert!(has_option, "{case}: {line}");
            }
            if row.status.is_empty() {
                // The connection is closed.
                let _ = client.read_to_end(&mut Vec::new());
            } else {
                read_until(&mut client, &mut bytes, &protocol.status(row.status));
            }
            assert!(begun.elapsed() < PATIENCE / 2, "{case}");
            drop(client);
            program.stop();
        });
    }
}

/// The answers to requests that no thread takes up are those of daemon mode: 503 with Retry-After for a
/// full queue, 504 for one that waited too long.
#[test]
fn the_queue_has_its_bounds_with_every_protocol() {
    for (option, value, line, status) in
        [("--queue-size", "1", "RUST0023", "503"), ("--queue-timeout", "300ms", "RUST0026", "504")]
    {
        each(LISTENING, |protocol| {
            let case = format!("{option} for {protocol:?}");
            println!("{case}");
            let held = Held::new();
            let options = ["--option", &held.option, "--threads", "1", option, value];
            let (mut program, _first) = protocol.start(&options, Sent::Nothing);
            // One is run, one may have been taken from the queue, and one waits there.
            let mut clients = held.clients(protocol, &program, 6);
            let logged = program.wait_for(line);
            assert!(logged.contains(&format!("({option}); answering {status}")), "{logged}");
            held.release();
            // No client is left without an answer.
            let answers: Vec<_> = clients.iter_mut().map(|client| answer(client, &case)).collect();
            let status = protocol.status(status);
            let refused = answers
                .iter()
                .filter(|answer| answer.windows(status.len()).any(|window| window == status));
            let mut count = 0;
            for refused in refused {
                count += 1;
                if protocol != Http2 {
                    let text = String::from_utf8_lossy(refused).to_ascii_lowercase();
                    let has_time = text.contains("retry-after: 1\r\n");
                    assert_eq!(has_time, option == "--queue-size", "{case}: {text}");
                }
                // END_REQUEST with OVERLOADED.
                let overloaded = [1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 2];
                let is_overloaded = refused.windows(overloaded.len()).any(|it| it == overloaded);
                let expected = protocol == FastCgi && option == "--queue-size";
                assert_eq!(is_overloaded, expected, "{case}: {}", refused.escape_ascii());
            }
            assert!(count > 0, "{case}");
            program.stop();
        });
    }
}

/// `--threads` requests run at once, and no more.
#[test]
fn threads_bound_the_requests_that_run_with_every_protocol() {
    const THREADS: usize = 3;
    each(LISTENING, |protocol| {
        let case = format!("--threads for {protocol:?}");
        let held = Held::new();
        let options = ["--option", &held.option, "--threads", &THREADS.to_string()];
        let (program, _first) = protocol.start(&options, Sent::Nothing);
        let mut clients = held.clients(protocol, &program, 3 * THREADS);
        let begun = Instant::now();
        while held.trace().len() < THREADS {
            assert!(begun.elapsed() < PATIENCE, "{case}: {} run", held.trace());
            std::thread::yield_now();
        }
        held.release();
        clients.iter_mut().for_each(|client| drop(answer(client, &case)));
        program.stop();
        let (mut running, mut most) = (0, 0);
        for event in held.trace().chars() {
            running = if event == '+' { running + 1 } else { running - 1 };
            most = most.max(running);
        }
        assert_eq!(most, THREADS, "{case}: {}", held.trace());
    });
}

/// Requests for `/wait`, which hold their threads until a file is removed.
pub(crate) struct Held {
    folder: Folder,
    pub(crate) option: String,
}

impl Held {
    pub(crate) fn new() -> Self {
        let folder = Folder::new();
        std::fs::write(folder.path("held"), "").unwrap();
        let option = format!("held-by={}", folder.text("held"));
        Self { folder, option }
    }

    fn clients(&self, protocol: Protocol, program: &Program, count: usize) -> Vec<TcpStream> {
        let connect = |_| {
            let mut client = protocol.connect(program);
            let _ = client.write_all(&protocol.request("/wait", Sent::Whole));
            client
        };
        (0..count).map(connect).collect()
    }

    pub(crate) fn release(&self) {
        std::fs::remove_file(self.folder.path("held")).unwrap();
    }

    /// Returns a `+` for each request that began, and a `-` for each that ended, in order.
    pub(crate) fn trace(&self) -> String {
        std::fs::read_to_string(self.folder.path("held.trace")).unwrap_or_default()
    }
}

/// Reads an answer with all that came at once.
fn answer(client: &mut TcpStream, case: &str) -> Vec<u8> {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    let is_whole =
        |bytes: &[u8]| bytes.ends_with(b"waited") || bytes.windows(7).any(|end| end == b"</html>");
    loop {
        let read = client.read(&mut piece).unwrap_or_else(|error| panic!("{case}: {error}"));
        bytes.extend(&piece[..read]);
        let has_fastcgi_end = bytes.windows(7).any(|end| end == [1, 3, 0, 1, 0, 8, 0]);
        if read == 0 || is_whole(&bytes) && !bytes.starts_with(&[1]) || has_fastcgi_end {
            assert!(!bytes.is_empty(), "{case}: no answer");
            return bytes;
        }
    }
}
