//! A web server's side of a connection.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};

use crate::protocol::fastcgi::{
    EndRequest, RecordContent, RecordKind, Role, put_abort, put_begin, put_params, put_stream,
    put_stream_end, split,
};
use crate::protocol::params::Params;
use crate::server::stream::tests::{Stream, head_and_body};

/// The records that came for a request.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
    /// Records of STDOUT with content, the longest of them, and whether the stream was ended.
    pub(super) records: usize,
    pub(super) longest: usize,
    pub(super) stdout_over: bool,
    pub(super) end: Option<EndRequest>,
}

impl Answer {
    pub(super) fn head(&self) -> String {
        head_and_body(&self.stdout).0
    }

    pub(super) fn body(&self) -> &[u8] {
        head_and_body(&self.stdout).1
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(self.body()).into_owned()
    }
}

/// A connection.
pub(super) struct Client {
    pub(super) stream: Stream,
    unread: Vec<u8>,
    answers: HashMap<u16, Answer>,
    /// GET_VALUES_RESULT and UNKNOWN_TYPE records, as they came.
    pub(super) management: Vec<String>,
}

/// Makes the head of a request for this path, with this body length and without the body.
pub(super) fn head(id: u16, role: Role, keep: bool, path: &str, length: Option<usize>) -> Vec<u8> {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut params = Params::new();
    params.push(b"REQUEST_METHOD", if length.is_some() { b"POST" } else { b"GET" });
    params.push(b"SCRIPT_NAME", path.as_bytes());
    params.push(b"QUERY_STRING", query.as_bytes());
    params.push(b"REQUEST_URI", path.as_bytes());
    params.push(b"SERVER_PROTOCOL", b"HTTP/1.1");
    params.push(b"REMOTE_ADDR", b"192.0.2.7");
    params.push(
        b"CONTENT_LENGTH",
        length.map(|length| length.to_string()).unwrap_or_default().as_bytes(),
    );
    let mut wire = Vec::new();
    put_begin(&mut wire, id, role, keep);
    put_params(&mut wire, id, &params).unwrap();
    wire
}

/// Makes a complete request.
pub(super) fn request(id: u16, path: &str, body: &[u8]) -> Vec<u8> {
    let length = (!body.is_empty()).then_some(body.len());
    let mut wire = head(id, Role::RESPONDER, true, path, length);
    put_stream(&mut wire, RecordKind::STDIN, id, body);
    put_stream_end(&mut wire, RecordKind::STDIN, id);
    wire
}

impl Client {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, unread: Vec::new(), answers: HashMap::new(), management: Vec::new() }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(super) fn stdin(&mut self, id: u16, bytes: &[u8]) {
        let mut wire = Vec::new();
        if bytes.is_empty() {
            put_stream_end(&mut wire, RecordKind::STDIN, id);
        }
        put_stream(&mut wire, RecordKind::STDIN, id, bytes);
        self.send(&wire);
    }

    pub(super) fn abort(&mut self, id: u16) {
        let mut wire = Vec::new();
        put_abort(&mut wire, id);
        self.send(&wire);
    }

    /// Sends a request and returns its response.
    pub(super) fn ask(&mut self, path: &str, body: &[u8]) -> Answer {
        self.send(&request(1, path, body));
        self.answer(1)
    }

    /// Reads until this request has ended.
    pub(super) fn answer(&mut self, id: u16) -> Answer {
        while self.answers.get(&id).is_none_or(|answer| answer.end.is_none()) {
            assert!(self.read(), "the connection ended: {:?}", self.answers);
        }
        self.answers.remove(&id).unwrap()
    }

    /// Reads until so much of this request's response has come, or it has ended.
    pub(super) fn until_stdout(&mut self, id: u16, bytes: usize) -> usize {
        loop {
            if let Some(answer) = self.answers.get(&id)
                && (answer.stdout.len() >= bytes || answer.end.is_some())
            {
                return answer.stdout.len();
            }
            assert!(self.read(), "the connection ended: {:?}", self.answers);
        }
    }

    /// Reads until a management record has come.
    pub(super) fn managed(&mut self) -> String {
        while self.management.is_empty() {
            assert!(self.read(), "the connection ended");
        }
        self.management.remove(0)
    }

    /// Reads until the end of the connection: what there is of this request's answer.
    pub(super) fn until_closed(&mut self, id: u16) -> Answer {
        while self.read() {}
        self.answers.remove(&id).unwrap_or_default()
    }

    /// Reads on; `false` at the end.
    fn read(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        let read = match self.stream.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}: {:?}", self.answers),
        };
        self.unread.extend_from_slice(&buffer[..read]);
        let mut used = 0;
        // The end of a response that breaks off.
        while !self.unread[used..].starts_with(&[0; 8])
            && let Some(record) = split(&self.unread[used..]).unwrap()
        {
            used += record.size();
            let answer = self.answers.entry(record.header.request_id).or_default();
            assert!(answer.end.is_none(), "{:?} behind END_REQUEST", record.header);
            match record.message().unwrap() {
                RecordContent::Stdout(_, []) => answer.stdout_over = true,
                RecordContent::Stdout(_, bytes) => {
                    assert!(!answer.stdout_over);
                    assert_eq!(record.size() % 8, 0);
                    answer.stdout.extend_from_slice(bytes);
                    answer.records += 1;
                    answer.longest = answer.longest.max(bytes.len());
                }
                RecordContent::Stderr(_, bytes) => {
                    answer.stderr.push_str(&String::from_utf8_lossy(bytes));
                }
                RecordContent::End(_, end) => answer.end = Some(end),
                message => self.management.push(format!("{message:?}")),
            }
        }
        self.unread.drain(..used);
        read > 0
    }
}
