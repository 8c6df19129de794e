//! A violation of a protocol, and its place.

use std::fmt;

/// An error in what one message of a protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorAt<K> {
    at: usize,
    kind: K,
}

/// The kind of a problem with a message.
pub trait MessageErrorKind: fmt::Display {
    /// The message, as an administrator knows it.
    const MESSAGE: &'static str;
}

impl<K: Copy> ErrorAt<K> {
    pub(super) const fn new(at: usize, kind: K) -> Self {
        Self { at, kind }
    }

    /// Returns the offset in the bytes. For a value that could not be encoded: the offset that it
    /// would have had.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.at
    }

    /// Returns the problem.
    #[must_use]
    pub const fn kind(&self) -> K {
        self.kind
    }
}

impl<K: MessageErrorKind> fmt::Display for ErrorAt<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}: {}", K::MESSAGE, self.at, self.kind)
    }
}

impl<K: MessageErrorKind + fmt::Debug> std::error::Error for ErrorAt<K> {}
