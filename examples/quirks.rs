//! Forbidden actions of an application, which its module must survive: panics in every place,
//! output on the terminal, child processes, responses that break the rules. The tests load it.
//!
//! ```text
//! LoadModule quirks_module modules/mod_quirks.so
//! RustAppAlias /quirks quirks
//! <Location /quirks/mine>
//!     QuirksPanic fixups
//! </Location>
//! ```
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use mod_rust::gateway::{
    Application, Body, BodyStream, Environ, Error, Factory, FileBody, Pace, Result, StartResponse,
    app_fn, start_logging,
};
use mod_rust::httpd::{Brigade, HookStatus, Pattern, Pool, Request, Table};
use mod_rust::module::{Config, Contexts, Directive, Parameters};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;

#[derive(Deserialize)]
struct Options {
    /// A file that gets a line for each time that the application is built.
    #[serde(default)]
    journal: Option<String>,
    /// A file without which the application does not come to be built.
    #[serde(default)]
    gate: Option<PathBuf>,
}

fn quirks(options: Options) -> Result<impl Application> {
    // Else nothing that the factory says is logged.
    start_logging();
    log::info!("quirks built in process {}", std::process::id());
    if let Some(journal) = options.journal {
        let mut journal = OpenOptions::new().create(true).append(true).open(journal)?;
        writeln!(journal, "{}", std::process::id())?;
    }
    if let Some(gate) = options.gate {
        while !gate.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(app_fn(answer))
}

fn answer<'x>(mut environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let query = Query(environ.query_string().to_vec());
    let text = |text: String| -> Result<Body<'x>> {
        start_response.start(200, [("Content-Type", "text/plain")])?;
        Ok(Body::from(text))
    };
    match environ.path_info() {
        b"/pid" => text(format!("{}\n", std::process::id())),
        // Standard output is httpd's: where it leads is its business, but never into the response.
        #[allow(clippy::print_stdout, clippy::print_stderr)]
        b"/say" => {
            println!("said on standard output");
            eprintln!("said on standard error");
            text("said\n".into())
        }
        // Sets soft limits of this process: `nofile`, `nproc`; without them, as high as may be.
        b"/limit" => {
            for (name, resource) in [("nofile", Resource::Nofile), ("nproc", Resource::Nproc)] {
                let maximum = getrlimit(resource).maximum;
                let current = query.text(name).parse().ok().or(maximum);
                setrlimit(resource, Rlimit { current, maximum }).map_err(Error::from_source)?;
            }
            text(String::new())
        }
        b"/run" => {
            let status = Command::new("sh").args(["-c", "exit 7"]).status()?;
            text(format!("{:?}\n", status.code()))
        }
        // One byte a write, and never a flush.
        b"/tiny" => {
            let mut writer = start_response.start(200, [("Content-Type", "text/plain")])?;
            for _ in 0..query.number("n") {
                writer.write_all(b"x")?;
            }
            Ok(Body::empty())
        }
        // Digits in one piece, `n` of them.
        b"/digits" => {
            text((0..query.number("n")).map(|at| char::from(b'0' + (at % 10) as u8)).collect())
        }
        // Any head with any body: `status`, `body`, `length` and headers after `h-`.
        b"/respond" => {
            let status = query.text("status");
            let headers = query.pairs().filter_map(|(name, value)| {
                Some((name.strip_prefix(b"h-")?.to_vec(), value.into_owned()))
            });
            start_response.start(&*status, headers.collect::<Vec<_>>())?;
            let body = Bytes::from(query.get(b"body").unwrap_or_default().into_owned());
            Ok(match query.get(b"stream") {
                None => Body::from(body),
                Some(_) => Body::from_chunks([Ok(body)]),
            })
        }
        b"/again" => {
            let own = [environ.script_name(), b"/again"].concat();
            Ok(Body::internal_redirect(String::from_utf8_lossy(&own)))
        }
        // The request's trailers, once the body has been read.
        b"/trailers" => {
            let body = environ.input().read_all(1 << 20)?.len();
            let mut lines = format!("{body}\n");
            for (name, value) in &environ.input().trailers().unwrap_or_default() {
                lines += &format!("{name}: {}\n", value.as_bytes().escape_ascii());
            }
            text(lines)
        }
        // A response with trailers, as far as the types let them be wrong.
        b"/give-trailers" => {
            let mut trailers = HeaderMap::new();
            for (name, value) in query.pairs() {
                let name = HeaderName::from_bytes(&name).map_err(Error::from_source)?;
                let value = HeaderValue::from_bytes(&value).map_err(Error::from_source)?;
                trailers.append(name, value);
            }
            start_response.start(200, [("Content-Type", "text/plain")])?;
            Ok(Body::stream(WithTrailers(Some("body\n".into()), trailers)))
        }
        b"/header" => {
            let found = environ.header(&*query.get(b"name").unwrap_or_default());
            text(format!("{:?}\n", found.map(|value| value.escape_ascii().to_string())))
        }
        // Without an end; it says when it is closed.
        b"/endless" => {
            let pause = Duration::from_millis(query.number("ms"));
            start_response.start(200, [("Content-Type", "text/plain")])?;
            let chunks = std::iter::repeat_with(move || {
                std::thread::sleep(pause);
                Ok(Bytes::from_static(b"endless\n"))
            });
            Ok(Body::from_chunks(chunks).on_close(|| log::info!("an endless body was closed")))
        }
        b"/grenade" => {
            start_response.start(200, [("Content-Type", "text/plain")])?;
            Ok(Body::from(Bytes::from_owner(Grenade([b'x'; 1000]))))
        }
        // A body that fails with an error which cannot be displayed, after `n` bytes.
        b"/undisplayable" => {
            start_response.start(200, [("Content-Type", "text/plain")])?;
            let some = Bytes::from(vec![b'x'; usize::try_from(query.number("n")).unwrap_or(0)]);
            Ok(Body::from_chunks([Ok(some), Err(Error::from_source(Undisplayable))]))
        }
        // HTML of `n` lines, and then an error, or the end if `end` is given. With `ready` nothing is
        // flushed in between; `length` is the Content-Length.
        b"/late" => {
            start_response.start(200, [("Content-Type", "text/html; charset=utf-8")])?;
            let lines = usize::try_from(query.number("n")).unwrap_or(0);
            let some = (lines > 0).then(|| Ok(Bytes::from("<p>xxx</p>\n".repeat(lines))));
            let end = query.get(b"end").is_none().then(|| Err(Error::new("a late error")));
            let chunks = some.into_iter().chain(end);
            let body = match query.get(b"ready") {
                Some(_) => Body::from_ready(chunks.collect::<Vec<_>>()),
                None => Body::from_chunks(chunks.collect::<Vec<_>>()),
            };
            Ok(body.with_length(query.text("length").parse().ok()))
        }
        // The file `path`, from its beginning.
        b"/file" => {
            let path = query.text("path");
            start_response.start(200, [("Content-Type", "application/octet-stream")])?;
            Ok(Body::file(FileBody::new(File::open(path)?)?))
        }
        // A head that takes the place of another, which has a type and a header.
        b"/replace" => {
            start_response
                .start(200, [("Content-Type", "application/x-first"), ("X-First", "1")])?;
            start_response.replace(503, [("X-Second", "2")], Error::new("a second thought"))?;
            Ok(Body::from("sorry\n"))
        }
        other => Err(Error::with_status(
            http::StatusCode::NOT_FOUND,
            format!("there is no quirk {}", other.escape_ascii()),
        )),
    }
}

/// Bytes whose end is a panic.
struct Grenade([u8; 1000]);

impl AsRef<[u8]> for Grenade {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("the grenade went off");
    }
}

/// An error whose `Display` panics.
#[derive(Debug)]
struct Undisplayable;

impl std::error::Error for Undisplayable {}

impl std::fmt::Display for Undisplayable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("a panic in a Display")
    }
}

struct WithTrailers(Option<Bytes>, HeaderMap);

impl BodyStream for WithTrailers {
    fn next_chunk(&mut self, _pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        Ok(self.0.take())
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        Some(std::mem::take(&mut self.1))
    }
}

struct Query(Vec<u8>);

impl Query {
    fn pairs(&self) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
        self.0.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
            let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            (decode(&pair[..at]), decode(pair.get(at + 1..).unwrap_or_default()))
        })
    }

    fn get(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        self.pairs().find(|(key, _)| **key == *name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&self.get(name.as_bytes()).unwrap_or_default()).into_owned()
    }

    fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }
}

fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, behind @ ..] = rest {
        let hex = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if *byte == b'%' => {
                decoded.push(value);
                rest = &behind[2..];
            }
            _ => {
                decoded.push(*byte);
                rest = behind;
            }
        }
    }
    decoded.into()
}

/// The module's directives: where it panics, and whether its hooks let requests through.
#[derive(Clone)]
struct Quirks {
    panic: Option<Place>,
    locked: Option<bool>,
    /// The paths of requests that get values in their pool.
    keep: Option<Arc<Pattern>>,
}

/// Whether the next record that is made panics.
static CREATE: AtomicBool = AtomicBool::new(false);

impl Default for Quirks {
    fn default() -> Self {
        assert!(!CREATE.swap(false, Ordering::Relaxed), "a panic in a default");
        Self { panic: None, locked: None, keep: None }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Directive,
    Create,
    Merge,
    Fixups,
    Handler,
    /// In the fixups hook or the handler, after 1,000 bytes of the response.
    FixupsOutput,
    HandlerOutput,
    /// In the handler, after a whole response.
    HandlerEnd,
    /// No panic, but an error status after 1,000 bytes of the response.
    HandlerError,
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "directive" => Ok(Self::Directive),
            "create" => Ok(Self::Create),
            "merge" => Ok(Self::Merge),
            "fixups" => Ok(Self::Fixups),
            "handler" => Ok(Self::Handler),
            "fixups-output" => Ok(Self::FixupsOutput),
            "handler-output" => Ok(Self::HandlerOutput),
            "handler-end" => Ok(Self::HandlerEnd),
            "handler-error" => Ok(Self::HandlerError),
            _ => Err("expected a place of the list in examples/quirks.rs"),
        }
    }
}

impl Config for Quirks {
    fn merge(&self, inner: &Self, _pool: Pool<'_>) -> Self {
        assert!(inner.panic != Some(Place::Merge), "a panic in a merge");
        Self {
            panic: inner.panic.or(self.panic),
            locked: inner.locked.or(self.locked),
            keep: inner.keep.clone().or_else(|| self.keep.clone()),
        }
    }
}

fn set_panic(quirks: &mut Quirks, place: Place) {
    assert!(place != Place::Directive, "a panic in a directive");
    CREATE.store(place == Place::Create, Ordering::Relaxed);
    quirks.panic = Some(place);
}

fn set_keep(
    quirks: &mut Quirks,
    arguments: &[&str],
    _: &Parameters<'_>,
) -> std::result::Result<(), String> {
    let [expression] = arguments else { return Err(String::new()) };
    let pattern = Pattern::new(expression);
    let pattern = pattern.ok_or_else(|| format!("\"{expression}\": no regular expression"))?;
    quirks.keep = Some(Arc::new(pattern));
    Ok(())
}

/// A value that says when it is dropped.
struct Kept(Vec<u8>);

impl Drop for Kept {
    fn drop(&mut self) {
        log::info!("dropped {}", self.0.escape_ascii());
    }
}

/// Puts values into the request's pool, and hands one of them to the application.
fn keep(request: &Request<'_>) {
    let kept = request.pool().own(Kept(request.args().unwrap_or_default().to_vec()));
    let name = kept.0.clone();
    request.pool().on_clear(move || log::info!("cleared {}", name.escape_ascii()));
    let table = Table::new(request.pool());
    table.set(request.pool(), c"NAME", &kept.0);
    let value = table.get(c"NAME").unwrap_or_default();
    request.subprocess_env().set(request.pool(), c"QUIRKS_KEPT", value);
}

fn fixups(request: &Request<'_>, quirks: &Quirks) -> HookStatus {
    let path = CString::new(request.uri()).unwrap_or_default();
    if quirks.keep.as_ref().is_some_and(|pattern| pattern.find(&path).is_some()) {
        keep(request);
    }
    assert!(quirks.panic != Some(Place::Fixups), "a panic in a fixups hook");
    if quirks.locked == Some(true) {
        return HookStatus::Http(http::StatusCode::FORBIDDEN);
    }
    if quirks.panic == Some(Place::FixupsOutput) {
        output(request, false);
        panic!("a panic in a fixups hook after output");
    }
    HookStatus::Declined
}

fn handler(request: &Request<'_>, quirks: &Quirks) -> HookStatus {
    assert!(quirks.panic != Some(Place::Handler), "a panic in a handler");
    if quirks.panic == Some(Place::HandlerError) {
        output(request, false);
        return HookStatus::Http(http::StatusCode::BAD_GATEWAY);
    }
    if let Some(place @ (Place::HandlerOutput | Place::HandlerEnd)) = quirks.panic {
        output(request, place == Place::HandlerEnd);
        panic!("a panic in a handler after output");
    }
    HookStatus::Declined
}

/// Sends 1,000 bytes, and the end of the response if it is `whole`.
fn output(request: &Request<'_>, whole: bool) {
    request.set_content_type(b"text/plain");
    let mut brigade = Brigade::new(request);
    brigade.push_bytes(Bytes::from_static(&[b'x'; 1000]));
    if whole {
        brigade.push_end();
    }
    // The test sees it where the client has gone.
    let _ = request.pass(&mut brigade);
}

/// An application that cannot be built.
fn broken((): ()) -> Result<Arc<dyn Application>> {
    panic!("a panic in a factory")
}

fn applications() -> Vec<(&'static str, Factory)> {
    assert!(std::env::var_os("QUIRKS_PANIC").is_none(), "a panic in the list of applications");
    vec![("quirks", Factory::with_options(quirks)), ("broken", Factory::with_options(broken))]
}

mod_rust::module! {
    /// `LoadModule quirks_module …/mod_quirks.so`
    pub static quirks_module: "mod_quirks.c";
    applications = applications;
    config = Quirks;
    directives = [
        Directive::value(
            c"QuirksPanic",
            Contexts::ALL,
            c"Where to panic: directive, merge, fixups, handler, and so on",
            set_panic,
        ),
        Directive::arguments(
            c"QuirksKeep",
            Contexts::DIRECTORY,
            c"The paths of requests that get values in their pool",
            "a regular expression",
            set_keep,
        ),
        Directive::flag(
            c"QuirksThread",
            Contexts::SERVER,
            c"On to start a thread that never ends, in httpd's parent",
            |_, _| {
                std::thread::spawn(|| {
                    loop {
                        std::thread::sleep(Duration::from_millis(1));
                        mod_rust::httpd::log::here(mod_rust::gateway::Level::Debug, "a thread of its own");
                    }
                });
            },
        ),
        Directive::flag(
            c"QuirksLocked",
            Contexts::DIRECTORY_AND_HTACCESS,
            c"On to answer 403",
            |quirks, on| quirks.locked = Some(on),
        ),
    ];
    fixups = fixups;
    handler = handler;
}
