//! The web server's side.

use std::fmt;

use super::error::{HeadError, HeadErrorKind};
use super::write::VARIABLE;
use crate::gateway::header;
use crate::protocol::params::ParamLimits;

/// A response's head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CgiHead<'a> {
    response: ResponseKind,
    status: Option<u16>,
    reason: &'a [u8],
    location: Option<&'a [u8]>,
    content_length: Option<u64>,
    /// The lines of fields, each with its end.
    lines: &'a [u8],
}

/// The kind of response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseKind {
    /// RFC 3875, 6.2.1.
    Document,
    /// RFC 3875, 6.2.2.
    LocalRedirect,
    /// RFC 3875, 6.2.3 and 6.2.4.
    ClientRedirect,
    /// RFC 3875, 5: it begins with a status line of HTTP.
    Nph,
}

impl<'a> CgiHead<'a> {
    /// Returns the kind of response.
    #[must_use]
    pub const fn response(&self) -> ResponseKind {
        self.response
    }

    /// Returns the status that it gives, if it gives one.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        self.status
    }

    /// Returns the status that the client gets: without one that is given 200, or 302 with a
    /// Location.
    #[must_use]
    pub fn code(&self) -> u16 {
        let usual = if self.response == ResponseKind::ClientRedirect { 302 } else { 200 };
        self.status.unwrap_or(usual)
    }

    /// Returns the reason phrase; empty if there is none.
    #[must_use]
    pub const fn reason(&self) -> &'a [u8] {
        self.reason
    }

    /// Returns the field Location.
    #[must_use]
    pub const fn location(&self) -> Option<&'a [u8]> {
        self.location
    }

    /// Returns the field Content-Length.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Returns all fields but Status, as they came, without white space around their values.
    #[must_use]
    pub const fn headers(&self) -> Headers<'a> {
        Headers { rest: self.lines }
    }

    /// Returns the value of the first field with this name, in any case. Status is none.
    #[must_use]
    pub fn header(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.headers().find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    /// Returns the variables of an authorizer's response (FastCGI 1.0, 6.3).
    pub fn variables(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.headers().filter_map(|(name, value)| {
            let (prefix, name) = name.split_at_checked(VARIABLE.len())?;
            prefix.eq_ignore_ascii_case(VARIABLE).then_some((name, value))
        })
    }
}

impl fmt::Debug for CgiHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.headers().map(|(name, _)| name.escape_ascii().to_string());
        f.debug_struct("Head")
            .field("response", &self.response)
            .field("status", &self.status)
            .field("headers", &names.collect::<Vec<_>>())
            .finish()
    }
}

/// Goes through the fields of a [`CgiHead`].
#[derive(Clone)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.clone().map(|(name, _)| name.escape_ascii().to_string()))
            .finish()
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (line, rest) = line(self.rest)?;
            self.rest = rest;
            let (name, value) = field(line).ok()?;
            if !name.eq_ignore_ascii_case(b"status") {
                return Some((name, value));
            }
        }
    }
}

/// Parses the head at the beginning of `bytes`: `None` when it is not whole. With it comes how many
/// bytes it takes: the body begins behind them. Lines end with LF or CR LF.
///
/// # Errors
///
/// The bytes are not a CGI response by RFC 3875, or exceed `limits`.
pub fn parse<'a>(
    bytes: &'a [u8],
    limits: &ParamLimits,
) -> Result<Option<(CgiHead<'a>, usize)>, HeadError> {
    let mut found = Found::default();
    let mut at = 0;
    let mut first_field = 0;
    loop {
        let next = line(&bytes[at..]);
        let end = next.map_or(bytes.len(), |(_, rest)| bytes.len() - rest.len());
        if end > limits.head {
            return Err(HeadError::new(at, HeadErrorKind::TooLong { most: limits.head }));
        }
        let Some((text, _)) = next else { return Ok(None) };
        if text.is_empty() && at > 0 {
            let lines = &bytes[first_field..at];
            return found.finish(lines).map(|head| Some((head, end)));
        }
        let refused = |kind| HeadError::new(at, kind);
        if at == 0 && text.starts_with(b"HTTP/") {
            (found.status, found.reason) = status_line(text).map_err(refused)?;
            found.nph = true;
            first_field = end;
        } else {
            found.field(text, limits).map_err(refused)?;
        }
        at = end;
    }
}

/// The content of the lines so far.
#[derive(Default)]
struct Found<'a> {
    nph: bool,
    fields: usize,
    status: Option<u16>,
    reason: &'a [u8],
    location: Option<&'a [u8]>,
    content_type: bool,
    content_length: Option<u64>,
}

impl<'a> Found<'a> {
    fn field(&mut self, line: &'a [u8], limits: &ParamLimits) -> Result<(), HeadErrorKind> {
        if self.fields == limits.pairs {
            return Err(HeadErrorKind::TooMany { most: limits.pairs });
        }
        self.fields += 1;
        let (name, value) = field(line)?;
        let once = |first: bool| if first { Ok(()) } else { Err(HeadErrorKind::Twice) };
        if name.eq_ignore_ascii_case(b"status") {
            once(self.status.is_none())?;
            (self.status, self.reason) = status(value).ok_or(HeadErrorKind::Status)?;
        } else if name.eq_ignore_ascii_case(b"location") {
            once(self.location.is_none())?;
            self.location = Some(value);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            once(!self.content_type)?;
            self.content_type = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let found = header::decimal(value).ok_or(HeadErrorKind::ContentLength)?;
            if *self.content_length.get_or_insert(found) != found {
                return Err(HeadErrorKind::ContentLength);
            }
        }
        Ok(())
    }

    fn finish(self, lines: &'a [u8]) -> Result<CgiHead<'a>, HeadError> {
        let response = match self.location {
            _ if self.nph => ResponseKind::Nph,
            Some([b'/', ..]) if self.status.is_none() => ResponseKind::LocalRedirect,
            Some(_) if self.status.is_none_or(|status| status / 100 == 3) => {
                ResponseKind::ClientRedirect
            }
            None if self.status.is_none() && !self.content_type => {
                return Err(HeadError::new(0, HeadErrorKind::NoCgiField));
            }
            _ => ResponseKind::Document,
        };
        if response == ResponseKind::LocalRedirect && self.fields > 1 {
            return Err(HeadError::new(0, HeadErrorKind::LocalRedirect));
        }
        let Self { status, reason, location, content_length, .. } = self;
        Ok(CgiHead { response, status, reason, location, content_length, lines })
    }
}

/// The first line without its end, and what stands behind it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

/// Name and value of a line.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), HeadErrorKind> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or(HeadErrorKind::Colon)?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if !header::is_token(name) {
        return Err(HeadErrorKind::Name);
    }
    if !header::is_value(value) {
        return Err(HeadErrorKind::Value);
    }
    Ok((name, value))
}

/// A status and its reason phrase.
type Status<'a> = (Option<u16>, &'a [u8]);

fn status(text: &[u8]) -> Option<Status<'_>> {
    let (digits, rest) = text.split_first_chunk::<3>()?;
    let code = header::decimal(digits).filter(|code| (100..600).contains(code))?;
    let reason = match rest {
        [] => rest,
        [b' ', reason @ ..] => reason,
        _ => return None,
    };
    Some((u16::try_from(code).ok(), reason))
}

fn status_line(line: &[u8]) -> Result<Status<'_>, HeadErrorKind> {
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "));
    let found = rest.and_then(status).ok_or(HeadErrorKind::StatusLine)?;
    if header::is_value(found.1) { Ok(found) } else { Err(HeadErrorKind::Value) }
}
