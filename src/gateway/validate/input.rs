//! The check of the request body, between the server and the application.

use std::io::BufRead;
use std::rc::Rc;

use http::HeaderMap;

use super::rules::{RuleState, application, server};
use crate::gateway::error::Result;
use crate::gateway::input::{Fill, Input, InputSource};

pub(super) struct ValidInput<'x> {
    inner: Input<'x>,
    state: Rc<RuleState>,
    /// The bytes that the server returned last, and the consumed ones.
    given: usize,
    taken: u64,
    ended: bool,
    failed: bool,
}

impl<'x> ValidInput<'x> {
    pub(super) const fn new(inner: Input<'x>, state: Rc<RuleState>) -> Self {
        Self { inner, state, given: 0, taken: 0, ended: false, failed: false }
    }
}

/// The result of a fill, apart from its bytes.
enum Filled {
    Data(usize),
    End,
    NotYet,
}

impl InputSource for ValidInput<'_> {
    fn length(&self) -> Option<u64> {
        self.inner.length()
    }

    fn fill(&mut self, wait: bool) -> Result<Fill<'_>> {
        if self.failed {
            let error = application(
                "the input was read again after it had failed (PEP 3333, Input and Error Streams)",
            );
            return Err(self.state.broke(error));
        }
        let filled = match self.inner.fill(wait) {
            Ok(Fill::Data(data)) => Filled::Data(data.len()),
            Ok(Fill::End) => Filled::End,
            Ok(Fill::NotYet) => Filled::NotYet,
            Err(error) => {
                self.failed = true;
                return Err(error);
            }
        };
        self.check(&filled, wait).map_err(|error| self.state.broke(error))?;
        match filled {
            Filled::Data(_) => self.inner.fill(wait),
            Filled::End => Ok(Fill::End),
            Filled::NotYet => Ok(Fill::NotYet),
        }
    }

    fn consume(&mut self, amount: usize) {
        if amount > self.given {
            self.state.broke(application(format!(
                "{amount} bytes were taken off the input, which had given {} (std::io::BufRead)",
                self.given
            )));
        }
        let amount = amount.min(self.given);
        self.given -= amount;
        self.taken += amount as u64;
        self.inner.consume(amount);
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.inner.trailers()
    }
}

impl ValidInput<'_> {
    fn check(&mut self, filled: &Filled, wait: bool) -> Result<()> {
        let length = self.inner.length();
        match *filled {
            Filled::Data(0) => {
                return Err(server("the input gave no bytes (gateway::Fill::Data)"));
            }
            Filled::NotYet if wait => {
                return Err(server(
                    "the input did not wait, as it was asked to (gateway::InputSource)",
                ));
            }
            Filled::Data(_) if self.ended => {
                return Err(server(
                    "the input gave bytes after its end (gateway.input_terminated)",
                ));
            }
            Filled::Data(given) => {
                self.given = given;
                if let Some(length) = length
                    && self.taken + given as u64 > length
                {
                    return Err(server(format!(
                        "the input gave {} bytes, and its length is {length} (RFC 9112, 6.3)",
                        self.taken + given as u64
                    )));
                }
            }
            Filled::End => {
                self.ended = true;
                if let Some(length) = length
                    && self.taken < length
                {
                    return Err(server(format!(
                        "the input ended after {} bytes of {length}, without an error \
                         (RFC 9112, 6.3)",
                        self.taken
                    )));
                }
            }
            Filled::NotYet => {}
        }
        Ok(())
    }
}
