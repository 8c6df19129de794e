//! One exchange: the environ of a request, its response through httpd's output filters, and how its
//! thread waits.

mod client;

use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CStr;
use std::fs::File;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use self::client::gone;
use super::grace;
use super::shared::SharedEnviron;
use super::variables::{ExchangeContext, RequestVariables};
use super::wait::{self, Client};
#[cfg(feature = "tower")]
use crate::gateway::exchange::Upgrade;
use crate::gateway::{
    Error, ErrorKind, Exchange, FileBody, Interest, Level, Result, SharedVariables, Status,
    Variables, Woken, header,
};
use crate::httpd::{Brigade, Progress, Request, SoFar, log};
use crate::server::workers::parker;

/// The bytes that are collected before they go through the filters. Above 65,535 the core output
/// filter blocks (server/core.c, `AP_FLUSH_MAX_THRESHOLD`), whatever the last piece's size.
const PASS_ABOVE: usize = 48 * 1024;

/// The size of a piece in which a file is copied, in bytes. One that is no larger is always copied.
const COPIED_AT_ONCE: u64 = 32 * 1024;

/// The reason why a response breaks whose file is shorter than it was.
const SHRUNK: &str = "the file that answers has become shorter while it was sent";

/// The status of filters that have answered themselves (`AP_FILTER_ERROR`).
const FILTER_ERROR: i32 = crate::sys::AP_FILTER_ERROR;

/// A request of httpd.s as an exchange.
pub(crate) struct RequestExchange<'e, 'r> {
    variables: RequestVariables<'e, 'r>,
    /// The output that has been written and not passed on.
    out: RefCell<Option<Brigade<'r>>>,
    pending: Cell<usize>,
    /// The Content-Length, until something is passed on.
    length: Cell<Option<u64>>,
    gone: Cell<bool>,
    /// Whether a filter has answered in the application's place.
    answered: Cell<bool>,
    looked_us: Cell<u64>,
    /// The number of headers before the application set its own.
    headers_before: Cell<Option<usize>>,
    /// The response's status and type before the application set its own.
    before: SoFar<'r>,
    /// The application's status.
    status: Cell<i32>,
    /// Whether a condition of the request makes another status of a file's 200.
    instead: Cell<bool>,
    /// The file that answers, and the end of the part of it that does.
    file: Cell<Option<(File, u64)>>,
    /// The response has neither chunks nor a length on the wire (HTTP/1.0).
    unframed: Cell<bool>,
    /// The response has begun, and nothing says where it ends.
    endless: Cell<bool>,
    /// The client may send no more: its earlier requests wait to be answered, or it is served all
    /// the same.
    half_closed: Cell<bool>,
    /// The reads of the body that had given something when it was last waited for, and since when
    /// there have been no more.
    silence: Cell<Option<(u32, Instant)>>,
    shared: OnceCell<Arc<SharedEnviron>>,
}

impl<'e, 'r> RequestExchange<'e, 'r> {
    /// Makes an exchange for `serve`, which gets a reference and nothing that it could move: what
    /// [`share`](Exchange::share) hands out points at the exchange.
    pub(crate) fn with<T>(
        request: &'e Request<'r>,
        facts: ExchangeContext<'r>,
        serve: impl FnOnce(&Self) -> T,
    ) -> T {
        serve(&Self::new(request, facts))
    }

    /// Does the same, but returns the exchange if `serve` returns what waits with it.
    #[expect(clippy::result_large_err, reason = "few requests wait, and a box costs them more")]
    pub(super) fn begin<T, W>(
        request: &'e Request<'r>,
        facts: ExchangeContext<'r>,
        serve: impl FnOnce(&Self) -> std::result::Result<T, W>,
    ) -> std::result::Result<T, (Self, W)> {
        let exchange = Self::new(request, facts);
        match serve(&exchange) {
            Ok(done) => Ok(done),
            Err(waits) => {
                exchange.leave();
                Err((exchange, waits))
            }
        }
    }

    fn new(request: &'e Request<'r>, facts: ExchangeContext<'r>) -> Self {
        Self {
            variables: RequestVariables::new(request, facts),
            out: RefCell::new(None),
            pending: Cell::new(0),
            length: Cell::new(None),
            gone: Cell::new(false),
            answered: Cell::new(false),
            looked_us: Cell::new(0),
            headers_before: Cell::new(None),
            before: request.answer_so_far(),
            status: Cell::new(0),
            instead: Cell::new(false),
            file: Cell::new(None),
            unframed: Cell::new(false),
            endless: Cell::new(false),
            half_closed: Cell::new(facts.serves_half_closed),
            silence: Cell::new(None),
            shared: OnceCell::new(),
        }
    }

    /// Returns the application's name.
    pub(crate) const fn application(&self) -> &'r str {
        self.variables.facts().application
    }

    /// Visits the environ but for what says which process runs the application.
    pub(crate) fn each_variable(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.variables.each_but_the_process(visit);
    }

    /// Returns whether a write of so many bytes goes through the filters at once. The last one of a
    /// body of which nothing has gone yet goes with its end.
    pub(crate) fn would_pass(&self, bytes: usize) -> bool {
        let pending = self.pending.get() + bytes;
        pending >= PASS_ABOVE && self.length.get() != Some(pending as u64)
    }

    /// Sets the Content-Length, before the first part of the response is passed on.
    fn put_length(&self) {
        if let Some(length) = self.length.take() {
            self.request().set_content_length(length);
        }
    }

    /// Returns whether error statuses of the application's get the server's error documents.
    pub(crate) const fn overrides_errors(&self) -> bool {
        self.variables.facts().error_override
    }

    /// Takes back what was set of a response: httpd answers with an error of its own.
    pub(crate) fn withdraw(&self) {
        if self.unframed.replace(false) {
            self.request().reset_on_close(false);
        }
        self.request().restore_status(&self.before);
    }

    /// Returns whether anything of the response has gone out, or may have. While a filter still
    /// holds its head back, an error page may take its place.
    pub(crate) fn has_begun(&self) -> bool {
        self.request().progress() != Progress::Nothing
    }

    /// Answers with a status that a condition of the request makes of a file's 200, if one does. It
    /// goes through the filters, as those of httpd's own files do.
    pub(crate) fn answer_condition(&self, status: StatusCode) -> bool {
        if self.instead.get() {
            self.request().set_status(status.as_u16(), None);
            let _ = self.pass(Brigade::push_end);
        }
        self.instead.get()
    }

    /// Returns whether an output filter has answered in the application's place.
    pub(crate) const fn is_answered(&self) -> bool {
        self.answered.get()
    }

    /// Sends what is left with a flush: the client waits for its answer while it still sends.
    pub(crate) fn flush_end(&self) {
        let _ = self.pass(Brigade::push_flush);
    }

    /// Ends a response that went wrong so that the client sees it.
    pub(crate) fn break_off(&self) {
        let out = self.out.take().unwrap_or_else(|| Brigade::new(self.request()));
        self.put_length();
        self.pending.set(0);
        self.request().break_off(out);
    }

    /// Leaves a client that has gone. One that has only shut down its sending side may still read:
    /// what it gets must not look whole.
    pub(crate) fn part(&self) {
        let request = self.request();
        if request.is_secondary() {
            self.break_off();
        } else {
            request.close_after();
            request.reset();
        }
    }

    /// Returns the request.
    pub(crate) const fn request(&self) -> &'e Request<'r> {
        self.variables.request()
    }

    /// Adds to the response what `add` says and passes all of it on.
    fn pass(&self, add: impl FnOnce(&mut Brigade<'r>)) -> Result<()> {
        let mut out = self.out.borrow_mut();
        let out = out.get_or_insert_with(|| Brigade::new(self.request()));
        add(out);
        self.put_length();
        self.pending.set(0);
        let was_out = self.request().is_head_out();
        let result = self.request().pass(out);
        if self.request().is_aborted() {
            self.gone.set(true);
            return Err(gone());
        }
        result.map_err(|status| {
            // A filter that found a range unsatisfiable, or that denies the response, has sent an
            // error page. Not each says so as it returns.
            let request = self.request();
            let denied = !was_out && request.is_head_out() && request.status() != self.status.get();
            if status == FILTER_ERROR || denied {
                self.answered.set(true);
            }
            Error::of(ErrorKind::Output, format!("an output filter failed: APR status {status}"))
        })
    }

    /// Writes a part of a file that is small, or that httpd's child cannot open again. The place in
    /// the file stays as it is, since others may read it through the same descriptor.
    fn copy_file(&self, file: &File, start: u64, length: u64) -> Result<()> {
        let (mut at, end) = (start, start + length);
        while at < end {
            let most = (end - at).min(COPIED_AT_ONCE) as usize;
            let count = self.add(most, |out| match out.push_read(file, at, most) {
                Ok(0) => Err(Error::new(SHRUNK)),
                Ok(count) => Ok(count),
                Err(error) => Err(Error::from_source(error)),
            })?;
            at += count as u64;
        }
        Ok(())
    }

    /// Adds bytes to the output, `most` at most, and passes it on if that is enough. `push` returns
    /// their number, and so does this.
    fn add(
        &self,
        most: usize,
        push: impl FnOnce(&mut Brigade<'r>) -> Result<usize>,
    ) -> Result<usize> {
        if self.gone.get() {
            return Err(gone());
        }
        let passes = self.would_pass(most);
        if passes {
            self.check_grace()?;
        }
        let count = {
            let mut out = self.out.borrow_mut();
            push(out.get_or_insert_with(|| Brigade::new(self.request())))?
        };
        self.pending.set(self.pending.get() + count);
        if passes {
            self.pass(|_| ())?;
        }
        Ok(count)
    }

    /// Cuts the tie to those who still have the environ. They keep a copy of what they might ask
    /// for.
    pub(super) fn end_sharing(&self) {
        self.keep_for_others();
        self.leave();
    }

    /// Ends this thread's work on the exchange, which may be moved from here on.
    fn leave(&self) {
        if let Some(shared) = self.shared.get() {
            shared.leave();
        }
    }

    /// Begins this thread's work on an exchange that stays where it is until the result is dropped.
    pub(super) fn enter(&self) -> Entered<'_, 'e, 'r> {
        if let Some(shared) = self.shared.get() {
            shared.enter(&self.variables);
        }
        Entered(self)
    }

    /// Answers what other threads have asked about the environ; who asks later calls `waker`.
    pub(super) fn answer_others(&self, waker: impl FnOnce() -> Waker) {
        if let Some(shared) = self.shared.get() {
            shared.answer(&self.variables, waker);
        }
    }

    /// Copies the environ for those who still have it, before this thread waits where it cannot
    /// answer them: for a slow client, say.
    fn keep_for_others(&self) {
        // One reference is this exchange's own.
        if let Some(shared) = self.shared.get()
            && Arc::strong_count(shared) > 1
        {
            shared.freeze(&self.variables);
        }
    }
}

impl Variables for RequestExchange<'_, '_> {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.variables.get(key)
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.variables.each(visit);
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.variables.header(name)
    }

    fn each_header(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.variables.each_header(visit);
    }

    fn header_count(&self) -> usize {
        self.request().headers_in().len()
    }

    fn raw_target(&self) -> &[u8] {
        self.request().unparsed_uri()
    }

    fn method(&self) -> &[u8] {
        self.variables.method()
    }

    fn script_name(&self) -> &[u8] {
        self.variables.script_name().unwrap_or_default()
    }

    fn path_info(&self) -> &[u8] {
        self.variables.path_info().unwrap_or_default()
    }

    fn query_string(&self) -> &[u8] {
        self.variables.query_string()
    }

    fn protocol(&self) -> &[u8] {
        self.request().protocol()
    }
}

impl Exchange for RequestExchange<'_, '_> {
    fn begin(&self, status: Status<'_>) {
        let request = self.request();
        let headers = request.headers_out();
        match self.headers_before.get() {
            None => self.headers_before.set(Some(headers.len())),
            // A second head takes the place of the first, but not of what other modules set.
            Some(before) => {
                headers.truncate(before);
                request.restore_content_type(&self.before);
            }
        }
        let code = status.code();
        self.status.set(i32::from(code.as_u16()));
        // For a status that httpd has no words for it would say 500.
        let reason = match status.reason() {
            None if !Request::knows_status(code.as_u16()) => {
                Some(code.canonical_reason().unwrap_or("Unknown").as_bytes())
            }
            reason => reason,
        };
        let line: Option<&CStr> = reason
            .map(|reason| request.pool().c_str(&[code.as_str().as_bytes(), b" ", reason].concat()));
        request.set_status(code.as_u16(), line);
    }

    fn put_header(&self, name: &[u8], value: &[u8]) {
        let request = self.request();
        if header::is_content_type(name) {
            // httpd keeps it apart from the other headers.
            request.set_content_type(value);
        } else {
            request.headers_out().add(request.pool(), name, value);
        }
    }

    #[cfg(feature = "tower")]
    fn upgrade(&self) -> Upgrade {
        if self.request().can_switch_protocols() { Upgrade::Tunnel } else { Upgrade::None }
    }

    fn commit(&self, length: Option<u64>) {
        self.keep_for_others();
        let request = self.request();
        self.endless.set(length.is_none());
        if self.status.get() == 101 {
            request.switch_protocols();
            return;
        }
        self.length.set(length);
        // A subrequest, whose response is included in a page, needs no framing of its own.
        if !request.has_framing()
            && !request.is_subrequest()
            && (length.is_none() || request.has_content_filter())
        {
            // The end of the connection will be the end of the body. Until the body is whole, not
            // even the end of this process may look like one.
            request.reset_on_close(true);
            self.unframed.set(true);
        }
    }

    fn write(&self, data: Bytes) -> Result<()> {
        let length = data.len();
        let push = |out: &mut Brigade<'_>| {
            out.push_bytes(data);
            Ok(length)
        };
        self.add(length, push).map(drop)
    }

    fn conditions(&self, file: &FileBody) -> Option<StatusCode> {
        let request = self.request();
        if file.is_whole() {
            request.set_validators(file);
        }
        let status = StatusCode::from_u16(u16::try_from(request.meets_conditions()).ok()?).ok();
        self.instead.set(status.is_some());
        status
    }

    fn file(&self, file: FileBody) -> Result<()> {
        let request = self.request();
        let (start, length) = (file.start(), file.length());
        if length <= COPIED_AT_ONCE {
            // A read costs less than the file's second descriptor, which buckets need.
            return self.copy_file(file.file(), start, length);
        }
        // It may be readable for the application's user alone, who has opened it.
        let Ok(adopted) = request.adopt_file(file.file(), self.variables.facts().sendfile) else {
            return self.copy_file(file.file(), start, length);
        };
        let mut out = self.out.borrow_mut();
        let out = out.get_or_insert_with(|| Brigade::new(request));
        out.push_file(adopted, start, length);
        self.file.set(Some((file.into_file(), start + length)));
        Ok(())
    }

    fn overrides(&self, _status: StatusCode) -> bool {
        let overridden = self.variables.facts().error_override;
        if overridden {
            // An error document has none of the other headers.
            let request = self.request();
            request.headers_out().each(|name, value| {
                if header::stays_with_error(name) {
                    request.keep_with_error(name, value);
                }
            });
        }
        overridden
    }

    fn flush(&self) -> Result<()> {
        if self.gone.get() {
            return Err(gone());
        }
        self.check_grace()?;
        self.look()?;
        self.pass(Brigade::push_flush)
    }

    fn finish(&self, trailers: Option<HeaderMap>) -> Result<()> {
        if self.gone.get() {
            return Err(gone());
        }
        if let Some(trailers) = trailers {
            let request = self.request();
            for (name, value) in &trailers {
                let name = name.as_str().as_bytes();
                request.trailers_out().add(request.pool(), name, value.as_bytes());
            }
        }
        if self.request().has_switched_protocols() {
            self.request().end_switched();
            let is_stream = self.request().is_secondary();
            // A stream of HTTP/2 ends by itself, a connection is closed.
            return self.pass(if is_stream { Brigade::push_end } else { Brigade::push_flush });
        }
        let pending = self.pending.get() as u64;
        if pending > 0 && self.length.get() == Some(pending) && self.request().is_counted() {
            // httpd would set it a second time.
            self.length.set(None);
        }
        let is_unframed = self.unframed.get();
        self.pass(|out| {
            out.push_end();
            if is_unframed {
                out.push_flush();
            }
        })?;
        if let Some((file, end)) = self.file.take()
            && file.metadata().is_ok_and(|metadata| metadata.len() < end)
        {
            return Err(Error::new(SHRUNK));
        }
        if is_unframed {
            self.request().reset_on_close(false);
        }
        Ok(())
    }

    fn logs(&self, level: Level) -> bool {
        log::request_logs(self.request(), level)
    }

    fn log(&self, level: Level, message: &str) {
        log::request(self.request(), level, message);
    }

    fn share(&self) -> Arc<dyn SharedVariables> {
        self.shared.get_or_init(|| Arc::new(SharedEnviron::new(&self.variables))).clone()
    }

    fn waker(&self) -> Waker {
        parker::waker()
    }

    fn park(&self, interest: Interest) -> Woken {
        self.answer_others(parker::waker);
        // An application may wait for this.
        grace::ending_for();
        if self.is_overdue() {
            return Woken::ProcessEnds;
        }
        let request = self.request();
        let socket = request.socket();
        let silent = if socket.is_none() && interest == Interest::Input {
            self.silence()
        } else {
            Duration::ZERO
        };
        let client = Client {
            socket,
            may_half_close: self.may_half_close(),
            is_looked_after: self.grace().is_some()
                && (interest == Interest::Waker || request.has_switched_protocols()),
        };
        match wait::park(client, interest, request.server().timeout(), silent) {
            Woken::Gone if !self.has_client_gone() => {
                self.half_closed.set(true);
                Woken::Called
            }
            Woken::Called | Woken::Input if request.is_aborted() => Woken::Gone,
            // Another protocol may be silent for any time.
            Woken::MustBlock if request.has_switched_protocols() => Woken::Called,
            Woken::MustBlock => {
                self.keep_for_others();
                Woken::MustBlock
            }
            woken => woken,
        }
    }
}

/// The work of a thread on an exchange.
pub(super) struct Entered<'x, 'e, 'r>(&'x RequestExchange<'e, 'r>);

impl Drop for Entered<'_, '_, '_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl Drop for RequestExchange<'_, '_> {
    fn drop(&mut self) {
        self.end_sharing();
    }
}
