//! The rules about a response, and the state that they are checked against.

use std::cell::{Cell, RefCell};
use std::fmt;

use crate::gateway::error::{Error, ErrorKind, Result};

/// The state of the response so far.
pub(super) struct RuleState {
    pub(super) is_head: bool,
    pub(super) started: Cell<Option<Started>>,
    /// Bytes of content given so far.
    pub(super) sent: Cell<u64>,
    /// Whether the body is being asked for a chunk.
    pub(super) in_body: Cell<bool>,
    /// The first rule that was broken, in case the application keeps the error to itself.
    pub(super) broken: RefCell<Option<String>>,
}

/// The facts of a head that matter later.
#[derive(Clone, Copy)]
pub(super) struct Started {
    pub(super) status: u16,
    pub(super) has_type: bool,
    pub(super) length: Option<u64>,
}

impl RuleState {
    pub(super) const fn new(is_head: bool) -> Self {
        Self {
            is_head,
            started: Cell::new(None),
            sent: Cell::new(0),
            in_body: Cell::new(false),
            broken: RefCell::new(None),
        }
    }

    /// Notes a rule that was broken, and returns the error.
    pub(super) fn broke(&self, error: Error) -> Error {
        self.broken.borrow_mut().get_or_insert_with(|| error.to_string());
        error
    }

    /// Returns an error if a rule was broken.
    pub(super) fn verdict(&self) -> Result<()> {
        match self.broken.borrow().clone() {
            Some(message) => Err(Error::of(ErrorKind::Validation, message)),
            None => Ok(()),
        }
    }

    pub(super) fn started(&self) -> Result<Started> {
        self.started.get().ok_or_else(|| {
            application(
                "the body comes without start_response (PEP 3333, The start_response() Callable)",
            )
        })
    }

    /// Checks some content, which goes to the client next.
    pub(super) fn content(&self, bytes: u64) -> Result<()> {
        let Started { status, has_type, length } = self.started()?;
        if bytes == 0 {
            return Ok(());
        }
        if !has_content(status) {
            return Err(application(format!(
                "a {status} response has no content, but {bytes} bytes were given (RFC 9110, 6.4.1)"
            )));
        }
        if !has_type {
            return Err(application(format!(
                "a {status} response with content has no Content-Type (RFC 9110, 8.3)"
            )));
        }
        self.sent.set(self.sent.get() + bytes);
        match length {
            Some(length) if self.sent.get() > length => Err(application(format!(
                "Content-Length is {length}, but {} bytes were given (RFC 9110, 8.6)",
                self.sent.get()
            ))),
            _ => Ok(()),
        }
    }

    /// Checks the rest of the content, which is known as a whole.
    pub(super) fn whole(&self, bytes: u64) -> Result<()> {
        self.content(bytes)?;
        self.end()
    }

    /// Checks that all content was given that was announced.
    pub(super) fn end(&self) -> Result<()> {
        let Started { status, length, .. } = self.started()?;
        match length {
            Some(length) if !self.is_head && has_content(status) && self.sent.get() < length => {
                Err(application(format!(
                    "Content-Length is {length}, but only {} bytes were given (RFC 9110, 8.6)",
                    self.sent.get()
                )))
            }
            _ => Ok(()),
        }
    }

    /// Checks the length that a body states of itself against the head's.
    pub(super) fn check_length(&self, stated: Option<u64>) -> Result<()> {
        match (self.started.get().and_then(|started| started.length), stated) {
            (Some(length), Some(stated)) if length != self.sent.get() + stated => {
                Err(application(format!(
                    "Content-Length is {length}, but the body says that it has {stated} bytes \
                     (RFC 9110, 8.6)"
                )))
            }
            _ => Ok(()),
        }
    }
}

pub(super) const fn has_content(status: u16) -> bool {
    status != 204 && status != 304
}

pub(super) fn application(what: impl fmt::Display) -> Error {
    Error::of(ErrorKind::Validation, format!("the application broke the contract: {what}"))
}

pub(super) fn server(what: impl fmt::Display) -> Error {
    Error::of(ErrorKind::Validation, format!("the server broke the contract: {what}"))
}
