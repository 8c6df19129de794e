//! The request body: httpd's input filters, read bucket by bucket and without a copy.

use std::net::TcpStream;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::gateway::{Error, ErrorKind, Fill, InputSource, Result};
use crate::httpd::{Brigade, KeptBuckets, Read, ReadError, Request};

/// The bytes that the filters are asked for at once.
const READ_SIZE: i64 = 64 * 1024;

/// The times in a row that filters may take bytes and give none. DEFLATE does so for a block's
/// head. A filter that never gives anything must not keep the thread for ever.
const EMPTY_READS: u32 = 10_000;

/// The request body of an exchange. Nothing is read, and no 100 Continue sent, before it is asked
/// for.
pub(crate) struct RequestInput<'e, 'r> {
    request: &'e Request<'r>,
    length: Option<u64>,
    /// Whether content filters may change the body. Its length is not known then.
    is_filtered: bool,
    /// The number of bytes that the content filters may give, and that they gave. HTTP_IN bounds
    /// only what goes into them.
    limit: Option<u64>,
    given: u64,
    /// Whether filters may have bytes that the socket does not tell of.
    may_buffer: bool,
    /// The number of reads in a row that gave nothing, although there was something to read.
    empty_reads: u32,
    brigade: Option<Brigade<'r>>,
    /// The bytes of the first bucket that have been consumed, and those that it had when it was
    /// read.
    taken: usize,
    first: usize,
    ended: bool,
    /// Whether the input is that of another protocol: all that the client sends.
    is_raw: bool,
    /// Whether mod_http2 still has the end of the request before the other protocol's input.
    skips_end: bool,
    /// Whether the client has sent nothing for too long.
    is_late: bool,
    /// Whether the client's socket may be given away, and whether it was.
    may_give_socket: bool,
    gave_socket: bool,
}

impl<'e, 'r> RequestInput<'e, 'r> {
    /// # Errors
    ///
    /// The status that httpd answers a bad announcement of the body with.
    pub(crate) fn new(request: &'e Request<'r>) -> Result<Self, i32> {
        // A stream of HTTP/2 that may switch has no body: what it sends is the other protocol's.
        let is_stream = request.is_secondary() && request.can_switch_protocols();
        let announced = if is_stream { Some(0) } else { request.body_length()? };
        let ended = announced == Some(0);
        let is_filtered = !ended && request.has_input_filter();
        let length = if is_filtered { None } else { announced };
        let limit = if is_filtered { request.body_limit() } else { None };
        Ok(Self {
            request,
            length,
            limit,
            given: 0,
            is_filtered,
            may_buffer: is_filtered || (!ended && request.scheme() == b"https"),
            empty_reads: 0,
            brigade: None,
            taken: 0,
            first: 0,
            ended,
            is_raw: false,
            skips_end: false,
            is_late: false,
            may_give_socket: false,
            gave_socket: false,
        })
    }

    /// Returns whether a part of the body has not been read.
    pub(crate) const fn is_unread(&self) -> bool {
        !self.ended && !self.is_raw
    }

    /// Has the next read fail: the client has sent nothing for too long.
    pub(crate) const fn expire(&mut self) {
        self.is_late = true;
    }

    /// Allows the client's socket to be given away: the request waits without a thread.
    pub(crate) const fn allow_giving_socket(&mut self) {
        self.may_give_socket = true;
    }

    /// Returns whether the client's socket was given away.
    pub(crate) const fn gave_socket(&self) -> bool {
        self.gave_socket
    }

    /// Moves the bucket whose bytes [`fill`](InputSource::fill) returned last to `kept`, if none of
    /// them has been consumed and it can be kept. They count as consumed then.
    pub(crate) fn keep(&mut self, kept: &mut KeptBuckets<'r>) -> Option<usize> {
        let brigade = self.brigade.as_mut().filter(|_| self.taken == 0 && self.first > 0)?;
        let length = kept.take_first(brigade)?;
        self.first = 0;
        Some(length)
    }

    fn failed(&mut self, error: ReadError) -> Error {
        self.ended = true;
        // A connection whose input is broken is of no further use.
        self.request.close_after();
        if self.request.is_aborted() {
            return Error::of(ErrorKind::ClientGone, "the client went away while it was sending");
        }
        match error.http_status() {
            413 => Error::of(ErrorKind::InputTooLarge, "the request body exceeds LimitRequestBody"),
            408 => Error::of(ErrorKind::InputTimeout, "the client sent nothing for too long"),
            _ => Error::of(ErrorKind::InputMalformed, "the request body is malformed or cut off"),
        }
    }

    /// Reads from the filters until they give something; without `wait`, only what can be read
    /// now. Returns whether they gave something.
    ///
    /// Filters may take bytes and give none, or give the end only at the next read. So the client's
    /// socket alone does not tell that there is nothing to read.
    fn read(&mut self, wait: bool) -> Result<bool> {
        let request = self.request;
        let brigade = self.brigade.get_or_insert_with(|| Brigade::new(request));
        let mut is_last = !self.is_filtered;
        while self.empty_reads < EMPTY_READS {
            self.empty_reads += 1;
            match request.read(brigade, wait, READ_SIZE) {
                Ok(()) if !brigade.is_empty() => return Ok(true),
                Ok(()) => {}
                Err(ReadError::NotYet) if self.may_buffer && request.has_pending_input(brigade) => {
                    is_last = !self.is_filtered;
                }
                Err(ReadError::NotYet) if is_last => {
                    self.empty_reads = 0;
                    return Ok(false);
                }
                Err(ReadError::NotYet) => is_last = true,
                Err(_) if self.is_raw => {
                    self.ended = true;
                    return Ok(false);
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
        self.ended = true;
        request.close_after();
        Err(Error::of(
            ErrorKind::InputMalformed,
            format!("the input filters gave nothing in {EMPTY_READS} reads"),
        ))
    }
}

impl InputSource for RequestInput<'_, '_> {
    fn length(&self) -> Option<u64> {
        self.length
    }

    fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        if !self.is_raw && self.request.has_switched_protocols() {
            (self.is_raw, self.ended, self.may_buffer) = (true, false, true);
            self.length = None;
            self.skips_end = self.request.is_secondary();
        }
        while !self.ended {
            if self.is_late {
                return Err(self.failed(ReadError::LATE));
            }
            let brigade = self.brigade.get_or_insert_with(|| Brigade::new(self.request));
            match brigade.read_first(wait) {
                Read::Data(data, length) => {
                    if self.first == 0 {
                        self.given = self.given.saturating_add(length as u64);
                    }
                    (self.first, self.empty_reads) = (length, 0);
                    if self.limit.is_some_and(|limit| self.given > limit) {
                        return Err(self.failed(ReadError::Refused(413)));
                    }
                    // SAFETY: P8: the bucket stays until `consume` has taken all of it, and that
                    // takes `&mut self`, which ends the slice's life.
                    let data = unsafe { std::slice::from_raw_parts(data, length) };
                    return Ok(Fill::Data(&data[self.taken..]));
                }
                Read::End if std::mem::take(&mut self.skips_end) => brigade.delete_first(),
                Read::End => self.ended = true,
                Read::NotYet => return Ok(Fill::NotYet),
                Read::Failed(status) => return Err(self.failed(ReadError::Failed(status))),
                Read::Empty if self.read(wait)? => {}
                Read::Empty if self.ended => {}
                Read::Empty => return Ok(Fill::NotYet),
            }
        }
        Ok(Fill::End)
    }

    fn consume(&mut self, amount: usize) {
        self.taken += amount;
        debug_assert!(self.taken <= self.first, "more was consumed than was there");
        if self.taken >= self.first && self.first > 0 {
            if let Some(brigade) = &mut self.brigade {
                brigade.delete_first();
            }
            (self.taken, self.first) = (0, 0);
        }
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        if !self.ended || self.request.trailers_in().is_empty() {
            return None;
        }
        let mut trailers = HeaderMap::new();
        self.request.trailers_in().each(|name, value| {
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            {
                trailers.append(name, value);
            }
        });
        Some(trailers)
    }

    fn take_socket(&mut self) -> Option<TcpStream> {
        let is_consumed = self.brigade.as_ref().is_none_or(Brigade::is_empty);
        if !self.may_give_socket || !is_consumed || self.ended {
            return None;
        }
        let socket = self.request.share_socket()?;
        self.gave_socket = true;
        Some(socket)
    }
}
