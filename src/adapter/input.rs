//! The request body: httpd's input filters, read bucket by bucket and without a copy.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::gateway::{Error, ErrorKind, Fill, InputSource, Result};
use crate::httpd::{Brigade, Read, ReadError, Request};

/// How much the filters are asked for at once, in bytes.
const READ_SIZE: i64 = 64 * 1024;

/// The request body of an exchange. Nothing is read, and no 100 Continue sent, before it is asked
/// for.
pub(crate) struct RequestInput<'e, 'r> {
    request: &'e Request<'r>,
    length: Option<u64>,
    brigade: Option<Brigade<'r>>,
    /// How much of the first bucket has been consumed, and what it had when it was read.
    taken: usize,
    first: usize,
    ended: bool,
}

impl<'e, 'r> RequestInput<'e, 'r> {
    /// # Errors
    ///
    /// The status that httpd answers a bad announcement of the body with.
    pub(crate) fn new(request: &'e Request<'r>) -> Result<Self, i32> {
        let length = request.body_length()?;
        let ended = length == Some(0);
        Ok(Self { request, length, brigade: None, taken: 0, first: 0, ended })
    }

    /// Whether a part of the body has not been read.
    pub(crate) const fn is_unread(&self) -> bool {
        !self.ended
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
}

impl InputSource for RequestInput<'_, '_> {
    fn length(&self) -> Option<u64> {
        self.length
    }

    fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        while !self.ended {
            let brigade = self.brigade.get_or_insert_with(|| Brigade::new(self.request));
            match brigade.read_first(wait) {
                Read::Data(data, length) => {
                    self.first = length;
                    // SAFETY: P8: the bucket stays until `consume` has taken all of it, and that
                    // takes `&mut self`, which ends the slice's life.
                    let data = unsafe { std::slice::from_raw_parts(data, length) };
                    return Ok(Fill::Data(&data[self.taken..]));
                }
                Read::End => self.ended = true,
                Read::NotYet => return Ok(Fill::NotYet),
                Read::Failed(status) => return Err(self.failed(ReadError::Failed(status))),
                Read::Empty => match self.request.read(brigade, wait, READ_SIZE) {
                    Ok(()) => {}
                    Err(ReadError::NotYet) => return Ok(Fill::NotYet),
                    Err(error) => return Err(self.failed(error)),
                },
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
}
