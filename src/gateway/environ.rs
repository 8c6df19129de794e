//! The environ: CGI meta-variables and the gateway's own keys, as a lazy view of the request.

use std::fmt;

use http::Extensions;

use super::code::Level;
use super::errors::Errors;
use super::exchange::Exchange;
use super::input::Input;

/// `gateway.version`: the version of this contract.
pub const GATEWAY_VERSION: &str = "1.0";

/// The environ of one request, with its input and its error stream.
///
/// Keys are those of CGI/1.1 (RFC 3875) as httpd makes them, everything in httpd's
/// `subprocess_env`, and dotted keys of the gateway's own after PEP 3333; docs/environ.md has the
/// list. Values are bytes. A key that nobody asks for costs nothing; the typed methods beside
/// [`get`](Self::get) cost least.
///
/// ```
/// # use mod_rust::gateway::Environ;
/// fn greeting(environ: &Environ<'_>) -> &'static str {
///     match environ.header("accept-language") {
///         Some(language) if language.starts_with(b"de") => "Guten Tag",
///         _ => "Hello",
///     }
/// }
/// ```
pub struct Environ<'x> {
    exchange: &'x dyn Exchange,
    input: Input<'x>,
    overlay: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    extensions: Option<Extensions>,
}

impl<'x> Environ<'x> {
    pub(super) const fn new(exchange: &'x dyn Exchange, input: Input<'x>) -> Self {
        Self { exchange, input, overlay: Vec::new(), extensions: None }
    }

    /// The value of `key`: `REQUEST_METHOD`, `HTTP_HOST`, `gateway.url_scheme`, …
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&[u8]> {
        let key = key.as_ref();
        match self.overlaid(key) {
            Some(value) => value,
            None => self.exchange.get(key),
        }
    }

    /// Every key with its value, in no order.
    pub fn each(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        self.exchange.each(&mut |key, value| {
            if self.overlaid(key).is_none() {
                visit(key, value);
            }
        });
        for (key, value) in &self.overlay {
            if let Some(value) = value {
                visit(key, value);
            }
        }
    }

    /// `REQUEST_METHOD`.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.get("REQUEST_METHOD").unwrap_or_default()
    }

    /// `SCRIPT_NAME`: where the application is mounted, without a slash at its end.
    #[must_use]
    pub fn script_name(&self) -> &[u8] {
        self.get("SCRIPT_NAME").unwrap_or_default()
    }

    /// `PATH_INFO`: the decoded path below the mount point, empty or with a slash in front.
    #[must_use]
    pub fn path_info(&self) -> &[u8] {
        self.get("PATH_INFO").unwrap_or_default()
    }

    /// `QUERY_STRING`: what stands behind the `?`, undecoded.
    #[must_use]
    pub fn query_string(&self) -> &[u8] {
        self.get("QUERY_STRING").unwrap_or_default()
    }

    /// The request's target as it stood on the request line, undecoded.
    #[must_use]
    pub fn raw_target(&self) -> &[u8] {
        self.exchange.raw_target()
    }

    /// A request header by its name, in any case. Unlike in the CGI variables, Authorization is
    /// among them: the application is trusted as the server's own handlers are.
    #[must_use]
    pub fn header(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.exchange.header(name.as_ref())
    }

    /// Every request header as it came.
    pub fn each_header(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        self.exchange.each_header(&mut visit);
    }

    /// The request body.
    pub const fn input(&mut self) -> &mut Input<'x> {
        &mut self.input
    }

    /// The request body by value, to be kept in the response's; the environ's is empty then.
    pub const fn take_input(&mut self) -> Input<'x> {
        std::mem::replace(&mut self.input, Input::empty())
    }

    /// Puts another input in place, for middleware that decodes, counts or replays it.
    pub fn set_input(&mut self, input: Input<'x>) {
        self.input = input;
    }

    /// A stream into the ErrorLog.
    #[must_use]
    pub const fn errors(&self) -> Errors<'x> {
        Errors::new(self.exchange)
    }

    /// One record in the ErrorLog, with this request.
    pub fn log(&self, level: Level, message: impl fmt::Display) {
        self.errors().log(level, message);
    }

    /// Sets a key, for the application that a middleware wraps.
    pub fn set(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.put(key.into(), Some(value.into()));
    }

    /// Takes a key away.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.put(key.into(), None);
    }

    /// Moves the first segment of PATH_INFO to the end of SCRIPT_NAME and returns it, for an
    /// application that dispatches to others (wsgiref.util.shift_path_info). `None` when there is
    /// no segment left.
    pub fn shift_path_info(&mut self) -> Option<Vec<u8>> {
        let rest = self.path_info().strip_prefix(b"/")?.to_vec();
        let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
        let (segment, path_info) = rest.split_at(end);
        let mut script_name = self.script_name().to_vec();
        script_name.push(b'/');
        script_name.extend_from_slice(segment);
        self.set("SCRIPT_NAME", script_name);
        self.set("PATH_INFO", path_info);
        Some(segment.to_vec())
    }

    /// Values of any type that middleware passes inwards.
    #[must_use]
    pub const fn extensions(&self) -> Option<&Extensions> {
        self.extensions.as_ref()
    }

    /// The same, to add to.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        self.extensions.get_or_insert_default()
    }

    #[cfg(feature = "tower")]
    pub(super) const fn exchange(&self) -> &'x dyn Exchange {
        self.exchange
    }

    #[cfg(feature = "tower")]
    pub(super) fn overlay(&self) -> &[(Vec<u8>, Option<Vec<u8>>)] {
        &self.overlay
    }

    #[cfg(feature = "tower")]
    pub(super) const fn take_extensions(&mut self) -> Option<Extensions> {
        self.extensions.take()
    }

    fn overlaid(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let (_, value) = self.overlay.iter().find(|(set, _)| set == key)?;
        Some(value.as_deref())
    }

    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match self.overlay.iter_mut().find(|(set, _)| *set == key) {
            Some(entry) => entry.1 = value,
            None => self.overlay.push((key, value)),
        }
    }
}

/// Keys whose values are secrets, which a debug print does not show.
const SECRET: [&[u8]; 4] =
    [b"HTTP_AUTHORIZATION", b"HTTP_PROXY_AUTHORIZATION", b"HTTP_COOKIE", b"SSL_SESSION_ID"];

impl fmt::Debug for Environ<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        self.each(|key, value| {
            let value = if SECRET.contains(&key) { &b"(redacted)"[..] } else { value };
            map.entry(&format_args!("{}", key.escape_ascii()), &String::from_utf8_lossy(value));
        });
        map.finish()
    }
}
