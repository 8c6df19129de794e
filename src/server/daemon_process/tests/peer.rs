//! An httpd child's end of a connection.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use super::harness::{GROUP_TOKEN, LONG};
use crate::gateway::{ErrorKind, Level};
use crate::os::{self, monotonic_us, wall_us};
use crate::process_group::Scoreboard;
use crate::protocol::bridge::{
    FieldsEncoder, FrameLimits, Message, Peer as Side, RequestEncoder, RequestFacts, Timing,
    put_hello, put_input, put_input_end, put_input_stop, split,
};

/// A request to be sent.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) target: &'static str,
    pub(super) length: Option<u64>,
    pub(super) expect: bool,
    pub(super) error_override: bool,
    pub(super) level: Option<Level>,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) application: u32,
    pub(super) sent_us: u64,
}

impl Ask {
    pub(super) fn get(target: &'static str) -> Self {
        Self {
            method: "GET",
            target,
            length: Some(0),
            expect: false,
            error_override: false,
            level: None,
            headers: Vec::new(),
            application: 0,
            sent_us: 0,
        }
    }

    pub(super) fn post(target: &'static str, length: Option<u64>) -> Self {
        Self { method: "POST", length, ..Self::get(target) }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>, ticket: u64, incarnation: u32) {
        let facts = RequestFacts {
            ticket,
            incarnation,
            start_us: wall_us(),
            sent_us: if self.sent_us > 0 { self.sent_us } else { monotonic_us() },
            length: self.length,
            application: self.application,
            server: b"example.org",
            target: self.target.as_bytes(),
            expect: self.expect,
            error_override: self.error_override,
            log_level: self.level,
            ..RequestFacts::default()
        };
        let mut request = RequestEncoder::begin(out, &facts);
        request.variable(b"REQUEST_METHOD", self.method.as_bytes());
        request.variable(b"PATH_INFO", self.target.as_bytes());
        request.variable(b"mod_rust.mode", b"embedded");
        let mut fields = request.headers();
        fields.header(b"Host", b"example.org");
        for (name, value) in &self.headers {
            fields.header(name.as_bytes(), value.as_bytes());
        }
        fields.finish(&FrameLimits::default()).unwrap();
    }
}

/// The last frame of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    End(Vec<(String, String)>),
    Status(u16, Vec<(String, String)>),
    Redirect(String),
    Failed(ErrorKind, u16, String),
    Refused(String),
    Reply(String),
    /// The connection was closed.
    Closed,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) length: Option<u64>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) flushes: usize,
    pub(super) continues: usize,
    pub(super) logs: Vec<(Level, String)>,
    pub(super) files: Vec<(u64, u64, bool, String)>,
    pub(super) ending: Option<Ending>,
    pub(super) close: bool,
    pub(super) timing: Timing,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn ending(&self) -> &Ending {
        self.ending.as_ref().expect("the answer has not ended")
    }
}

pub(super) struct Peer {
    pub(super) stream: UnixStream,
    board: Scoreboard,
    slot: usize,
    greeted: bool,
    read: Vec<u8>,
    files: Vec<File>,
    pub(super) tickets: Vec<u64>,
}

impl Peer {
    pub(super) fn new(stream: UnixStream, board: Scoreboard, slot: usize) -> Self {
        Self {
            stream,
            board,
            slot,
            greeted: false,
            read: Vec::new(),
            files: Vec::new(),
            tickets: Vec::new(),
        }
    }

    /// Counts a request for the process and puts its bytes onto `out`.
    pub(super) fn put(&mut self, out: &mut Vec<u8>, ask: &Ask) {
        self.board.acquire(self.slot).expect("the process takes requests");
        self.put_counted(out, ask);
    }

    fn put_counted(&mut self, out: &mut Vec<u8>, ask: &Ask) {
        if !std::mem::replace(&mut self.greeted, true) {
            put_hello(out, &GROUP_TOKEN);
        }
        let ticket = self.board.group.ticket();
        self.tickets.push(ticket);
        ask.encode(out, ticket, self.board.slots[self.slot].incarnation());
    }

    pub(super) fn ask(&mut self, ask: &Ask) {
        let mut out = Vec::new();
        self.put(&mut out, ask);
        self.write(&out);
    }

    /// Works like [`Peer::ask`], for a request that is in the process's load already.
    pub(super) fn ask_counted(&mut self, ask: &Ask) {
        let mut out = Vec::new();
        self.put_counted(&mut out, ask);
        self.write(&out);
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(super) fn input(&mut self, data: &[u8]) {
        let mut out = Vec::new();
        put_input(&mut out, data.len() as u32);
        out.extend_from_slice(data);
        self.write(&out);
    }

    pub(super) fn input_end(&mut self, trailers: &[(&str, &str)]) {
        let mut out = Vec::new();
        if trailers.is_empty() {
            put_input_end(&mut out);
        } else {
            let mut fields = FieldsEncoder::input_end(&mut out);
            for (name, value) in trailers {
                fields.header(name.as_bytes(), value.as_bytes());
            }
            fields.finish(&FrameLimits::default()).unwrap();
        }
        self.write(&out);
    }

    pub(super) fn input_stop(&mut self) {
        let mut out = Vec::new();
        put_input_stop(&mut out);
        self.write(&out);
    }

    /// Reads more; `false` at the end.
    fn more(&mut self) -> bool {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match os::receive_with_descriptor(&self.stream, &mut buffer) {
                Ok(Some((0, _))) | Err(_) => return false,
                Ok(Some((read, descriptor))) => {
                    self.read.extend_from_slice(&buffer[..read]);
                    self.files.extend(descriptor.map(File::from));
                    return true;
                }
                Ok(None) => {
                    let (polled, _) =
                        os::poll(&self.stream, (true, false), None, Some(LONG)).unwrap();
                    assert!(polled.readable, "no answer came");
                }
            }
        }
    }

    /// Reads frames into `answer` until `enough`, or the last one.
    pub(super) fn read_until(&mut self, answer: &mut Answer, enough: impl Fn(&Answer) -> bool) {
        while answer.ending.is_none() && !enough(answer) {
            let limits = FrameLimits { head: u32::MAX, ..FrameLimits::default() };
            let frame = split(&self.read, Side::Daemon, &limits).expect("a good frame");
            let Some(frame) = frame else {
                if !self.more() {
                    answer.ending = Some(Ending::Closed);
                }
                continue;
            };
            let size = frame.size;
            let message = frame.message().expect("a good message");
            note(answer, &message, &mut self.files);
            self.read.drain(..size);
        }
    }

    pub(super) fn answer(&mut self) -> Answer {
        let mut answer = Answer::default();
        self.read_until(&mut answer, |_| false);
        answer
    }

    /// Asks and reads the answer.
    pub(super) fn get(&mut self, target: &'static str) -> Answer {
        self.ask(&Ask::get(target));
        self.answer()
    }

    pub(super) fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).is_err() || rest.is_empty()
    }
}

fn note(answer: &mut Answer, message: &Message<'_>, files: &mut Vec<File>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs = |pairs: &crate::protocol::bridge::Pairs<'_>| {
        pairs.iter().map(|(name, value)| (text(name), text(value))).collect::<Vec<_>>()
    };
    match message {
        Message::Continue => answer.continues += 1,
        Message::Head(head) => {
            assert_eq!(answer.status, 0, "a second head");
            answer.status = head.status;
            answer.reason = text(head.reason);
            answer.length = head.length;
            answer.headers = pairs(&head.headers);
            answer.flushes += usize::from(head.flush);
        }
        Message::Body(data, flush) => {
            assert!(answer.status > 0, "a body before the head");
            answer.body.extend_from_slice(data);
            answer.flushes += usize::from(*flush);
        }
        Message::File(file) => {
            let mut content = String::new();
            files.remove(0).read_to_string(&mut content).unwrap();
            answer.files.push((file.start, file.length, file.whole, content));
        }
        Message::End(end) => {
            answer.close = end.close;
            answer.timing = end.timing;
            answer.ending = Some(Ending::End(pairs(&end.trailers)));
        }
        Message::Status(status) => {
            answer.ending = Some(Ending::Status(status.status, pairs(&status.headers)));
        }
        Message::Redirect(redirect) => {
            answer.ending = Some(Ending::Redirect(text(redirect.target)));
        }
        Message::Failed(failed) => {
            let message = text(failed.message);
            answer.ending = Some(Ending::Failed(failed.kind, failed.status, message));
        }
        Message::Log(log) => answer.logs.push((log.level, text(log.text))),
        Message::Refused(refused) => answer.ending = Some(Ending::Refused(text(refused.message))),
        Message::Reply(json) => answer.ending = Some(Ending::Reply((*json).to_owned())),
        other => panic!("a daemon does not send {other:?}"),
    }
}
