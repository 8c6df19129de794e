//! The transmission of each kind of body.

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, StatusCode};

use super::{Response, Sent};
use crate::gateway::body::{Body, BodyKind, BodyStream, Pace};
use crate::gateway::code::Code;
use crate::gateway::connection_fields;
use crate::gateway::error::{Error, ErrorKind, Result};
use crate::gateway::file::FileBody;
use crate::gateway::header;
use crate::gateway::panic;
use crate::gateway::start_response::Respond;
use crate::gateway::status::{IntoStatus as _, Status};

impl Response<'_> {
    pub(super) fn send(&self, body: Body<'_>) -> Result<Sent> {
        let (kind, close) = body.into_parts();
        let sent = match kind {
            BodyKind::Full(data) => self.send_bytes(data),
            BodyKind::File(file) => self.send_file(file),
            BodyKind::Stream { stream, length } => self.send_stream(stream, length),
            BodyKind::Redirect(target) => self.redirect(target),
        };
        if let Some(close) = close {
            self.close(close);
        }
        sent
    }

    /// Closes the body, and logs a panic in it: the response is sent already.
    pub(super) fn close(&self, body: impl Sized) {
        if let Err(error) = panic::catch(|| drop(body)) {
            self.exchange.log(
                Code::ClosePanicked.level(),
                &Code::ClosePanicked.line(format_args!("closing the response body {error}")),
            );
        }
    }

    fn redirect(&self, target: String) -> Result<Sent> {
        if self.state.started.get().is_some() {
            return Err(Error::of(
                ErrorKind::AlreadyStarted,
                "an internal redirect cannot follow start_response",
            ));
        }
        if !target.starts_with('/') || target.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(Error::of(
                ErrorKind::InvalidHeader,
                format!(
                    "internal redirect to \"{}\": it takes an encoded path of this server, as /path",
                    target.escape_debug()
                ),
            ));
        }
        Ok(Sent::Redirect(target))
    }

    pub(super) fn send_bytes(&self, data: Bytes) -> Result<Sent> {
        let has_body = self.has_body()?;
        if self.state.committed.get() {
            if !data.is_empty() {
                self.put(data, None)?;
            }
            return self.finish(None);
        }
        let length = data.len() as u64;
        if !has_body {
            return self.send_head(Some(length));
        }
        // The length is checked here: the body is whole.
        self.commit(Some(length))?;
        self.state.sent.set(length);
        if !data.is_empty() {
            self.exchange.write(data)?;
        }
        self.end(None)
    }

    fn send_file(&self, file: FileBody) -> Result<Sent> {
        let has_body = self.has_body()?;
        if self.state.committed.get() {
            return Err(Error::of(
                ErrorKind::AlreadyStarted,
                "a file cannot follow a body that was written",
            ));
        }
        let (status, may_have_body) = self.started()?;
        if status == StatusCode::OK
            && let Some(instead) = self.exchange.conditions(&file)
        {
            return Ok(Sent::Instead(instead));
        }
        if !has_body {
            return self.send_head(may_have_body.then_some(file.length()));
        }
        self.commit(Some(file.length()))?;
        self.state.sent.set(file.length());
        self.exchange.file(file)?;
        self.finish(None)
    }

    fn send_stream(
        &self,
        mut stream: Box<dyn BodyStream + '_>,
        length: Option<u64>,
    ) -> Result<Sent> {
        // A panic is caught here already, so that the close of the stream is guarded too.
        let pulled = panic::catch(|| self.pull(&mut *stream, length))
            .unwrap_or_else(|message| Err(Error::panicked(message)));
        match pulled {
            Ok(Pulled::Head) => {
                self.close(stream);
                self.send_head(length)
            }
            Ok(Pulled::Whole(trailers)) => {
                let sent = self.finish(trailers);
                self.close(stream);
                sent
            }
            Err(error) => {
                self.close(stream);
                Err(error)
            }
        }
    }

    fn pull(&self, stream: &mut dyn BodyStream, length: Option<u64>) -> Result<Pulled> {
        // The status may come with the first chunk, so a HEAD runs the stream up to there.
        if self.state.started.get().is_some() && !self.has_body()? {
            return Ok(Pulled::Head);
        }
        let mut pace = WaitNotice { response: self, length };
        while let Some(data) = stream.next_chunk(&mut pace)? {
            if data.is_empty() {
                continue;
            }
            if !self.has_body()? {
                return Ok(Pulled::Head);
            }
            self.put(data, length)?;
        }
        if !self.has_body()? {
            return Ok(Pulled::Head);
        }
        self.commit_empty(length)?;
        Ok(Pulled::Whole(stream.trailers()))
    }

    /// Commits the head of a stream that had no chunk, so that its length is known now.
    fn commit_empty(&self, length: Option<u64>) -> Result<()> {
        if self.state.committed.get() { Ok(()) } else { self.commit(length.or(Some(0))) }
    }

    /// Ends a stream of `length`, if that is known.
    pub(super) fn end_stream(
        &self,
        length: Option<u64>,
        trailers: Option<HeaderMap>,
    ) -> Result<Sent> {
        self.commit_empty(length)?;
        self.finish(trailers)
    }

    /// Takes the head of a service's response, without the fields of the connection.
    pub(super) fn start_service(&self, status: StatusCode, headers: &mut HeaderMap) -> Result<()> {
        connection_fields::drop(headers, self.exchange);
        let status = status.into_status()?;
        self.begin(status, false)?;
        for (name, value) in &*headers {
            let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
            // `http` has checked the value, and takes names that are no token (`from_static`).
            if !header::is_token(name) {
                return header::check(name, value);
            }
            self.put_header(name, value)?;
        }
        self.begun(status);
        Ok(())
    }

    /// Sends the head that switches the connection, or the stream, to another protocol.
    pub(super) fn switch(&self, status: StatusCode, headers: &HeaderMap) -> Result<()> {
        self.exchange.begin(if status == StatusCode::SWITCHING_PROTOCOLS {
            Status::SWITCHING_PROTOCOLS
        } else {
            status.into_status()?
        });
        for (name, value) in headers {
            let of_switch = name == CONNECTION || name == UPGRADE;
            let name = name.as_str().as_bytes();
            let of_message = header::is_content_length(name) || header::is_hop_by_hop(name);
            if of_switch || !of_message {
                self.exchange.put_header(name, value.as_bytes());
            }
        }
        self.state.started.set(Some((status, true)));
        self.state.committed.set(true);
        self.state.pending.set(true);
        self.exchange.commit(None);
        Ok(())
    }

    /// Sends what is there, the head among it, before a wait for more of a stream.
    pub(super) fn before_wait(&self, length: Option<u64>) -> Result<()> {
        if !self.state.committed.get() && self.state.started.get().is_some() && self.has_body()? {
            self.commit(length)?;
            self.state.pending.set(true);
        }
        Respond::flush(self)
    }

    /// Sends a response without a body: HEAD, 204, 205, 304. `length` is the length for a GET.
    pub(super) fn send_head(&self, length: Option<u64>) -> Result<Sent> {
        let (status, may_have_body) = self.started()?;
        if self.state.committed.get() {
            return self.finish(None);
        }
        // An empty body for a HEAD does not tell the length for a GET.
        let length = length.filter(|&length| length > 0);
        if may_have_body {
            self.commit(length)?;
        } else {
            if length.is_some() {
                self.exchange.log(
                    Code::BodyDropped.level(),
                    &Code::BodyDropped.line(format_args!(
                        "the body of a {} response is dropped: it has none",
                        status.as_u16()
                    )),
                );
            }
            // A 304 says what a 200 would have; a 204 must not say anything (RFC 9110, 8.6), and a
            // 205 has to say that there is nothing (15.3.6).
            if status != StatusCode::NOT_MODIFIED {
                self.state.length.set(None);
            }
            self.commit((status == StatusCode::RESET_CONTENT).then_some(0))?;
        }
        self.exchange.finish(None)?;
        Ok(Sent::Whole)
    }
}

/// The point up to which a stream was run.
enum Pulled {
    /// The response's head, which is enough for a response without a body.
    Head,
    /// The end of the stream.
    Whole(Option<HeaderMap>),
}

/// The server's side of a stream: flushes when the stream may or must wait.
struct WaitNotice<'w, 'e> {
    response: &'w Response<'e>,
    length: Option<u64>,
}

impl Pace for WaitNotice<'_, '_> {
    fn may_wait(&mut self) -> Result<()> {
        Respond::flush(self.response)
    }

    fn must_wait(&mut self) -> Result<()> {
        self.response.before_wait(self.length)
    }
}
