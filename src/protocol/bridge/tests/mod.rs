//! Round trips, and everything that is refused.

mod encoding;
mod flow;
mod refused;
mod round_trip;

use super::*;
use crate::gateway::{ErrorKind, Level};

const LIMITS: FrameLimits =
    FrameLimits { head: 1 << 20, data: 256 << 10, log: 64 << 10, control: 4 << 10 };
const TIMING: Timing = Timing { queue_us: 12, application_us: 34_567, first_byte_us: 8_901 };

fn block(pairs: &[(&str, &str)]) -> PairBlock {
    let mut block = PairBlock::new();
    for (name, value) in pairs {
        block.push(name.as_bytes(), value.as_bytes()).unwrap();
    }
    block
}

/// Passes a message of every kind, with all variations, to `visit`.
fn each_sample(mut visit: impl FnMut(Message<'_>)) {
    let options = block(&[("root", "/srv"), ("empty", "")]);
    let variables = block(&[("REQUEST_METHOD", "GET"), ("", "no name"), ("BYTES", "\u{1}\u{7f}")]);
    let headers = block(&[("Host", "a"), ("Set-Cookie", "b=c"), ("set-cookie", "d\te"), ("X", "")]);
    let facts = RequestFacts {
        ticket: 7,
        start_us: 1_700_000_000_000_000,
        sent_us: 99,
        incarnation: 3,
        length: Some(0),
        application: 3,
        options: options.pairs(),
        server: b"www.example.org",
        target: b"/a%20b?c=d",
        expect: false,
        error_override: true,
        ignored: true,
        log_level: Some(Level::Warn),
        upgrade: false,
    };
    let request =
        |facts| RequestHead { facts, variables: variables.pairs(), headers: headers.pairs() };
    let none = Pairs::default();
    let upgrade = block(&[("Connection", "upgrade"), ("upgrade", "websocket"), ("X", "y")]);
    let head = ResponseHead {
        status: 200,
        length: Some(13),
        reason: b"Fine",
        headers: headers.pairs(),
        flush: true,
    };
    let file = File { start: 4096, length: 1 << 40, whole: true };
    let trailers = block(&[("X-Sum", "a"), ("x-sum", "d\te"), ("X", "")]);
    let end = End { trailers: trailers.pairs(), close: true, timing: TIMING };
    let status =
        StatusFrame { status: 304, headers: headers.pairs(), close: false, timing: TIMING };
    let failed = Failed {
        kind: ErrorKind::Application,
        status: 504,
        message: b"the request took too long",
        close: true,
        timing: TIMING,
    };
    for message in [
        Message::Hello(Hello::new(*b"0123456789abcdef")),
        Message::Request(request(facts)),
        Message::Request(request(RequestFacts { length: None, expect: true, ..facts })),
        Message::Request(request(RequestFacts {
            length: Some(5),
            error_override: false,
            log_level: None,
            ..facts
        })),
        Message::Request(request(RequestFacts { upgrade: true, ..facts })),
        Message::Request(RequestHead {
            facts: RequestFacts { ticket: 1, ..RequestFacts::default() },
            variables: none,
            headers: none,
        }),
        Message::Input(b"some of the body"),
        Message::InputEnd(none),
        Message::InputEnd(headers.pairs()),
        Message::InputFailed(InputFailure::TooLarge),
        Message::InputFailed(InputFailure::Gone),
        Message::InputStop,
        Message::Control("status"),
        Message::Continue,
        Message::Head(head),
        Message::Head(ResponseHead {
            length: None,
            reason: b"",
            headers: none,
            flush: false,
            ..head
        }),
        Message::Switch(upgrade.pairs()),
        Message::Switch(none),
        Message::Body(b"Hello, world\n", false),
        Message::Body(b"", true),
        Message::File(file),
        Message::File(File { start: 0, length: i64::MAX as u64, whole: false }),
        Message::End(end),
        Message::End(End { trailers: none, close: false, timing: Timing::default() }),
        Message::Status(status),
        Message::Status(StatusFrame { status: 599, headers: none, close: true, timing: TIMING }),
        Message::Redirect(Redirect { target: b"/else?where", close: false, timing: TIMING }),
        Message::Failed(failed),
        Message::Failed(Failed { kind: ErrorKind::Panic, status: 500, message: b"", ..failed }),
        Message::Log(LogFrame { level: Level::Warn, text: b"a line\nand one more \xff" }),
        Message::Refused(Refused { reason: RefusalReason::Draining, message: b"later" }),
        Message::Reply("{\"processes\":[]}"),
        Message::Reply(""),
    ] {
        visit(message);
    }
}

fn encoded(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message.put(&mut out, &LIMITS).unwrap();
    out
}

/// Returns the kind in a frame's header.
fn kind_of(frame: &[u8]) -> Kind {
    Kind::of(frame[4]).unwrap()
}

/// Decodes the one frame in `bytes`, as its sender may send it.
fn frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, FrameError> {
    split(bytes, kind_of(bytes).sent_by(), &LIMITS)
}

/// Returns the result of decoding one whole frame.
fn refusal(bytes: &[u8]) -> FrameError {
    match frame(bytes) {
        Err(error) => error,
        Ok(frame) => frame.expect("a whole frame").message().unwrap_err(),
    }
}

/// Numbers that are the same in every run (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, limit: usize) -> Vec<u8> {
        (0..self.below(limit)).map(|_| self.next() as u8).collect()
    }
}
