//! The environ: a lazy view of the request as CGI meta-variables and gateway keys.

use std::fmt;

use http::Extensions;

use super::code::Level;
use super::errors::Errors;
use super::exchange::Exchange;
use super::input::Input;

/// The version of this contract, the value of `gateway.version`.
pub(crate) const GATEWAY_VERSION: &str = "1.0";

/// The environ of one request, with its input and its error stream.
///
/// Its keys are the meta-variables of CGI/1.1 (RFC 3875) as httpd makes them, httpd's
/// `subprocess_env`, and dotted gateway keys after PEP 3333. docs/environ.md lists them. Values are
/// bytes. A key costs nothing until it is read. The typed methods are cheaper than
/// [`get`](Self::get).
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

    /// Returns the value of `key`: `REQUEST_METHOD`, `HTTP_HOST`, `gateway.url_scheme`, …
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<&[u8]> {
        let key = key.as_ref();
        match self.overlaid(key) {
            Some(value) => value,
            None => self.exchange.get(key),
        }
    }

    /// Calls `visit` with every key and its value, in no particular order.
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

    /// Returns `REQUEST_METHOD`.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.typed("REQUEST_METHOD", |exchange| exchange.method())
    }

    /// Returns `SCRIPT_NAME`: the application's mount point, without a trailing slash.
    #[must_use]
    pub fn script_name(&self) -> &[u8] {
        self.typed("SCRIPT_NAME", |exchange| exchange.script_name())
    }

    /// Returns `PATH_INFO`: the decoded path below the mount point, empty or with a leading slash.
    #[must_use]
    pub fn path_info(&self) -> &[u8] {
        self.typed("PATH_INFO", |exchange| exchange.path_info())
    }

    /// Returns `QUERY_STRING`: the part after the `?`, not decoded.
    #[must_use]
    pub fn query_string(&self) -> &[u8] {
        self.typed("QUERY_STRING", |exchange| exchange.query_string())
    }

    /// Returns the target of the request line, not decoded.
    #[must_use]
    pub fn raw_target(&self) -> &[u8] {
        self.exchange.raw_target()
    }

    /// Returns the value of a request header. The case of `name` does not matter.
    ///
    /// Unlike the CGI variables, the headers include Authorization: the application is trusted like
    /// the server's own handlers.
    #[must_use]
    pub fn header(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.exchange.header(name.as_ref())
    }

    /// Calls `visit` with the name and the value of every request header, unchanged.
    pub fn each_header(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        self.exchange.each_header(&mut visit);
    }

    /// Returns the request body.
    pub const fn input(&mut self) -> &mut Input<'x> {
        &mut self.input
    }

    /// Takes the request body out of the environ, for use in the response body. The environ's input
    /// is empty afterwards.
    pub const fn take_input(&mut self) -> Input<'x> {
        std::mem::replace(&mut self.input, Input::empty())
    }

    /// Replaces the request body, for middleware that decodes, counts or replays it.
    pub fn set_input(&mut self, input: Input<'x>) {
        self.input = input;
    }

    /// Returns a stream into the ErrorLog.
    #[must_use]
    pub const fn errors(&self) -> Errors<'x> {
        Errors::new(self.exchange)
    }

    /// Writes one record to the ErrorLog, with this request's data.
    pub fn log(&self, level: Level, message: impl fmt::Display) {
        self.errors().log(level, message);
    }

    /// Sets a key, for the application inside a middleware.
    pub fn set(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.put(key.into(), Some(value.into()));
    }

    /// Removes a key.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.put(key.into(), None);
    }

    /// Moves the first segment of PATH_INFO to the end of SCRIPT_NAME and returns it. Returns
    /// `None` when no segment is left.
    ///
    /// An application that dispatches to others uses it, like `wsgiref.util.shift_path_info`.
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

    /// Returns the values of any type that middleware passes to the inner application.
    #[must_use]
    pub const fn extensions(&self) -> Option<&Extensions> {
        self.extensions.as_ref()
    }

    /// Returns the extensions for changes.
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

    #[cfg(feature = "tower")]
    pub(super) fn protocol(&self) -> &[u8] {
        self.typed("SERVER_PROTOCOL", |exchange| exchange.protocol())
    }

    /// Returns the value of `key`, which the exchange has a method for.
    fn typed(&self, key: &str, of: impl FnOnce(&'x dyn Exchange) -> &'x [u8]) -> &[u8] {
        match self.overlaid(key.as_bytes()) {
            Some(value) => value.unwrap_or_default(),
            None => of(self.exchange),
        }
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

/// Keys with secret values, which the debug output hides.
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
