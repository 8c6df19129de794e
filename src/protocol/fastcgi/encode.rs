//! Records onto a buffer.

use super::error::{RecordError, RecordErrorKind};
use super::header::{HEADER, PADDING, RecordHeader};
use super::kind::{ProtocolStatus, RecordKind, Role};
use super::pairs::put_pair;
use super::record::{BeginRequest, EndRequest};
use crate::protocol::params::{Params, check_pair};

/// The content of each record of a stream but the last: the most that needs no padding.
const PIECE: usize = 65_528;

/// Puts a header.
pub fn put_header(out: &mut Vec<u8>, header: &RecordHeader) {
    out.extend_from_slice(&header.encode());
}

/// Puts a BEGIN_REQUEST.
pub fn put_begin(out: &mut Vec<u8>, request_id: u16, role: Role, keep_conn: bool) {
    put_eight(
        out,
        RecordKind::BEGIN_REQUEST,
        request_id,
        &BeginRequest { role, keep_conn }.encode(),
    );
}

/// Puts an ABORT_REQUEST.
pub fn put_abort(out: &mut Vec<u8>, request_id: u16) {
    put_header(out, &RecordHeader::new(RecordKind::ABORT_REQUEST, request_id, 0));
}

/// Puts an END_REQUEST.
pub fn put_end(out: &mut Vec<u8>, request_id: u16, app_status: u32, status: ProtocolStatus) {
    let end = EndRequest { app_status, protocol_status: status };
    put_eight(out, RecordKind::END_REQUEST, request_id, &end.encode());
}

/// Puts an UNKNOWN_TYPE: the answer to a management record of this type.
pub fn put_unknown_type(out: &mut Vec<u8>, kind: RecordKind) {
    put_eight(out, RecordKind::UNKNOWN_TYPE, 0, &[kind.0, 0, 0, 0, 0, 0, 0, 0]);
}

/// Puts a piece of a stream, in as many records as it takes: none for no bytes.
pub fn put_stream(out: &mut Vec<u8>, kind: RecordKind, request_id: u16, bytes: &[u8]) {
    out.reserve(bytes.len() + (bytes.len() / PIECE + 1) * 2 * HEADER);
    for piece in bytes.chunks(PIECE) {
        let header = RecordHeader::padded(kind, request_id, piece.len() as u16);
        put_header(out, &header);
        out.extend_from_slice(piece);
        out.extend_from_slice(&PADDING[..usize::from(header.padding_length)]);
    }
}

/// Puts the end of a stream: a record without content.
pub fn put_stream_end(out: &mut Vec<u8>, kind: RecordKind, request_id: u16) {
    put_header(out, &RecordHeader::new(kind, request_id, 0));
}

/// Puts a whole PARAMS stream, with its end.
///
/// # Errors
///
/// A name that is empty or has a NUL or `=`, a value with a NUL, a name or value of 2 GiB or more.
/// Nothing is put then.
pub fn put_params(out: &mut Vec<u8>, request_id: u16, params: &Params) -> Result<(), RecordError> {
    let open = OpenRecord::begin(out, RecordKind::PARAMS, request_id);
    for (name, value) in params.iter() {
        let checked = check_pair(name, value).map_err(|error| {
            RecordError::new(out.len(), Some(RecordKind::PARAMS), RecordErrorKind::Pair(error))
        });
        if let Err(error) = checked.and_then(|()| put_pair(out, name, value)) {
            open.abandon(out);
            return Err(error);
        }
    }
    open.close(out);
    put_stream_end(out, RecordKind::PARAMS, request_id);
    Ok(())
}

fn put_eight(out: &mut Vec<u8>, kind: RecordKind, request_id: u16, content: &[u8; 8]) {
    put_header(out, &RecordHeader::new(kind, request_id, 8));
    out.extend_from_slice(content);
}

/// A piece of a stream whose length is known only when it is there. Between [`begin`](Self::begin)
/// and [`close`](Self::close) its content is put onto the same buffer, and nothing else.
///
/// ```
/// use mod_rust::internal::protocol::fastcgi::{RecordKind, OpenRecord};
///
/// let mut out = Vec::new();
/// let open = OpenRecord::begin(&mut out, RecordKind::STDOUT, 1);
/// out.extend_from_slice(b"Status: 200 OK\r\n\r\n");
/// open.close(&mut out);
/// assert_eq!(out, b"\x01\x06\0\x01\0\x12\x06\0Status: 200 OK\r\n\r\n\0\0\0\0\0\0");
/// ```
#[derive(Debug)]
#[must_use = "without close() there is half a record in the buffer"]
pub struct OpenRecord {
    kind: RecordKind,
    request_id: u16,
    start: usize,
}

impl OpenRecord {
    /// Begins a record at the end of `out`.
    pub fn begin(out: &mut Vec<u8>, kind: RecordKind, request_id: u16) -> Self {
        let start = out.len();
        put_header(out, &RecordHeader::new(kind, request_id, 0));
        Self { kind, request_id, start }
    }

    /// Returns the bytes of content so far.
    #[must_use]
    pub const fn len(&self, out: &[u8]) -> usize {
        out.len() - self.start - HEADER
    }

    /// Tells whether there is no content so far.
    #[must_use]
    pub const fn is_empty(&self, out: &[u8]) -> bool {
        self.len(out) == 0
    }

    /// Completes it: no record if there is no content (which would be the stream's end), several if
    /// there is more than one holds.
    pub fn close(self, out: &mut Vec<u8>) {
        let length = self.len(out);
        if length == 0 {
            self.abandon(out);
            return;
        }
        let content = self.start + HEADER;
        let last = (length - 1) / PIECE;
        out.resize(out.len() + last * HEADER, 0);
        // From the last piece on, so that none is written over before it was moved.
        let mut end = length;
        for piece in (0..=last).rev() {
            let from = piece * PIECE;
            let size = end - from;
            let to = content + from + piece * HEADER;
            if piece > 0 {
                out.copy_within(content + from..content + end, to);
            }
            let header = RecordHeader::padded(self.kind, self.request_id, size as u16);
            out[to - HEADER..to].copy_from_slice(&header.encode());
            if piece == last {
                out.extend_from_slice(&PADDING[..usize::from(header.padding_length)]);
            }
            end = from;
        }
    }

    /// Takes it back, with its content.
    pub fn abandon(self, out: &mut Vec<u8>) {
        out.truncate(self.start);
    }
}
