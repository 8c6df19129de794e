//! Whether a response body is as long as its HEAD said.

use std::error::Error;
use std::fmt;

/// The length that the response body has to have: what the child holds a HEAD's length against, so
/// that no response that is too short or too long passes for a whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLength {
    announced: Option<u64>,
    passed: u64,
}

impl BodyLength {
    /// Makes one for a HEAD of this status and length, in answer to a request of the method HEAD or
    /// not.
    #[must_use]
    pub const fn new(status: u16, announced: Option<u64>, head_request: bool) -> Self {
        let announced = match status {
            204 | 205 | 304 => Some(0),
            _ if head_request => Some(0),
            _ => announced,
        };
        Self { announced, passed: 0 }
    }

    /// Bytes of a BODY or a FILE pass.
    ///
    /// # Errors
    ///
    /// Returns an error if they are more than were announced.
    pub fn pass(&mut self, bytes: u64) -> Result<(), LengthError> {
        self.passed = self.passed.saturating_add(bytes);
        match self.announced {
            Some(announced) if self.passed > announced => Err(self.differs(announced)),
            _ => Ok(()),
        }
    }

    /// Notes that END has come.
    ///
    /// # Errors
    ///
    /// Returns an error if there were fewer bytes than announced.
    pub const fn end(&self) -> Result<(), LengthError> {
        match self.announced {
            Some(announced) if self.passed != announced => Err(self.differs(announced)),
            _ => Ok(()),
        }
    }

    const fn differs(&self, announced: u64) -> LengthError {
        LengthError { announced, passed: self.passed }
    }
}

/// A response body whose length is not the announced one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthError {
    announced: u64,
    passed: u64,
}

impl fmt::Display for LengthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { announced, passed } = self;
        write!(f, "a response body of {passed} bytes came over the bridge; allowed are {announced}")
    }
}

impl Error for LengthError {}
