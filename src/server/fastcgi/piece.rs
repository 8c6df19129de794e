//! The position of a reader within a record, and the search for the end of STDIN.

use crate::protocol::fastcgi::{HEADER, RecordHeader, RecordKind};
use crate::server::stream::{self, BodyEnd, Buffer};

/// The reading side of a connection while a request has it.
pub(super) type Inbound<'c> = stream::Inbound<'c, Option<Scan>>;

/// The record of a stream whose content is on its way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecordPiece {
    pub(super) kind: u8,
    pub(super) id: u16,
    /// The rest of it, in bytes.
    pub(super) content: usize,
    pub(super) padding: usize,
}

impl RecordPiece {
    pub(super) const fn is_idle(&self) -> bool {
        self.content == 0 && self.padding == 0
    }

    /// Takes the header at the front of the buffer as that of a stream.
    pub(super) fn begin(&mut self, header: &RecordHeader) {
        *self = Self {
            kind: header.kind.0,
            id: header.request_id,
            content: usize::from(header.content_length),
            padding: usize::from(header.padding_length),
        };
    }

    /// Behind the content, takes padding off the front of the buffer; whether there is no more of
    /// it to come.
    pub(super) fn skip_padding(&mut self, buffer: &mut Buffer) -> bool {
        if self.content > 0 {
            return true;
        }
        let skipped = self.padding.min(buffer.len());
        buffer.consume(skipped);
        self.padding -= skipped;
        self.padding == 0
    }
}

/// Looks for the end of a request's STDIN in bytes that nobody takes apart yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan {
    id: u16,
    /// The rest of a record's content and padding, in bytes.
    skip: usize,
    header: [u8; HEADER],
    /// The number of bytes of the header that have come.
    have: usize,
    over: bool,
    /// The content of the records so far, in bytes.
    body: u64,
}

impl Scan {
    /// From within this record on.
    pub(super) const fn new(id: u16, piece: RecordPiece) -> Self {
        let skip = piece.content + piece.padding;
        let body = piece.content as u64;
        Self { id, skip, header: [0; HEADER], have: 0, over: false, body }
    }

    const fn is_over(&self) -> bool {
        self.over
    }

    /// More bytes have come.
    fn pass(&mut self, mut bytes: &[u8]) {
        while !self.over && !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let wanted = (HEADER - self.have).min(bytes.len());
            self.header[self.have..][..wanted].copy_from_slice(&bytes[..wanted]);
            self.have += wanted;
            bytes = &bytes[wanted..];
            if self.have < HEADER {
                return;
            }
            self.have = 0;
            // The decoder finds out what is wrong: until then there is nothing to wait for.
            let Ok(header) = RecordHeader::decode(&self.header) else {
                self.over = true;
                return;
            };
            self.skip = header.size() - HEADER;
            let is_own = header.request_id == self.id;
            if is_own {
                self.body += u64::from(header.content_length);
            }
            let is_end = header.kind == RecordKind::STDIN && header.content_length == 0;
            self.over = is_own && (is_end || header.kind == RecordKind::ABORT_REQUEST);
        }
    }
}

/// Without a scan nothing tells of the end but the reader of the body.
impl BodyEnd for Option<Scan> {
    fn pass(&mut self, bytes: &[u8]) {
        if let Some(scan) = self {
            scan.pass(bytes);
        }
    }

    fn is_here(&self) -> bool {
        self.is_none_or(|scan| scan.is_over())
    }

    fn body(&self) -> u64 {
        self.map_or(0, |scan| scan.body)
    }
}
