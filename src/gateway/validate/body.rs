//! The check of body chunks, between the server and the application.

use std::rc::Rc;

use bytes::Bytes;
use http::HeaderMap;

use super::rules::{RuleState, server};
use crate::gateway::body::{BodyStream, Pace};
use crate::gateway::error::Result;

pub(super) struct ValidStream<'x> {
    inner: Box<dyn BodyStream + 'x>,
    state: Rc<RuleState>,
    ended: bool,
}

impl<'x> ValidStream<'x> {
    pub(super) const fn new(inner: Box<dyn BodyStream + 'x>, state: Rc<RuleState>) -> Self {
        Self { inner, state, ended: false }
    }

    fn check(&mut self, chunk: Result<Option<Bytes>>) -> Result<Option<Bytes>> {
        self.state.verdict()?;
        match chunk? {
            Some(chunk) => {
                self.state.content(chunk.len() as u64)?;
                Ok(Some(chunk))
            }
            None => {
                self.ended = true;
                self.state.end()?;
                Ok(None)
            }
        }
    }
}

impl BodyStream for ValidStream<'_> {
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        if self.ended {
            return Err(server(
                "it asked for a chunk after the body's end (PEP 3333, Specification Details)",
            ));
        }
        self.state.in_body.set(true);
        let chunk = self.inner.next_chunk(pace);
        self.state.in_body.set(false);
        let checked = self.check(chunk);
        self.ended |= checked.is_err();
        checked
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.inner.trailers()
    }
}
