//! The hostile answers, as data, and what the client is to see of each.

use std::path::Path;

use mod_rust::internal::protocol::bridge::{FrameLimits, HeadEncoder};

use super::peer::Act;

/// One hostile answer.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) ask: Ask,
    pub(super) acts: Vec<Act>,
    pub(super) expected: Seen,
}

/// The request that is answered so.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask {
    Get,
    Head,
    /// The client asks for another protocol.
    Upgrade,
    /// A body of 10 bytes.
    Small,
    /// A body of 2 MiB.
    Large,
}

impl Ask {
    pub(super) const fn method(self) -> &'static str {
        match self {
            Self::Get | Self::Upgrade => "GET",
            Self::Head => "HEAD",
            Self::Small | Self::Large => "POST",
        }
    }

    pub(super) fn head(self, target: &str) -> String {
        let (method, length) = (self.method(), self.body().len());
        let fields = match self {
            Self::Get | Self::Head => String::new(),
            Self::Upgrade => "Connection: upgrade\r\nUpgrade: x\r\n".to_owned(),
            _ => format!("Content-Length: {length}\r\n"),
        };
        format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n")
    }

    pub(super) fn body(self) -> Vec<u8> {
        let length = match self {
            Self::Get | Self::Head | Self::Upgrade => 0,
            Self::Small => 10,
            Self::Large => 2 << 20,
        };
        vec![b'b'; length]
    }
}

/// The client's view of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A whole response of this status.
    Status(u16),
    /// A response that breaks off, or a connection that closes.
    Broken,
    /// Anything else, a second response among it.
    Wrong(String),
}

const FLUSH: u8 = 1;
const WHOLE: u8 = 2;

/// Makes a frame of this kind with any payload.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_le_bytes().to_vec();
    frame.extend([kind, flags, 0, 0]);
    frame.extend(payload);
    frame
}

/// Makes a HEAD that the encoder does not check.
fn head(
    status: u16,
    length: Option<u64>,
    flags: u8,
    reason: &str,
    headers: &[(&str, &str)],
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut head = HeadEncoder::begin(&mut out, status, reason.as_bytes());
    for (name, value) in headers {
        head.header(&mut out, name.as_bytes(), value.as_bytes());
    }
    head.commit(&mut out, length, flags & FLUSH != 0, &FrameLimits::default()).expect("it fits");
    out
}

pub(super) fn flushed_head() -> Vec<u8> {
    head(200, None, FLUSH, "", &[])
}

pub(super) fn body(data: &[u8], flags: u8) -> Vec<u8> {
    frame(18, flags, data)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in pairs {
        block.extend((name.len() as u16).to_le_bytes());
        block.extend((value.len() as u32).to_le_bytes());
        block.extend(name.as_bytes());
        block.extend(value.as_bytes());
    }
    [&(block.len() as u32).to_le_bytes()[..], &block].concat()
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

const TIMING: [u8; 24] = [0xff; 24];

fn end_with(trailers: &[(&str, &str)]) -> Vec<u8> {
    frame(20, 0, &[pairs(trailers), TIMING.to_vec()].concat())
}

pub(super) fn end() -> Vec<u8> {
    end_with(&[])
}

pub(super) fn status(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    frame(21, 0, &[&status.to_le_bytes()[..], &pairs(headers), &TIMING].concat())
}

fn redirect(target: &str) -> Vec<u8> {
    frame(22, 0, &[bytes(target.as_bytes()), TIMING.to_vec()].concat())
}

fn failed(error: u8, status: u16, message: &str) -> Vec<u8> {
    let status = status.to_le_bytes();
    frame(23, 0, &[&[error][..], &status, &bytes(message.as_bytes()), &TIMING].concat())
}

fn switch(headers: &[(&str, &str)]) -> Vec<u8> {
    frame(26, 0, &pairs(headers))
}

pub(super) fn log(level: u8, text: &str) -> Vec<u8> {
    frame(24, 0, &[vec![level], bytes(text.as_bytes())].concat())
}

fn file(start: u64, length: u64, flags: u8) -> Vec<u8> {
    frame(19, flags, &[start.to_le_bytes(), length.to_le_bytes()].concat())
}

/// Returns every row. `root` has the file `other.bin`, of 3 bytes.
pub(super) fn rows(root: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut row = |name, ask, acts, expected| rows.push(Row { name, ask, acts, expected });
    let bad = || Seen::Status(502);
    let sends = |frames: &[Vec<u8>]| vec![Act::Send(frames.concat())];
    let plain = || head(200, None, 0, "", &[]);
    let hello = || vec![head(200, Some(5), 0, "", &[]), body(b"hello", 0), end()];

    row("good", Ask::Get, sends(&hello()), Seen::Status(200));

    // Frames that are none.
    row("garbage", Ask::Get, sends(&[b"HTTP/1.1 200 OK\r\n\r\n".to_vec()]), bad());
    row("noise", Ask::Get, sends(&[vec![0xff; 4096]]), bad());
    row("half-a-header", Ask::Get, vec![Act::Send(end()[..5].to_vec()), Act::Close], bad());
    row("unknown-kind", Ask::Get, sends(&[frame(99, 0, b"")]), bad());
    row("own-kind", Ask::Get, sends(&[frame(3, 0, b"x")]), bad());
    row("unknown-flags", Ask::Get, sends(&[body(b"x", 0x80)]), bad());
    row("reserved", Ask::Get, sends(&[vec![1, 0, 0, 0, 18, 0, 1, 0, b'x']]), bad());
    let huge = [&u32::MAX.to_le_bytes()[..], &[17, 0, 0, 0]].concat();
    row("huge-length", Ask::Get, vec![Act::Send(huge), Act::Wait], bad());
    row("short-head", Ask::Get, sends(&[frame(17, 0, &[0; 4])]), bad());
    let cut = [&200_u16.to_le_bytes()[..], &[0xff; 8], &[0; 4], &[200, 0, 0, 0]].concat();
    row("pairs-past-the-end", Ask::Get, sends(&[frame(17, 0, &cut)]), bad());
    row("trailing-bytes", Ask::Get, sends(&[frame(16, 0, b"x")]), bad());
    row("closes", Ask::Get, vec![Act::Close], bad());
    row("half-a-frame", Ask::Get, vec![Act::Send(plain()[..12].to_vec()), Act::Close], bad());
    row("reply", Ask::Get, sends(&[frame(33, 0, b"{}")]), bad());
    row("refused", Ask::Get, sends(&[frame(25, 0, &[1, 0, 0, 0, 0, 0])]), bad());
    row("refused-reason", Ask::Get, sends(&[frame(25, 0, &[99, 0, 0, 0, 0, 0])]), bad());

    // These frames are out of order.
    row("body-first", Ask::Get, sends(&[body(b"x", 0)]), bad());
    row("end-first", Ask::Get, sends(&[end()]), bad());
    row("file-first", Ask::Get, sends(&[file(0, 0, 0)]), bad());
    row("two-heads", Ask::Get, sends(&[plain(), plain(), end()]), bad());
    let late = status(404, &[]);
    row("status-after-head", Ask::Get, sends(&[plain(), late.clone()]), bad());
    row("redirect-after-head", Ask::Get, sends(&[plain(), redirect("/")]), bad());
    row("two-heads-one-out", Ask::Get, sends(&[flushed_head(), plain()]), Seen::Broken);
    row(
        "file-behind-body",
        Ask::Get,
        sends(&[flushed_head(), body(b"x", 0), file(0, 0, 0)]),
        Seen::Broken,
    );
    row("status-after-body", Ask::Get, sends(&[flushed_head(), body(b"x", 1), late]), Seen::Broken);
    row("continue-unasked", Ask::Get, sends(&[frame(16, 0, b""), hello().concat()]), bad());
    row("two-ends", Ask::Get, sends(&[hello().concat(), end()]), Seen::Status(200));
    let two = [hello().concat(), hello().concat()];
    row("two-answers", Ask::Get, sends(&two), Seen::Status(200));
    row(
        "refused-late",
        Ask::Get,
        sends(&[flushed_head(), frame(25, 0, &[5, 0, 0, 0, 0, 0])]),
        Seen::Broken,
    );

    // A switch to another protocol. What follows the head is not HTTP's.
    let of_switch = [("Connection", "upgrade"), ("Upgrade", "x")];
    let switched = || switch(&of_switch);
    let is_out = || Seen::Status(101);
    row("switch", Ask::Upgrade, sends(&[switched(), end()]), is_out());
    row("switch-unasked", Ask::Get, sends(&[switched(), end()]), bad());
    row("switch-with-body", Ask::Small, sends(&[switched(), end()]), bad());
    row("switch-after-head", Ask::Upgrade, sends(&[plain(), switched()]), bad());
    row("switch-flags", Ask::Upgrade, sends(&[frame(26, 1, &pairs(&of_switch)), end()]), bad());
    for (name, value, label) in [
        ("Content-Length", "3", "switch-length"),
        ("Transfer-Encoding", "chunked", "switch-te"),
        ("X-A", "a\r\nX-Evil: b", "switch-crlf"),
    ] {
        row(label, Ask::Upgrade, sends(&[switch(&[(name, value)]), end()]), bad());
    }
    row("switch-twice", Ask::Upgrade, sends(&[switched(), switched()]), is_out());
    row("switch-then-head", Ask::Upgrade, sends(&[switched(), plain(), end()]), is_out());
    row("switch-then-file", Ask::Upgrade, sends(&[switched(), file(0, 0, 0), end()]), is_out());
    row("switch-then-status", Ask::Upgrade, sends(&[switched(), status(404, &[])]), is_out());
    row("switch-then-failed", Ask::Upgrade, sends(&[switched(), failed(1, 500, "x")]), is_out());
    row("switch-continue", Ask::Upgrade, sends(&[switched(), frame(16, 0, b"")]), is_out());
    row("switch-closes", Ask::Upgrade, vec![Act::Send(switched()), Act::Close], is_out());

    // Headers that would split the response, in each frame that has fields.
    for (name, value, label) in [
        ("Content-Length", "0", ["head-length", "status-length", "end-length"]),
        ("transfer-encoding", "chunked", ["head-te", "status-te", "end-te"]),
        ("CONNECTION", "upgrade", ["head-connection", "status-connection", "end-connection"]),
        ("Keep-Alive", "timeout=9", ["head-keep", "status-keep", "end-keep"]),
        ("Upgrade", "x", ["head-upgrade", "status-upgrade", "end-upgrade"]),
        ("X-A", "a\r\nX-Evil: b", ["head-crlf", "status-crlf", "end-crlf"]),
        ("X-A", "a\nb", ["head-lf", "status-lf", "end-lf"]),
        ("X-A", "a\0b", ["head-nul", "status-nul", "end-nul"]),
        ("X-Evil: b\r\nX", "a", ["head-name", "status-name", "end-name"]),
        ("", "a", ["head-empty", "status-empty", "end-empty"]),
    ] {
        let fields = [(name, value)];
        row(label[0], Ask::Get, sends(&[head(200, None, 0, "", &fields), end()]), bad());
        row(label[1], Ask::Get, sends(&[status(403, &fields)]), bad());
        row(label[2], Ask::Get, sends(&[flushed_head(), end_with(&fields)]), Seen::Broken);
    }
    row("reason", Ask::Get, sends(&[head(200, None, 0, "OK\r\nX-Evil: b", &[]), end()]), bad());
    row("reason-nul", Ask::Get, sends(&[head(200, None, 0, "O\0K", &[]), end()]), bad());

    // Numbers.
    for (number, label) in
        [(0, "status-0"), (101, "status-101"), (600, "status-600"), (65535, "status-65535")]
    {
        row(label, Ask::Get, sends(&[status(number, &[])]), bad());
    }
    for (number, label) in [(100, "head-100"), (199, "head-199"), (700, "head-700")] {
        row(label, Ask::Get, sends(&[head(number, None, 0, "", &[]), end()]), bad());
    }
    let negative = head(200, Some(1 << 63), 0, "", &[]);
    row("length-2-63", Ask::Head, sends(&[negative, end()]), bad());
    let negative = head(200, Some(u64::MAX - 1), 0, "", &[]);
    row("length-2-64", Ask::Head, sends(&[negative, end()]), bad());
    // The client would take the next bytes of the connection as the body.
    let reset = head(205, Some(165), 0, "", &[]);
    row("length-205", Ask::Get, sends(&[reset, end()]), bad());
    row("failed-kind", Ask::Get, sends(&[failed(99, 500, "x")]), bad());
    row("failed-status", Ask::Get, sends(&[failed(1, 200, "x")]), bad());
    row("failed", Ask::Get, sends(&[failed(1, 500, "x\r\ny\0z")]), Seen::Status(500));
    row("log-level", Ask::Get, sends(&[log(9, "x")]), bad());
    row(
        "log-bytes",
        Ask::Get,
        sends(&[log(1, "RUST0006: a\r\nb\0c\x1b"), hello().concat()]),
        Seen::Status(200),
    );

    // The length against what comes.
    let long = head(200, Some(5), FLUSH, "", &[]);
    row("more", Ask::Get, sends(&[long.clone(), body(b"hello, hello", 1), end()]), Seen::Broken);
    row("less", Ask::Get, sends(&[long.clone(), body(b"hell", 1), end()]), Seen::Broken);
    row(
        "midst",
        Ask::Get,
        vec![Act::Send([&long[..], &body(b"hell", 1)].concat()), Act::Close],
        Seen::Broken,
    );
    row(
        "no-end",
        Ask::Get,
        vec![Act::Send([flushed_head(), body(b"hell", 1)].concat()), Act::Close],
        Seen::Broken,
    );
    row("none", Ask::Get, sends(&[long.clone(), end()]), Seen::Broken);
    row("body-to-head", Ask::Head, sends(&[plain(), body(b"x", 0), end()]), bad());
    row(
        "body-of-204",
        Ask::Get,
        sends(&[head(204, None, 0, "", &[]), body(b"x", 0), end()]),
        bad(),
    );
    row(
        "body-of-304",
        Ask::Get,
        sends(&[head(304, None, 0, "", &[]), body(b"x", 0), end()]),
        bad(),
    );
    row("empty-body", Ask::Get, sends(&[plain(), body(b"", 0), end()]), bad());
    row("empty-flush", Ask::Get, sends(&[plain(), body(b"", FLUSH), end()]), Seen::Status(200));

    // Files.
    let other = || root.join("other.bin");
    let with = |frames: &[Vec<u8>], path, count| {
        vec![
            Act::Send(frames[..frames.len() - 1].concat()),
            Act::Descriptors(frames[frames.len() - 1].clone(), path, count),
        ]
    };
    let three = || head(200, Some(3), 0, "", &[]);
    let sent = |part: Vec<u8>, path, count| {
        let mut acts = with(&[three(), part], path, count);
        acts.push(Act::Send(end()));
        acts
    };
    row("file", Ask::Get, sent(file(0, 3, WHOLE), other(), 1), Seen::Status(200));
    row("file-without", Ask::Get, sends(&[three(), file(0, 3, 0), end()]), bad());
    row("file-many", Ask::Get, sent(file(0, 3, 0), other(), 200), Seen::Status(200));
    row("file-folder", Ask::Get, sent(file(0, 3, 0), root.into(), 1), Seen::Status(500));
    row("file-device", Ask::Get, sent(file(0, 3, 0), "/dev/zero".into(), 1), Seen::Status(500));
    row("file-beyond", Ask::Get, sent(file(1, 3, 0), other(), 1), Seen::Status(500));
    row("file-short", Ask::Get, sent(file(0, 2, 0), other(), 1), bad());
    row("file-2-63", Ask::Get, sent(file(1 << 62, 1 << 62, 0), other(), 1), bad());
    row("file-and-body", Ask::Get, sends(&[three(), file(0, 3, 0), body(b"abc", 0), end()]), bad());
    let stray = vec![Act::Descriptors(plain(), other(), 5), Act::Send(end())];
    row("stray-descriptors", Ask::Get, stray, Seen::Status(200));

    // Redirects.
    row("redirect-nul", Ask::Get, sends(&[redirect("/a\0b")]), bad());
    row("redirect-away", Ask::Get, sends(&[redirect("http://example.org/")]), bad());
    row("redirect-empty", Ask::Get, sends(&[redirect("")]), bad());
    let again = redirect("/stage/run?name=redirect-loop");
    row("redirect-loop", Ask::Get, sends(&[again]), Seen::Status(500));

    // The response comes before the body, for every reader of it.
    let early = || status(413, &[]);
    row("early", Ask::Large, vec![Act::Send(early()), Act::Close], Seen::Status(413));
    row(
        "early-deaf",
        Ask::Large,
        vec![Act::Deaf, Act::Send(early()), Act::Close],
        Seen::Status(413),
    );
    row("late-answer", Ask::Small, vec![Act::Body, Act::Send(hello().concat())], Seen::Status(200));

    // Silence.
    row("silent", Ask::Get, vec![Act::Wait], Seen::Status(504));
    row("takes-nothing", Ask::Large, vec![Act::Wait], Seen::Status(504));
    row(
        "silent-in-a-frame",
        Ask::Get,
        vec![Act::Send(plain()[..12].to_vec()), Act::Wait],
        Seen::Status(504),
    );
    row("silent-in-the-body", Ask::Get, vec![Act::Send(flushed_head()), Act::Wait], Seen::Broken);
    rows
}
