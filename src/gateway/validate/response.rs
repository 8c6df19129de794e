//! The check of calls of `start_response` and of body chunks.

use std::rc::Rc;

use bytes::Bytes;
use http::HeaderMap;

use super::rules::{RuleState, Started, application, has_content, server};
use crate::gateway::body::{BodyStream, Pace};
use crate::gateway::error::Result;
use crate::gateway::header;
use crate::gateway::start_response::{EachHeader, Respond, StartResponse};
use crate::gateway::status::Status;

pub(super) struct ValidHead<'x> {
    inner: StartResponse<'x>,
    state: Rc<RuleState>,
}

impl<'x> ValidHead<'x> {
    pub(super) const fn new(inner: StartResponse<'x>, state: Rc<RuleState>) -> Self {
        Self { inner, state }
    }

    fn check_start(&self, replace: bool) -> Result<()> {
        if self.state.started.get().is_some() && !replace {
            return Err(application(
                "start_response was called a second time, and not to replace the first head \
                 (PEP 3333, The start_response() Callable)",
            ));
        }
        Ok(())
    }

    fn check_write(&self, data: &Bytes) -> Result<()> {
        if self.state.in_body.get() {
            return Err(application(
                "the writer was used by the body (PEP 3333, The write() Callable)",
            ));
        }
        self.state.content(data.len() as u64)
    }
}

impl Respond for ValidHead<'_> {
    fn start(&self, status: Status<'_>, headers: &mut EachHeader<'_>, replace: bool) -> Result<()> {
        let mut head = CheckedHead::default();
        let checked = self.check_start(replace).and_then(|()| {
            headers(&mut |name, value| head.add(name, value))?;
            head.check(status.code().as_u16())
        });
        let started = checked.map_err(|error| self.state.broke(error))?;
        Respond::start(
            &self.inner,
            status,
            &mut |visit| head.headers.iter().try_for_each(|(name, value)| visit(name, value)),
            replace,
        )?;
        self.state.started.set(Some(started));
        Ok(())
    }

    fn write(&self, data: Bytes) -> Result<()> {
        self.check_write(&data).map_err(|error| self.state.broke(error))?;
        Respond::write(&self.inner, data)
    }

    fn flush(&self) -> Result<()> {
        Respond::flush(&self.inner)
    }

    fn is_committed(&self) -> bool {
        Respond::is_committed(&self.inner)
    }
}

#[derive(Default)]
struct CheckedHead {
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    types: u32,
    length: Option<u64>,
}

impl CheckedHead {
    fn add(&mut self, name: &[u8], value: &[u8]) -> Result<()> {
        header::check(name, value).map_err(application)?;
        let shown = name.escape_ascii();
        if name.ends_with(b"_") || name.ends_with(b"-") {
            return Err(application(format!(
                "the name of header \"{shown}\" ends in a hyphen or underscore (wsgiref.validate)"
            )));
        }
        if value.trim_ascii() != value {
            return Err(application(format!(
                "the value of header \"{shown}\" starts or ends in white space (RFC 9110, 5.5)"
            )));
        }
        if name.eq_ignore_ascii_case(b"content-type") {
            self.types += 1;
        } else if header::is_content_length(name) {
            let length = header::content_length(value).map_err(application)?;
            if self.length.replace(length).is_some() {
                return Err(application("Content-Length is given twice (RFC 9110, 8.6)"));
            }
        }
        self.headers.push((name.to_vec(), value.to_vec()));
        Ok(())
    }

    fn check(&self, status: u16) -> Result<Started> {
        if self.types > 1 {
            return Err(application("Content-Type is given twice (RFC 9110, 5.3)"));
        }
        if self.types > 0 && !has_content(status) {
            return Err(application(format!(
                "a {status} response has a Content-Type, and no content (wsgiref.validate)"
            )));
        }
        if status == 204 && self.length.is_some() {
            return Err(application("a 204 response has a Content-Length (RFC 9110, 8.6)"));
        }
        Ok(Started { status, has_type: self.types > 0, length: self.length })
    }
}

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
