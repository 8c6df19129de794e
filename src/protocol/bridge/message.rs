//! Any frame, decoded; and encoded again, byte for byte.

use super::code::InputFailure;
use super::encode::{
    FieldsEncoder, put_body, put_control, put_file, put_input, put_input_failed, put_input_stop,
    put_reply,
};
use super::error::{EncodeError, FrameError, Problem};
use super::frame::{Frame, FrameLimits};
use super::hello::{Hello, put_hello};
use super::kind::{Kind, flags};
use super::pairs::Pairs;
use super::reader::Reader;
use super::request::{RequestEncoder, RequestHead};
use super::response::{
    End, Failed, File, HeadEncoder, LogFrame, Redirect, Refused, ResponseHead, StatusFrame,
    put_continue, put_failed, put_log, put_redirect, put_refused,
};

/// The contents of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// The first frame of a connection.
    Hello(Hello),
    /// A request without its body.
    Request(RequestHead<'a>),
    /// A piece of the request body.
    Input(&'a [u8]),
    /// The request body is complete; the trailers.
    InputEnd(Pairs<'a>),
    /// The request body is not going to be complete.
    InputFailed(InputFailure),
    /// The rest of the request body is not going to be sent.
    InputStop,
    /// The application reads the request body now.
    Continue,
    /// Status and headers of the response.
    Head(ResponseHead<'a>),
    /// The headers of the response after which the connection is another protocol's.
    Switch(Pairs<'a>),
    /// A piece of the response body, and whether to flush behind it.
    Body(&'a [u8], bool),
    /// A file as the response body.
    File(File),
    /// The response is complete.
    End(End<'a>),
    /// httpd answers with this status itself.
    Status(StatusFrame<'a>),
    /// An internal redirect.
    Redirect(Redirect<'a>),
    /// The response failed.
    Failed(Failed<'a>),
    /// A line for the ErrorLog.
    Log(LogFrame<'a>),
    /// The connection is refused.
    Refused(Refused<'a>),
    /// An administrator's command.
    Control(&'a str),
    /// The answer to one, JSON.
    Reply(&'a str),
}

impl<'a> Frame<'a> {
    /// Returns the contents.
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is not what docs/bridge.md has for the kind.
    pub fn message(&self) -> Result<Message<'a>, FrameError> {
        Ok(match self.kind {
            Kind::Hello => Message::Hello(Hello::decode(self)?),
            Kind::Request => Message::Request(RequestHead::decode(self)?),
            Kind::Input => Message::Input(self.payload),
            Kind::InputEnd => {
                let mut reader = Reader::new(self);
                let trailers = reader.pairs()?;
                reader.finish()?;
                Message::InputEnd(trailers)
            }
            Kind::InputFailed => {
                let mut reader = Reader::new(self);
                let number = reader.u8()?;
                let failure = InputFailure::of(number).ok_or_else(|| {
                    let (what, found) = ("the failure", u64::from(number));
                    reader.refuse_at(0, Problem::Value { what, found, allowed: "1 to 4" })
                })?;
                reader.finish()?;
                Message::InputFailed(failure)
            }
            Kind::InputStop => Reader::new(self).finish().map(|()| Message::InputStop)?,
            Kind::Continue => Reader::new(self).finish().map(|()| Message::Continue)?,
            Kind::Head => Message::Head(ResponseHead::decode(self)?),
            Kind::Switch => {
                let mut reader = Reader::new(self);
                let headers = reader.switch_headers()?;
                reader.finish()?;
                Message::Switch(headers)
            }
            Kind::Body => Message::Body(self.payload, self.has(flags::FLUSH)),
            Kind::File => Message::File(File::decode(self)?),
            Kind::End => Message::End(End::decode(self)?),
            Kind::Status => Message::Status(StatusFrame::decode(self)?),
            Kind::Redirect => Message::Redirect(Redirect::decode(self)?),
            Kind::Failed => Message::Failed(Failed::decode(self)?),
            Kind::Log => Message::Log(LogFrame::decode(self)?),
            Kind::Refused => Message::Refused(Refused::decode(self)?),
            Kind::Control => Message::Control(self.text("a command")?),
            Kind::Reply => Message::Reply(self.text("an answer")?),
        })
    }

    fn text(&self, what: &'static str) -> Result<&'a str, FrameError> {
        std::str::from_utf8(self.payload).map_err(|error| {
            let problem = Problem::Bytes { what, allowed: "UTF-8" };
            Reader::new(self).refuse_at(error.valid_up_to(), problem)
        })
    }
}

impl Message<'_> {
    /// Puts it onto `out` as a frame. Those who send much use the encoders of each kind.
    ///
    /// # Errors
    ///
    /// Returns an error if it is longer than `limits` allow: nothing is left of it.
    pub fn put(&self, out: &mut Vec<u8>, limits: &FrameLimits) -> Result<(), EncodeError> {
        match self {
            Self::Hello(hello) => put_hello(out, hello.token()),
            Self::Request(RequestHead { facts, variables, headers }) => {
                let mut request = RequestEncoder::begin(out, facts);
                variables.iter().for_each(|(name, value)| request.variable(name, value));
                put_fields(request.headers(), headers, limits)?;
            }
            Self::Input(data) => {
                put_input(out, fits(Kind::Input, data, limits)?);
                out.extend_from_slice(data);
            }
            Self::InputEnd(trailers) => {
                put_fields(FieldsEncoder::input_end(out), trailers, limits)?;
            }
            Self::InputFailed(failure) => put_input_failed(out, *failure),
            Self::InputStop => put_input_stop(out),
            Self::Continue => put_continue(out),
            Self::Head(ResponseHead { status, length, reason, headers, flush }) => {
                let mut head = HeadEncoder::begin(out, *status, reason);
                headers.iter().for_each(|(name, value)| head.header(out, name, value));
                head.commit(out, *length, *flush, limits)?;
            }
            Self::Switch(headers) => {
                let mut head = HeadEncoder::switch(out);
                headers.iter().for_each(|(name, value)| head.header(out, name, value));
                head.commit(out, None, false, limits)?;
            }
            Self::Body(data, flush) => {
                put_body(out, fits(Kind::Body, data, limits)?, *flush);
                out.extend_from_slice(data);
            }
            Self::File(file) => put_file(out, file.start, file.length, file.whole),
            Self::End(End { trailers, close, timing }) => {
                put_fields(FieldsEncoder::end(out, *close, timing), trailers, limits)?;
            }
            Self::Status(StatusFrame { status, headers, close, timing }) => {
                let frame = FieldsEncoder::status(out, *status, *close, timing);
                put_fields(frame, headers, limits)?;
            }
            Self::Redirect(Redirect { target, close, timing }) => {
                put_redirect(out, target, *close, timing, limits)?;
            }
            Self::Failed(Failed { kind, status, message, close, timing }) => {
                put_failed(out, *kind, *status, message, *close, timing, limits);
            }
            Self::Log(LogFrame { level, text }) => put_log(out, *level, text, limits),
            Self::Refused(Refused { reason, message }) => {
                put_refused(out, *reason, message, limits);
            }
            Self::Control(command) => drop(put_control(out, command, limits)?),
            Self::Reply(json) => drop(put_reply(out, json, limits)?),
        }
        Ok(())
    }
}

fn put_fields(
    mut frame: FieldsEncoder<'_>,
    pairs: &Pairs<'_>,
    limits: &FrameLimits,
) -> Result<(), EncodeError> {
    pairs.iter().for_each(|(name, value)| frame.header(name, value));
    frame.finish(limits).map(drop)
}

/// The length of `data`, if a frame may have it.
fn fits(kind: Kind, data: &[u8], limits: &FrameLimits) -> Result<u32, EncodeError> {
    let most = limits.of(kind).1;
    let length = u32::try_from(data.len()).ok().filter(|&length| length <= most);
    length.ok_or(EncodeError::payload(kind, data.len(), most as usize))
}
