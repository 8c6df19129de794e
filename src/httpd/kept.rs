//! Buckets of a request's body that are kept until their bytes have gone elsewhere.

use super::brigade::{Brigade, Read};
use super::request::Request;

/// The most buckets that are kept at once. Each takes a system call's slice, and may hold more memory
/// than its bytes.
const MOST: usize = 16;

/// Buckets whose bytes stay where they are: memory of their own (heap buckets), and nothing that the
/// next read of the filters uses again.
pub(crate) struct KeptBuckets<'r> {
    brigade: Brigade<'r>,
    /// The bytes of each bucket of the brigade, in its order.
    parts: Vec<(*const u8, usize)>,
}

impl<'r> KeptBuckets<'r> {
    pub(crate) fn new(request: &Request<'r>) -> Self {
        Self { brigade: Brigade::new(request), parts: Vec::with_capacity(MOST) }
    }

    /// Takes the first bucket of `from` over, a brigade of the same request. Returns the number of its
    /// bytes, or `None` if it is none to keep, or there is no more room.
    pub(crate) fn take_first(&mut self, from: &mut Brigade<'r>) -> Option<usize> {
        if self.parts.len() == MOST {
            return None;
        }
        let Read::Data(data, length) = from.read_first(false) else { return None };
        if !from.keep_first(&mut self.brigade) {
            return None;
        }
        self.parts.push((data, length));
        Some(length)
    }

    /// Returns the bytes of a bucket, by its number.
    pub(crate) fn part(&self, index: usize) -> &[u8] {
        let (data, length) = self.parts[index];
        // SAFETY: P8: the bucket is in the brigade, where nobody reads, splits or deletes it before
        // `clear`, which takes `&mut self`.
        unsafe { std::slice::from_raw_parts(data, length) }
    }

    /// Lets go of all.
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
        self.brigade.clear();
    }
}
