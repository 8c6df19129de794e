//! The request body in memory: pieces, pauses and failures, in the order in which they come.

use bytes::{Buf, Bytes};
use http::HeaderMap;

use super::exchange::{BodyStep, Memory};
use crate::gateway::error::{Error, ErrorKind, Result};
use crate::gateway::input::{Fill, InputSource};

pub(super) struct Source<'m> {
    memory: &'m Memory,
    length: Option<u64>,
    data: Bytes,
    ended: bool,
    trailers: Option<HeaderMap>,
}

impl<'m> Source<'m> {
    pub(super) const fn new(
        memory: &'m Memory,
        length: Option<u64>,
        trailers: Option<HeaderMap>,
    ) -> Self {
        Self { memory, length, data: Bytes::new(), ended: false, trailers }
    }
}

impl InputSource for Source<'_> {
    fn length(&self) -> Option<u64> {
        self.length
    }

    fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        while self.data.is_empty() {
            let Some(step) = self.memory.next_step(|step| match step {
                BodyStep::Data(_) => true,
                // The failure stays, so that each later read fails too.
                BodyStep::Fail(_) => false,
                BodyStep::Pause => wait,
                BodyStep::AfterOutput(bytes) => self.memory.received() >= *bytes,
            }) else {
                self.ended = true;
                return Ok(Fill::End);
            };
            match step {
                Ok(BodyStep::Data(data)) => self.data = data,
                Ok(_) => {}
                Err(BodyStep::Fail(kind)) => {
                    return Err(Error::of(kind, "the request body failed"));
                }
                Err(BodyStep::AfterOutput(bytes)) if wait => {
                    return Err(Error::of(
                        ErrorKind::InputTimeout,
                        format!(
                            "the client waits for {bytes} bytes of the response, and has {}",
                            self.memory.received()
                        ),
                    ));
                }
                Err(_) => return Ok(Fill::NotYet),
            }
        }
        Ok(Fill::Data(&self.data))
    }

    fn consume(&mut self, amount: usize) {
        self.data.advance(amount);
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        if self.ended { self.trailers.take() } else { None }
    }
}
