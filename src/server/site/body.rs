//! A request body that may not be larger than the site allows.

use http::HeaderMap;

use crate::gateway::{Error, ErrorKind, Fill, InputSource, Result};

/// Returns the error for a body that is larger than `limit`.
pub(in crate::server) fn too_large(limit: u64) -> Error {
    let message = format!("the request body exceeds {limit} bytes (--max-body)");
    Error::of(ErrorKind::InputTooLarge, message)
}

/// An input of unknown length that fails with 413 when it comes to be larger than a limit.
pub(super) struct Limited<'i> {
    inner: &'i mut dyn InputSource,
    limit: u64,
    taken: &'i mut u64,
}

impl<'i> Limited<'i> {
    /// Limits `inner` to `limit` bytes, of which so many were `taken` in visits before.
    pub(super) fn new(inner: &'i mut dyn InputSource, limit: u64, taken: &'i mut u64) -> Self {
        Self { inner, limit, taken }
    }
}

impl InputSource for Limited<'_> {
    fn length(&self) -> Option<u64> {
        self.inner.length()
    }

    fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        let left = self.limit - *self.taken;
        match self.inner.fill(wait)? {
            Fill::Data(_) if left == 0 => Err(too_large(self.limit)),
            Fill::Data(data) => Ok(Fill::Data(&data[..data.len().min(left as usize)])),
            other => Ok(other),
        }
    }

    fn consume(&mut self, amount: usize) {
        *self.taken += amount as u64;
        self.inner.consume(amount);
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.inner.trailers()
    }
}

impl std::fmt::Debug for Limited<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limited")
            .field("limit", &self.limit)
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}
