//! The format of the access log: httpd's LogFormat letters, or an object of JSON a line.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;

use super::environ::SiteEnviron;
use super::log::{civil, push_time};
use crate::gateway::escape::push_escaped;
use crate::process_group::Json;

const COMMON: &str = r#"%h %l %u %t "%r" %>s %b"#;
const COMBINED: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i""#;

const ALLOWED: &str = "expected combined, common, json, or a format of text and %% %a %b %B %D %h \
                       %H %l %L %m %p %P %q %r %R %s %>s %t %T %{s}T %{ms}T %{us}T %u %U %v %{NAME}e \
                       %{NAME}i";

/// The format of a line.
#[derive(Clone, Debug)]
pub(crate) struct AccessFormat(Form);

#[derive(Clone, Debug)]
enum Form {
    Json,
    Pieces(Arc<[Piece]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A variable of the environ; `-` if it is absent or empty.
    Variable(&'static str),
    /// `%{NAME}e`.
    Environ(String),
    /// `%{NAME}i`.
    Header(String),
    RequestLine,
    Time,
    Status,
    Bytes,
    /// The bytes, but `-` for none.
    BytesOrDash,
    /// In units of so many microseconds.
    Duration(u64),
    Path,
    Query,
    Process,
    Application,
}

/// The parts of a line that the environ does not know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// `None` if no head was sent.
    pub(super) status: Option<StatusCode>,
    pub(super) bytes: u64,
    pub(super) duration_us: u64,
}

impl AccessFormat {
    /// Reads a value of `--access-log-format`.
    ///
    /// # Errors
    ///
    /// The text is not allowed; the error says what is.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = match text {
            "json" => return Ok(Self(Form::Json)),
            "combined" => COMBINED,
            "common" => COMMON,
            text if text.contains('%') => text,
            _ => return Err(ALLOWED.into()),
        };
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '%' => {
                    let (piece, after) = directive(rest)?;
                    rest = after;
                    match piece {
                        None => plain.push('%'),
                        Some(piece) => {
                            if !plain.is_empty() {
                                pieces.push(Piece::Text(std::mem::take(&mut plain)));
                            }
                            pieces.push(piece);
                        }
                    }
                }
                // A line of the log is one line.
                '\n' | '\r' => return Err(format!("a line break; {ALLOWED}")),
                '\\' => {
                    let (escaped, after) = match rest.chars().next() {
                        Some('t') => ('\t', &rest[1..]),
                        Some(other @ ('"' | '\\')) => (other, &rest[1..]),
                        _ => ('\\', rest),
                    };
                    plain.push(escaped);
                    rest = after;
                }
                other => plain.push(other),
            }
        }
        plain.push('\n');
        pieces.push(Piece::Text(plain));
        Ok(Self(Form::Pieces(pieces.into())))
    }

    /// Returns the line of a request.
    pub(super) fn line(&self, environ: &SiteEnviron<'_>, answer: Answer) -> String {
        match &self.0 {
            Form::Json => json(environ, answer),
            Form::Pieces(pieces) => {
                let mut line = String::with_capacity(192);
                pieces.iter().for_each(|piece| push(&mut line, piece, environ, answer));
                line
            }
        }
    }
}

impl Default for AccessFormat {
    fn default() -> Self {
        Self::parse("combined").unwrap_or(Self(Form::Json))
    }
}

/// Reads what follows a percent sign; `None` for another percent sign.
fn directive(text: &str) -> Result<(Option<Piece>, &str), String> {
    let wrong = || {
        let shown: String = text.chars().take(12).collect();
        format!("\"%{shown}\" is not known; {ALLOWED}")
    };
    let (name, rest) = match text.strip_prefix('{') {
        Some(rest) => {
            rest.split_once('}').map(|(name, rest)| (Some(name), rest)).ok_or_else(wrong)?
        }
        // Of a request that was redirected inside, the last status is the one that was sent.
        None => (None, text.strip_prefix('>').filter(|rest| rest.starts_with('s')).unwrap_or(text)),
    };
    let letter = rest.chars().next().ok_or_else(wrong)?;
    let piece = match (letter, name) {
        ('%', None) => None,
        ('a' | 'h', None) => Some(Piece::Variable("REMOTE_ADDR")),
        ('b', None) => Some(Piece::BytesOrDash),
        ('B', None) => Some(Piece::Bytes),
        ('D', None) | ('T', Some("us")) => Some(Piece::Duration(1)),
        ('T', None | Some("s")) => Some(Piece::Duration(1_000_000)),
        ('T', Some("ms")) => Some(Piece::Duration(1000)),
        ('e', Some(name)) if !name.is_empty() => Some(Piece::Environ(name.into())),
        ('H', None) => Some(Piece::Variable("SERVER_PROTOCOL")),
        ('i', Some(name)) if !name.is_empty() => Some(Piece::Header(name.into())),
        ('l', None) => Some(Piece::Text("-".into())),
        ('L', None) => Some(Piece::Variable("mod_rust.request_id")),
        ('m', None) => Some(Piece::Variable("REQUEST_METHOD")),
        ('p', None) => Some(Piece::Variable("SERVER_PORT")),
        ('P', None) => Some(Piece::Process),
        ('q', None) => Some(Piece::Query),
        ('r', None) => Some(Piece::RequestLine),
        ('R', None) => Some(Piece::Application),
        ('s', None) => Some(Piece::Status),
        ('t', None) => Some(Piece::Time),
        ('u', None) => Some(Piece::Variable("REMOTE_USER")),
        ('U', None) => Some(Piece::Path),
        ('v', None) => Some(Piece::Variable("SERVER_NAME")),
        _ => return Err(wrong()),
    };
    Ok((piece, &rest[letter.len_utf8()..]))
}

fn push(line: &mut String, piece: &Piece, environ: &SiteEnviron<'_>, answer: Answer) {
    let or_dash = |line: &mut String, value: &[u8]| {
        push_quoted(line, if value.is_empty() { b"-" } else { value });
    };
    let variable = |line: &mut String, key: &str| {
        or_dash(line, environ.get(key.as_bytes()).unwrap_or_default());
    };
    match piece {
        Piece::Text(text) => line.push_str(text),
        Piece::Variable(key) => variable(line, key),
        Piece::Environ(key) => variable(line, key),
        Piece::Header(name) => {
            push_quoted(line, environ.header(name.as_bytes()).unwrap_or(b"-"));
        }
        Piece::RequestLine => {
            variable(line, "REQUEST_METHOD");
            line.push(' ');
            or_dash(line, environ.raw_target());
            line.push(' ');
            variable(line, "SERVER_PROTOCOL");
        }
        Piece::Time => push_clf_time(line, environ.start_us()),
        Piece::Status => line.push_str(answer.status.as_ref().map_or("-", StatusCode::as_str)),
        Piece::BytesOrDash if answer.bytes == 0 => line.push('-'),
        Piece::Bytes | Piece::BytesOrDash => push_number(line, answer.bytes),
        Piece::Duration(unit) => push_number(line, answer.duration_us / unit),
        Piece::Path => or_dash(line, environ.path()),
        Piece::Query => {
            if let Some(query) = environ.get(b"QUERY_STRING").filter(|query| !query.is_empty()) {
                line.push('?');
                push_quoted(line, query);
            }
        }
        Piece::Process => push_number(line, std::process::id().into()),
        Piece::Application => or_dash(line, environ.application().as_bytes()),
    }
}

fn push_number(line: &mut String, number: u64) {
    let _ = write!(line, "{number}");
}

/// Adds `[22/Nov/2026:18:24:42 +0000]`.
fn push_clf_time(line: &mut String, start_us: u64) {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let [year, month, day, hour, minute, second] = civil(start_us / 1_000_000);
    let month = MONTHS[month as usize - 1];
    let _ = write!(line, "[{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000]");
}

/// Escaped as in httpd: a quote cannot end the field.
fn push_quoted(line: &mut String, text: &[u8]) {
    for piece in cut(text).split_inclusive(|byte| matches!(byte, b'"' | b'\\')) {
        match piece {
            [rest @ .., last @ (b'"' | b'\\')] => {
                push_escaped(line, rest);
                line.push('\\');
                line.push(char::from(*last));
            }
            piece => push_escaped(line, piece),
        }
    }
}

/// The longest field of a line, in bytes: the longest request line that httpd takes.
const FIELD: usize = 8190;

fn cut(field: &[u8]) -> &[u8] {
    &field[..field.len().min(FIELD)]
}

/// Every member is always there: null stands for what is not.
fn json(environ: &SiteEnviron<'_>, answer: Answer) -> String {
    let mut json = Json::new();
    json.object(|json| {
        let mut time = String::with_capacity(32);
        push_time(&mut time, UNIX_EPOCH + Duration::from_micros(environ.start_us()));
        json.name("time").string(&time);
        let member = |json: &mut Json, name, value: Option<&[u8]>| match value
            .filter(|value| !value.is_empty())
        {
            Some(value) => json.name(name).bytes(cut(value)),
            None => json.name(name).null(),
        };
        member(json, "client", environ.get(b"REMOTE_ADDR"));
        member(json, "user", environ.get(b"REMOTE_USER"));
        member(json, "method", environ.get(b"REQUEST_METHOD"));
        member(json, "host", environ.header(b"host"));
        member(json, "target", Some(environ.raw_target()));
        member(json, "protocol", environ.get(b"SERVER_PROTOCOL"));
        json.name("status").optional(answer.status.map(|status| status.as_u16().into()));
        json.name("bytes").number(answer.bytes);
        json.name("duration_us").number(answer.duration_us);
        member(json, "referer", environ.header(b"referer"));
        member(json, "user_agent", environ.header(b"user-agent"));
        member(json, "application", Some(environ.application().as_bytes()));
        member(json, "request_id", environ.get(b"mod_rust.request_id"));
        json.name("pid").number(std::process::id().into());
    });
    let mut line = json.finish();
    line.push('\n');
    line
}

#[cfg(test)]
#[path = "access_format_tests.rs"]
mod tests;
