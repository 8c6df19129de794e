//! Carries the cases out over a raw connection, and says of each what was wrong.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use httpd_testkit::{BodyEnd, Connection, Response};

use crate::case::{Ask, Body, Case, Content, Expect, Level, Step, ask, get, ok, pattern};
use crate::check::{Result, check, check_fields, same};
use crate::target::Target;

/// Runs every case that `target` can do, and then looks whether the log has what they expect and no
/// other errors.
///
/// # Panics
/// When a case failed: with what every such case met.
pub(crate) fn run(target: &dyn Target, cases: &[Case]) {
    let can = |case: &&Case| !case.needs.iter().any(|need| target.lacks().contains(need));
    let cases: Vec<_> = cases.iter().filter(can).collect();
    assert!(!cases.is_empty(), "no case is left");
    let mut failures = String::new();
    for case in &cases {
        if let Err(what) = converse(target, case, target.patience()) {
            let _ = writeln!(failures, "--- {}\n{what}", case.name);
        }
    }
    check_log(target, &cases, &mut failures);
    assert!(failures.is_empty(), "of {} cases, these failed:\n{failures}", cases.len());
}

/// Carries one case out on a connection of its own; `Err` says what was wrong.
pub(crate) fn converse(target: &dyn Target, case: &Case, patience: Duration) -> Result {
    match catch_unwind(AssertUnwindSafe(|| Talk::new(target, patience).run(&case.steps))) {
        Ok(result) => result,
        Err(panic) => Err(panic_text(&*panic).to_owned()),
    }
}

/// Checks the log: it must have every record that the cases expect, as often as they say, and no
/// other error.
pub(crate) fn check_log(target: &dyn Target, cases: &[&Case], failures: &mut String) {
    let mut expected: Vec<(Level, &str, usize)> = Vec::new();
    for (level, text) in cases.iter().flat_map(|case| &case.logs) {
        match expected.iter_mut().find(|other| (other.0, other.1) == (*level, *text)) {
            Some(known) => known.2 += 1,
            None => expected.push((*level, text, 1)),
        }
    }
    let end = Instant::now() + target.patience();
    for &(level, text, wanted) in &expected {
        // A record may be written after its response.
        while target.records(level, text).len() < wanted && Instant::now() < end {
            std::thread::yield_now();
        }
        let found = target.records(level, text);
        if found.len() != wanted {
            let _ = writeln!(
                failures,
                "--- the log has {} and not {wanted} records of level {level:?} with `{text}`: \
                 {found:#?}",
                found.len()
            );
        }
    }
    for record in target.records(Level::Info, "odd-") {
        if record.contains(char::is_control) {
            let _ = writeln!(failures, "--- a record has control characters: {record:?}");
        }
    }
    for level in [Level::Error, Level::Warn] {
        for record in target.records(level, "") {
            if !expected.iter().any(|(_, text, _)| record.contains(text)) {
                let _ = writeln!(failures, "--- the log has what no case expects: {record}");
            }
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked")
}

/// One conversation.
struct Talk<'t> {
    target: &'t dyn Target,
    patience: Duration,
    connection: Option<Connection>,
    etag: String,
    modified: String,
}

impl<'t> Talk<'t> {
    fn new(target: &'t dyn Target, patience: Duration) -> Self {
        let connection = Some(Connection::open(target.addr(), patience));
        Self { target, patience, connection, etag: String::new(), modified: String::new() }
    }

    fn run(&mut self, steps: &[Step]) -> Result {
        for (at, step) in steps.iter().enumerate() {
            self.step(step).map_err(|what| format!("step {}: {what}", at + 1))?;
        }
        // Nothing lies about on a connection that stays, and what comes next is understood.
        if self.connection.is_some() {
            // An application answers any method: rests of a body before this one would not show.
            let next = ok().holds(&["\"REQUEST_METHOD\": \"GET\"", "/environ/next"]);
            self.ask(&get("/environ/next"), &next)
                .map_err(|what| format!("the next request: {what}"))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result {
        match step {
            Step::Ask(ask, expect) => self.ask(ask, expect),
            Step::HeadLikeGet(target) => self.head_like_get(target),
            Step::Write(bytes) => {
                let bytes = self.fill_bytes(bytes);
                self.open()?.try_write(&bytes).map_err(|error| error.to_string())
            }
            Step::ReadInterim(status) => {
                let head = self.open()?.read_head();
                same("interim status", head.status, *status)
            }
            Step::Read(method, expect) => {
                let response = self.open()?.try_read_response(method);
                self.judge(response.map_err(|error| format!("no response: {error}"))?, expect)
            }
            Step::ReadHead(expect) => {
                let head = self.open()?.read_head();
                same("status", head.status, expect.status)?;
                check_fields(&head.headers, &expect.fields)
                    .map_err(|what| format!("{what}{head:?}"))
            }
            Step::ReadChunk(bytes) => match self.open()?.read_chunk() {
                Some(chunk) if chunk == *bytes => Ok(()),
                other => Err(format!(
                    "chunk \"{}\", expected \"{}\"",
                    other.map_or("(the last)".into(), |chunk| chunk.escape_ascii().to_string()),
                    bytes.escape_ascii()
                )),
            },
            Step::ReadChunks(bytes) => {
                let mut found = Vec::new();
                while found.len() < bytes.len() {
                    found.extend(self.open()?.read_chunk().ok_or("the last chunk")?);
                }
                // The next response may have begun to arrive.
                found.truncate(bytes.len());
                same(
                    "what came",
                    found.escape_ascii().to_string(),
                    bytes.escape_ascii().to_string(),
                )
            }
            Step::ReadLastChunk => match self.open()?.read_chunk() {
                None => Ok(()),
                Some(chunk) => Err(format!("one more chunk: \"{}\"", chunk.escape_ascii())),
            },
            Step::ReadBytes(bytes) => {
                let found = self.open()?.read_exact(bytes.len());
                same(
                    "what came",
                    found.escape_ascii().to_string(),
                    bytes.escape_ascii().to_string(),
                )
            }
            Step::ReadBroken => {
                let mut connection = self.connection.take().ok_or("the connection is closed")?;
                let rest = connection.read_to_end();
                same("what came before the break", rest.escape_ascii().to_string(), "")
            }
            Step::CloseWrite => {
                self.open()?.close_write();
                Ok(())
            }
            Step::ReadClose => self.closed(),
            Step::Leave => {
                self.connection = None;
                Ok(())
            }
        }
    }

    fn ask(&mut self, ask: &Ask, expect: &Expect) -> Result {
        let response = self.send(ask)?;
        // HTTP/1.0 closes unless something else is said.
        let closes = ask.is_http_1_0 && response.header("connection").is_none();
        self.judge(response, expect)
            .and_then(|()| if closes && self.connection.is_some() { self.closed() } else { Ok(()) })
            .map_err(|what| format!("{} {}: {what}", ask.method, ask.target))
    }

    fn send(&mut self, ask: &Ask) -> Result<Response> {
        let target = self.target_of(ask);
        let headers: Vec<_> =
            ask.headers.iter().map(|(name, value)| (*name, self.fill(value))).collect();
        let connection = self.open()?;
        let response = if ask.is_http_1_0 {
            let body = match ask.content {
                Content::None => &[],
                Content::Bytes(bytes) => bytes,
                _ => return Err("an HTTP/1.0 request of a case has a short body".into()),
            };
            let mut text = format!("{} {target} HTTP/1.0\r\n", ask.method);
            for (name, value) in headers {
                let _ = write!(text, "{name}: {value}\r\n");
            }
            if !body.is_empty() {
                let _ = write!(text, "Content-Length: {}\r\n", body.len());
            }
            connection.write([text.as_bytes(), b"\r\n", body].concat());
            connection.try_read_response(ask.method)
        } else {
            let mut request = connection.request(ask.method, &target);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            request = match ask.content {
                Content::None => request,
                Content::Bytes(bytes) => request.body(bytes),
                Content::Pattern(length) => request.body(pattern(length)),
                Content::Chunks(chunks) => request.chunks(chunks.iter().copied()),
                Content::PatternChunks(length, size) => {
                    let all = pattern(length);
                    let chunks: Vec<_> = all.chunks(size).map(<[u8]>::to_vec).collect();
                    request.chunks(chunks)
                }
            };
            for (name, value) in &ask.trailers {
                request = request.trailer(name, value);
            }
            request.try_send()
        };
        response.map_err(|error| format!("no response: {error}"))
    }

    fn judge(&mut self, response: Response, expect: &Expect) -> Result {
        if let Some(etag) = response.header("etag") {
            self.etag = etag.to_owned();
        }
        if let Some(modified) = response.header("last-modified") {
            self.modified = modified.to_owned();
        }
        let closes = response.header("connection").is_some_and(|value| value == "close");
        check(&response, &self.with_own_pages(expect))
            .map_err(|what| format!("{what}\n{response:?}"))?;
        let is_over = matches!(response.end, BodyEnd::Close | BodyEnd::Truncated(_));
        if is_over {
            self.connection = None;
        } else if closes {
            self.closed()?;
        }
        Ok(())
    }

    fn closed(&mut self) -> Result {
        let mut connection = self.connection.take().ok_or("the connection is closed already")?;
        if connection.is_closed() {
            Ok(())
        } else {
            Err("the connection is not closed, or more came on it".into())
        }
    }

    fn head_like_get(&mut self, target: &str) -> Result {
        let of = |talk: &mut Self, method| {
            let response = talk.send(&ask(method, target))?;
            // An error page closes the connection.
            if response.header("connection").is_some_and(|value| value == "close") {
                talk.closed()?;
                talk.connection = Some(Connection::open(talk.target.addr(), talk.patience));
            }
            Ok::<_, String>(response)
        };
        let (got, headed) = (of(self, "GET")?, of(self, "HEAD")?);
        let heads = |response: &Response| {
            let mut fields = response.headers.clone();
            // A date may pass, and the framing of a GET's body does not matter.
            fields.retain(|(name, _)| {
                !["date", "transfer-encoding"].contains(&&*name.to_ascii_lowercase())
            });
            (response.status, fields)
        };
        if heads(&got) == heads(&headed) && headed.body.is_empty() {
            Ok(())
        } else {
            Err(format!("{target}\nby GET:\n{got:?}\nby HEAD:\n{headed:?}"))
        }
    }

    /// Cases say `the server's own 500`; what that page says is the server's business.
    fn with_own_pages(&self, expect: &Expect) -> Expect {
        let mut expect = expect.clone();
        if let Body::Holds(parts) = &mut expect.body {
            for part in parts {
                let status = part.strip_prefix("the server's own ").and_then(|it| it.parse().ok());
                if let Some(page) = status.and_then(|status| self.target.own_page(status)) {
                    *part = page.to_owned();
                }
            }
        }
        expect
    }

    fn open(&mut self) -> Result<&mut Connection> {
        self.connection.as_mut().ok_or_else(|| "the connection is closed".into())
    }

    fn target_of(&self, ask: &Ask) -> String {
        let target = self.fill(&ask.target);
        let is_below = ask.target.starts_with('/');
        if is_below { format!("{}{target}", self.target.mount()) } else { target }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{probe}", self.target.mount())
            .replace("{scheme}", self.target.scheme())
            .replace("{etag}", &self.etag)
            .replace("{modified}", &self.modified)
    }

    /// Bytes need not be text.
    fn fill_bytes(&self, bytes: &[u8]) -> Vec<u8> {
        const MARK: &[u8] = b"{probe}";
        let mut filled = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some(at) = rest.windows(MARK.len()).position(|part| part == MARK) {
            filled.extend_from_slice(&rest[..at]);
            filled.extend_from_slice(self.target.mount().as_bytes());
            rest = &rest[at + MARK.len()..];
        }
        filled.extend_from_slice(rest);
        filled
    }
}
