//! The request body of a protocol with one request a connection.

use crate::gateway::{Error, ErrorKind, Fill, InputSource, Result};
use crate::server::stream::buffer::{Buffer, ReadOutcome};
use crate::server::stream::inbound::Inbound;
use crate::server::stream::protocol::BodyEnd;

/// The end of a body whose length is known.
#[derive(Clone, Copy)]
pub(super) struct BytesLeft(pub(super) u64);

impl BodyEnd for BytesLeft {
    fn pass(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_sub(bytes.len() as u64);
    }

    fn is_here(&self) -> bool {
        self.0 == 0
    }

    fn left(&self) -> Option<u64> {
        Some(self.0)
    }
}

/// The request body.
pub(super) struct SingleInput<'r, 'c> {
    pub(super) inbound: &'r Inbound<'c, BytesLeft>,
    pub(super) buffer: &'r mut Buffer,
    pub(super) length: u64,
    pub(super) left: u64,
}

impl SingleInput<'_, '_> {
    fn there(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).min(self.buffer.len())
    }
}

impl InputSource for SingleInput<'_, '_> {
    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        while self.left > 0 && self.buffer.is_empty() {
            match self.inbound.receive(self.buffer) {
                ReadOutcome::Full | ReadOutcome::Some => {}
                ReadOutcome::End => {
                    let came = self.length - self.left;
                    let length = self.length;
                    return Err(Error::of(
                        ErrorKind::InputMalformed,
                        format!("the request body ended after {came} of {length} bytes"),
                    ));
                }
                ReadOutcome::NotYet if wait => self.inbound.wait_to_read()?,
                ReadOutcome::NotYet => {
                    self.inbound.check_time()?;
                    return Ok(Fill::NotYet);
                }
            }
        }
        let there = self.there();
        if self.left <= self.buffer.len() as u64 {
            // All of it is here.
            self.inbound.set_open(false);
        }
        Ok(if there == 0 { Fill::End } else { Fill::Data(&self.buffer.unread()[..there]) })
    }

    fn consume(&mut self, amount: usize) {
        debug_assert!(amount <= self.there());
        self.buffer.consume(amount);
        self.left -= amount as u64;
    }
}
