//! One request's exchange behind any of the gateways: it turns what the application answers into
//! a head and a body for the driver's [`Sink`].

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::task::Waker;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::environ::{Frozen, SiteEnviron};
use super::file::{self, ByteRanges, Validators};
use super::head::{self, FinalHead};
use super::sink::Sink;
use super::{Site, page};
#[cfg(any(feature = "http-server", feature = "tower"))]
use crate::gateway::exchange::Upgrade;
use crate::gateway::run::Suspend;
use crate::gateway::{
    Error, ErrorKind, Exchange, FileBody, Interest, Level, Result, SharedVariables, Status,
    Variables, Woken,
};
use crate::protocol::head::write_header;

/// A head that is being made.
#[derive(Debug, Default)]
struct HeadDraft {
    status: Option<StatusCode>,
    reason: Vec<u8>,
    fields: Vec<u8>,
}

/// The part of a file that goes out, when it is not the whole.
#[derive(Debug)]
enum FilePlan {
    Whole,
    One(u64, u64),
    /// Each part with what stands before it, and what stands at the end.
    Many(Vec<(Bytes, u64, u64)>, Bytes),
}

/// The exchange of one request.
pub(super) struct SiteExchange<'e> {
    site: &'e Site,
    environ: &'e SiteEnviron<'e>,
    sink: &'e dyn Sink,
    state: ExchangeState,
}

/// The state of an exchange, which lasts between the visits of a suspended one.
#[derive(Debug)]
pub(super) struct ExchangeState {
    draft: RefCell<HeadDraft>,
    plan: RefCell<FilePlan>,
    /// The head has gone to the sink.
    committed: Cell<bool>,
    /// Why nothing can be sent any more.
    failed: RefCell<Option<(ErrorKind, String)>>,
    sent: Cell<u64>,
    shared: OnceCell<Arc<Frozen>>,
}

impl<'e> SiteExchange<'e> {
    /// Makes one for a request whose head is here.
    #[must_use]
    pub(super) fn new(site: &'e Site, environ: &'e SiteEnviron<'e>, sink: &'e dyn Sink) -> Self {
        Self { site, environ, sink, state: ExchangeState::default() }
    }

    /// Goes on with an exchange from a visit before.
    pub(super) const fn with(
        site: &'e Site,
        environ: &'e SiteEnviron<'e>,
        sink: &'e dyn Sink,
        state: ExchangeState,
    ) -> Self {
        Self { site, environ, sink, state }
    }

    /// Returns the state for the next visit.
    pub(super) fn into_state(self) -> ExchangeState {
        self.state
    }

    /// Returns the status and the bytes of body that went to the sink; no status if no head did.
    #[must_use]
    pub(super) fn tally(&self) -> (Option<StatusCode>, u64) {
        (
            self.state.draft.borrow().status.filter(|_| self.state.committed.get()),
            self.state.sent.get(),
        )
    }

    /// Returns whether the head has gone to the sink.
    #[must_use]
    pub(super) const fn is_committed(&self) -> bool {
        self.state.committed.get()
    }

    /// Takes back what is committed, if nothing of it has gone out.
    #[must_use]
    pub(super) fn take_back(&self) -> bool {
        self.sink.take_back()
    }

    /// Answers with a status of the server's own, whatever head there was a draft of.
    ///
    /// # Errors
    ///
    /// Those of [`Sink::head`].
    pub(super) fn answer(&self, status: StatusCode) -> Result<()> {
        if status == StatusCode::NOT_MODIFIED {
            // The headers that httpd lets through with a 304.
            const KEPT: [&[u8]; 10] = [
                b"ETag",
                b"Content-Location",
                b"Expires",
                b"Cache-Control",
                b"Vary",
                b"Warning",
                b"WWW-Authenticate",
                b"Proxy-Authenticate",
                b"Set-Cookie",
                b"Set-Cookie2",
            ];
            let is_kept = |name: &[u8]| KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(name));
            let mut draft = self.state.draft.borrow_mut();
            head::retain(&mut draft.fields, is_kept);
            draft.status = Some(status);
            draft.reason.clear();
            drop(draft);
            self.send_head(None)?;
            return self.sink.finish(None);
        }
        let body = page::page(status);
        let mut draft = self.state.draft.borrow_mut();
        let range = head::find(&draft.fields, b"content-range").map(<[u8]>::to_vec);
        draft.fields.clear();
        draft.reason.clear();
        draft.status = Some(status);
        write_header(&mut draft.fields, b"Content-Type", page::CONTENT_TYPE);
        if let Some(range) = range.filter(|_| status == StatusCode::RANGE_NOT_SATISFIABLE) {
            write_header(&mut draft.fields, b"Content-Range", &range);
        }
        drop(draft);
        self.send_head(Some(body.len() as u64))?;
        if self.environ.get(b"REQUEST_METHOD") != Some(b"HEAD") {
            self.state.sent.set(body.len() as u64);
            self.sink.write(body.into())?;
        }
        self.sink.finish(None)
    }

    /// Has the web server answer with another of its paths.
    ///
    /// # Errors
    ///
    /// Those of [`Sink::head`].
    pub(super) fn redirect(&self, field: &str, path: &str) -> Result<()> {
        let mut fields = Vec::new();
        write_header(&mut fields, field.as_bytes(), path.as_bytes());
        self.state.committed.set(true);
        self.sink.head(&FinalHead { status: None, reason: b"", fields: &fields, length: None })?;
        self.sink.finish(None)
    }

    fn send_head(&self, length: Option<u64>) -> Result<()> {
        let draft = self.state.draft.borrow();
        self.state.committed.set(true);
        self.sink.head(&FinalHead {
            status: draft.status,
            reason: &draft.reason,
            fields: &draft.fields,
            length,
        })
    }

    fn check(&self) -> Result<()> {
        match &*self.state.failed.borrow() {
            Some((kind, message)) => Err(Error::of(*kind, message.clone())),
            None => Ok(()),
        }
    }

    /// Remembers a failure: what comes after it fails as well.
    fn keep(&self, result: Result<()>) -> Result<()> {
        if let Err(error) = &result {
            *self.state.failed.borrow_mut() = Some((error.kind(), error.to_string()));
        }
        result
    }

    /// The validators of the response: the application's, else the file's own.
    fn validate(&self, file: &FileBody) -> Validators {
        let mut draft = self.state.draft.borrow_mut();
        let etag = head::find(&draft.fields, b"etag").map(<[u8]>::to_vec);
        let modified = head::find(&draft.fields, b"last-modified").and_then(file::date);
        let mut known = Validators { etag, modified };
        if !file.is_whole() {
            return known;
        }
        let own = Validators::of(file, SystemTime::now());
        if known.modified.is_none()
            && head::find(&draft.fields, b"last-modified").is_none()
            && let Some(modified) = own.modified
        {
            let date = httpdate::fmt_http_date(modified);
            write_header(&mut draft.fields, b"Last-Modified", date.as_bytes());
            known.modified = Some(modified);
        }
        if known.etag.is_none()
            && let Some(etag) = own.etag
        {
            write_header(&mut draft.fields, b"ETag", &etag);
            known.etag = Some(etag);
        }
        known
    }

    /// Makes a 206 of the head, if a part of the file is wanted.
    fn plan(&self, file: &FileBody, validators: &Validators) -> Option<StatusCode> {
        let method = self.environ.get(b"REQUEST_METHOD").unwrap_or_default();
        let length = file.length();
        let header = |name: &str| self.environ.header(name.as_bytes());
        let parts = file::parts(method, length, validators, header);
        let mut draft = self.state.draft.borrow_mut();
        if head::find(&draft.fields, b"accept-ranges").is_none() {
            write_header(&mut draft.fields, b"Accept-Ranges", b"bytes");
        }
        match parts {
            ByteRanges::Whole => return None,
            ByteRanges::None => {
                let range = format!("bytes */{length}");
                write_header(&mut draft.fields, b"Content-Range", range.as_bytes());
                return Some(StatusCode::RANGE_NOT_SATISFIABLE);
            }
            ByteRanges::Some(parts) => {
                draft.status = Some(StatusCode::PARTIAL_CONTENT);
                draft.reason.clear();
                let range = |start: u64, count: u64| {
                    format!("bytes {start}-{}/{length}", start + count - 1)
                };
                if let [(start, count)] = parts[..] {
                    let range = range(start, count);
                    write_header(&mut draft.fields, b"Content-Range", range.as_bytes());
                    *self.state.plan.borrow_mut() = FilePlan::One(start, count);
                    return None;
                }
                let kind = head::find(&draft.fields, b"content-type").map(<[u8]>::to_vec);
                let kind = kind.unwrap_or_default();
                let boundary = String::from_utf8_lossy(self.environ.id())
                    .bytes()
                    .filter(u8::is_ascii_alphanumeric)
                    .map(char::from)
                    .collect::<String>();
                let before = |&(start, count): &(u64, u64)| {
                    let mut text = format!("\r\n--{boundary}\r\n").into_bytes();
                    if !kind.is_empty() {
                        write_header(&mut text, b"Content-type", &kind);
                    }
                    write_header(&mut text, b"Content-range", range(start, count).as_bytes());
                    text.extend_from_slice(b"\r\n");
                    (Bytes::from(text), start, count)
                };
                let all = parts.iter().map(before).collect();
                let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
                head::retain(&mut draft.fields, |name| !name.eq_ignore_ascii_case(b"content-type"));
                let multipart = format!("multipart/byteranges; boundary={boundary}");
                write_header(&mut draft.fields, b"Content-Type", multipart.as_bytes());
                *self.state.plan.borrow_mut() = FilePlan::Many(all, end);
            }
        }
        None
    }

    fn count(&self, bytes: u64) {
        self.state.sent.set(self.state.sent.get() + bytes);
    }
}

impl Default for ExchangeState {
    fn default() -> Self {
        Self {
            draft: RefCell::default(),
            plan: RefCell::new(FilePlan::Whole),
            committed: Cell::new(false),
            failed: RefCell::new(None),
            sent: Cell::new(0),
            shared: OnceCell::new(),
        }
    }
}

impl Suspend for SiteExchange<'_> {
    fn waker(&self) -> Option<Waker> {
        self.sink.visit_waker()
    }

    fn has_room(&self) -> bool {
        self.sink.has_room()
    }
}

impl Variables for SiteExchange<'_> {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.environ.get(key)
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.environ.each(visit);
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.environ.header(name)
    }

    fn each_header(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.environ.each_header(visit);
    }

    fn header_count(&self) -> usize {
        self.environ.header_count()
    }

    fn raw_target(&self) -> &[u8] {
        self.environ.raw_target()
    }
}

impl Exchange for SiteExchange<'_> {
    fn begin(&self, status: Status<'_>) {
        let mut draft = self.state.draft.borrow_mut();
        draft.status = Some(status.code());
        draft.reason.clear();
        draft.reason.extend_from_slice(status.reason().unwrap_or_default());
        draft.fields.clear();
    }

    fn put_header(&self, name: &[u8], value: &[u8]) {
        write_header(&mut self.state.draft.borrow_mut().fields, name, value);
    }

    fn commit(&self, length: Option<u64>) {
        let length = match &*self.state.plan.borrow() {
            FilePlan::Whole => length,
            FilePlan::One(_, count) => Some(*count),
            FilePlan::Many(all, end) => Some(
                all.iter().map(|(before, _, count)| before.len() as u64 + count).sum::<u64>()
                    + end.len() as u64,
            ),
        };
        // The next call tells the application.
        let _ = self.keep(self.send_head(length));
    }

    fn write(&self, data: Bytes) -> Result<()> {
        self.check()?;
        self.count(data.len() as u64);
        self.keep(self.sink.write(data))
    }

    fn conditions(&self, file: &FileBody) -> Option<StatusCode> {
        let validators = self.validate(file);
        let method = self.environ.get(b"REQUEST_METHOD").unwrap_or_default();
        let header = |name: &str| self.environ.header(name.as_bytes());
        file::conditions(method, &validators, header).or_else(|| self.plan(file, &validators))
    }

    #[cfg(any(feature = "http-server", feature = "tower"))]
    fn upgrade(&self) -> Upgrade {
        self.sink.upgrade()
    }

    fn file(&self, file: FileBody) -> Result<()> {
        self.check()?;
        let (from, whole) = (file.start(), file.length());
        let file = file.file();
        match std::mem::replace(&mut *self.state.plan.borrow_mut(), FilePlan::Whole) {
            FilePlan::Whole => {
                self.count(whole);
                self.keep(self.sink.file(file, from, whole))
            }
            FilePlan::One(start, count) => {
                self.count(count);
                self.keep(self.sink.file(file, from + start, count))
            }
            FilePlan::Many(all, end) => {
                for (before, start, count) in all {
                    self.count(before.len() as u64 + count);
                    self.keep(self.sink.write(before))?;
                    self.keep(self.sink.file(file, from + start, count))?;
                }
                self.count(end.len() as u64);
                self.keep(self.sink.write(end))
            }
        }
    }

    fn flush(&self) -> Result<()> {
        self.check()?;
        self.keep(self.sink.flush())
    }

    fn finish(&self, trailers: Option<HeaderMap>) -> Result<()> {
        self.check()?;
        self.keep(self.sink.finish(trailers))
    }

    fn logs(&self, level: Level) -> bool {
        self.site.log.logs(level)
    }

    fn log(&self, level: Level, message: &str) {
        if self.site.log.logs(level) && !self.sink.log(level, message) {
            self.site.log.of_request(level, message, self.environ);
        }
    }

    fn share(&self) -> Arc<dyn SharedVariables> {
        self.state.shared.get_or_init(|| Arc::new(self.environ.freeze(self.sink.params()))).clone()
    }

    fn waker(&self) -> Waker {
        self.sink.waker()
    }

    fn park(&self, interest: Interest) -> Woken {
        self.sink.park(interest)
    }
}

impl std::fmt::Debug for SiteExchange<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("environ", &self.environ).finish_non_exhaustive()
    }
}
