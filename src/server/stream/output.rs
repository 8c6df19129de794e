//! A response on its way: head, framing and pieces of the body are collected and written together.

use std::io::IoSlice;

use bytes::Bytes;

#[cfg(feature = "fastcgi")]
use crate::protocol::fastcgi::{HEADER, PADDING, RecordHeader, RecordKind, put_header};

/// The amount of collected output that is written, in bytes. A little more than 64 KiB, so that a
/// body of that size goes in one piece with what is around it.
const WRITE_ABOVE: usize = 96 * 1024;

/// Up to this size a piece is copied behind the others; a larger one is written from where it is.
const COPY: usize = 8 * 1024;

/// Room that is kept for the next response.
const KEEP: usize = 64 * 1024;

/// The most content of a STDOUT record: the largest multiple of eight, which needs no padding.
#[cfg(feature = "fastcgi")]
pub(in crate::server) const RECORD: usize = 65_528;

/// The most pieces of one call.
const SLICES: usize = 64;

/// The framing of a response's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Framing {
    /// Nothing.
    Raw,
    /// STDOUT records of this request.
    #[cfg(feature = "fastcgi")]
    Stdout(u16),
}

/// Bytes that are collected and not written yet.
#[derive(Debug)]
pub(in crate::server) struct Output {
    framing: Framing,
    /// Framing, and small pieces of data.
    bytes: Vec<u8>,
    /// The start of the record that more can be added to.
    open: Option<usize>,
    /// Large pieces of data, each with the place in `bytes` before which it comes.
    large: Vec<(usize, Bytes)>,
    large_bytes: usize,
    /// The number of bytes that are written.
    done: usize,
}

impl Output {
    pub(in crate::server) const fn new() -> Self {
        Self {
            framing: Framing::Raw,
            bytes: Vec::new(),
            open: None,
            large: Vec::new(),
            large_bytes: 0,
            done: 0,
        }
    }

    /// For another response.
    pub(in crate::server) fn begin(&mut self, framing: Framing) {
        self.clear();
        self.framing = framing;
    }

    pub(in crate::server) const fn is_empty(&self) -> bool {
        self.left() == 0
    }

    /// Takes what is not written yet, and leaves an output with the same framing.
    pub(in crate::server) fn take(&mut self) -> Self {
        let framing = self.framing;
        std::mem::replace(self, Self { framing, ..Self::new() })
    }

    /// Returns the amount that is not written yet, in bytes.
    pub(in crate::server) const fn left(&self) -> usize {
        self.bytes.len() + self.large_bytes - self.done
    }

    pub(in crate::server) const fn is_due(&self) -> bool {
        self.left() >= WRITE_ABOVE
    }

    /// Adds to the response what `write` writes: a head.
    pub(in crate::server) fn head(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        match self.framing {
            Framing::Raw => write(&mut self.bytes),
            #[cfg(feature = "fastcgi")]
            Framing::Stdout(id) => {
                self.close_record();
                let open = crate::protocol::fastcgi::OpenRecord::begin(
                    &mut self.bytes,
                    RecordKind::STDOUT,
                    id,
                );
                let start = self.bytes.len() - HEADER;
                write(&mut self.bytes);
                if open.len(&self.bytes) > RECORD {
                    open.close(&mut self.bytes);
                } else {
                    // The body may go on in it.
                    self.open = Some(start);
                }
            }
        }
    }

    /// Adds a piece of the body.
    pub(in crate::server) fn body(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        match self.framing {
            Framing::Raw if data.len() <= COPY => self.bytes.extend_from_slice(&data),
            Framing::Raw => self.large(data),
            #[cfg(feature = "fastcgi")]
            Framing::Stdout(id) if data.len() <= COPY => self.small_record(id, &data),
            #[cfg(feature = "fastcgi")]
            Framing::Stdout(id) => {
                self.close_record();
                for at in (0..data.len()).step_by(RECORD) {
                    let piece = data.slice(at..data.len().min(at + RECORD));
                    let header = RecordHeader::padded(RecordKind::STDOUT, id, piece.len() as u16);
                    put_header(&mut self.bytes, &header);
                    self.large(piece);
                    let padding = usize::from(header.padding_length);
                    self.bytes.extend_from_slice(&PADDING[..padding]);
                }
            }
        }
    }

    fn large(&mut self, data: Bytes) {
        self.large_bytes += data.len();
        self.large.push((self.bytes.len(), data));
    }

    #[cfg(feature = "fastcgi")]
    fn small_record(&mut self, id: u16, data: &[u8]) {
        let start = match self.open {
            Some(start) if self.bytes.len() - start - HEADER + data.len() <= RECORD => start,
            _ => {
                self.close_record();
                put_header(&mut self.bytes, &RecordHeader::new(RecordKind::STDOUT, id, 0));
                self.bytes.len() - HEADER
            }
        };
        self.open = Some(start);
        self.bytes.extend_from_slice(data);
    }

    /// Says how long the record is that was open, and pads it.
    #[cfg(feature = "fastcgi")]
    fn close_record(&mut self) {
        let (Some(start), Framing::Stdout(id)) = (self.open.take(), self.framing) else { return };
        let header = RecordHeader::padded(
            RecordKind::STDOUT,
            id,
            (self.bytes.len() - start - HEADER) as u16,
        );
        self.bytes[start..start + HEADER].copy_from_slice(&header.encode());
        self.bytes.extend_from_slice(&PADDING[..usize::from(header.padding_length)]);
    }

    /// Adds what `put` puts, which has its own framing: a record of another kind.
    #[cfg(feature = "fastcgi")]
    pub(in crate::server) fn record(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        self.close_record();
        put(&mut self.bytes);
    }

    /// From here on nothing is added to what is there: it is to be written.
    pub(super) fn close(&mut self) {
        #[cfg(feature = "fastcgi")]
        self.close_record();
    }

    /// The pieces that come next.
    pub(super) fn slices<'s>(&'s self, into: &mut [IoSlice<'s>; SLICES]) -> usize {
        let (mut count, mut from, mut done) = (0, 0, self.done);
        let mut put = |data: &'s [u8]| {
            let skipped = done.min(data.len());
            done -= skipped;
            if skipped < data.len() && count < into.len() {
                into[count] = IoSlice::new(&data[skipped..]);
                count += 1;
            }
        };
        for (at, data) in &self.large {
            put(&self.bytes[from..*at]);
            put(data);
            from = *at;
        }
        put(&self.bytes[from..]);
        count
    }

    /// Room for [`slices`](Self::slices).
    pub(super) fn room<'s>() -> [IoSlice<'s>; SLICES] {
        [IoSlice::new(&[]); SLICES]
    }

    /// So many bytes more are written.
    pub(super) fn written(&mut self, bytes: usize) {
        self.done += bytes;
        if self.is_empty() {
            self.clear();
        }
    }

    pub(in crate::server) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
        self.open = None;
        self.large.clear();
        self.large_bytes = 0;
        self.done = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(output: &Output) -> Vec<u8> {
        let mut slices = Output::room();
        let count = output.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn raw_bytes_stay_in_order() {
        let mut output = Output::new();
        output.head(|into| into.extend_from_slice(b"head"));
        output.body(Bytes::from(vec![b'x'; 20_000]));
        output.body(Bytes::from_static(b"tail"));
        let all = [&b"head"[..], &[b'x'; 20_000], b"tail"].concat();
        assert_eq!(bytes(&output), all);
        output.written(3);
        assert_eq!(bytes(&output), all[3..]);
        output.written(all.len() - 4);
        assert_eq!((bytes(&output), output.left()), (b"l".to_vec(), 1));
        output.written(1);
        assert!(output.is_empty());
    }

    #[cfg(feature = "fastcgi")]
    #[test]
    fn records_are_whole_padded_and_no_longer_than_may_be() {
        use crate::protocol::fastcgi::{RecordContent, split};
        for sizes in [vec![3, 5], vec![8192, 9000, 1], vec![300_000, 7], vec![8000; 20], vec![]] {
            let mut output = Output::new();
            output.begin(Framing::Stdout(9));
            output.head(|into| into.extend_from_slice(b"Status: 200 OK\r\n\r\n"));
            let mut expected = b"Status: 200 OK\r\n\r\n".to_vec();
            for size in &sizes {
                output.body(Bytes::from(vec![b'y'; *size]));
                expected.resize(expected.len() + size, b'y');
            }
            output.close();
            let mut all = Vec::new();
            while !output.is_empty() {
                let next = bytes(&output);
                output.written(next.len());
                all.extend(next);
            }
            assert_eq!(all.len() % 8, 0);
            let (mut rest, mut got, mut records) = (&all[..], Vec::new(), 0);
            while let Some(record) = split(rest).unwrap() {
                let RecordContent::Stdout(9, content) = record.message().unwrap() else { panic!() };
                got.extend_from_slice(content);
                rest = &rest[record.size()..];
                records += 1;
            }
            assert!(rest.is_empty() && got == expected, "{sizes:?}");
            let large = sizes.iter().filter(|size| **size > COPY).map(|size| size / RECORD + 1);
            assert!(records <= 3 + large.sum::<usize>(), "{sizes:?}: {records} records");
        }
    }
}
