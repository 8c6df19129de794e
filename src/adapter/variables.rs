//! The environ of a request inside httpd: httpd's own CGI variables, made when first asked for.

use std::cell::Cell;
use std::time::Duration;

use crate::gateway::GATEWAY_VERSION;
use crate::httpd::{Request, Table, mpm};

/// The facts about an exchange that are not in the request itself.
#[derive(Clone, Copy)]
pub(crate) struct ExchangeContext<'r> {
    /// The application's name.
    pub(crate) application: &'r str,
    /// The mount point, if an alias mounts the application.
    pub(crate) mount_point: Option<&'r str>,
    /// Whether Authorization is handed on as a CGI variable.
    pub(crate) pass_authorization: bool,
    /// Whether a HEAD is run as a GET, because a filter wants to see the body.
    pub(crate) head_as_get: bool,
    /// Whether files may go out by sendfile.
    pub(crate) sendfile: bool,
    /// Whether error statuses of the application's get the server's error documents.
    pub(crate) error_override: bool,
    /// The time that a response without a known end has once this process begins to end; `None` if
    /// it has any time.
    pub(crate) grace: Option<Duration>,
    /// Whether a client is served that sends no more, and may still read.
    pub(crate) serves_half_closed: bool,
}

/// A lazy view of a request as an environ.
pub(super) struct RequestVariables<'e, 'r> {
    request: &'e Request<'r>,
    facts: ExchangeContext<'r>,
    /// Whether content filters may change the request body: what the client said of its length does
    /// not hold for the application then.
    is_filtered: bool,
    /// Whether httpd has put the CGI variables into `subprocess_env`.
    built: Cell<bool>,
}

impl<'e, 'r> RequestVariables<'e, 'r> {
    pub(super) fn new(request: &'e Request<'r>, facts: ExchangeContext<'r>) -> Self {
        // Filters take themselves out of the chain: it is looked at before anything is read.
        let is_filtered = request.has_input_filter();
        Self { request, facts, is_filtered, built: Cell::new(false) }
    }

    pub(super) const fn facts(&self) -> &ExchangeContext<'r> {
        &self.facts
    }

    pub(super) const fn request(&self) -> &'e Request<'r> {
        self.request
    }

    /// Returns one value. The most frequent ones are taken from the request without making the
    /// others.
    pub(super) fn get(&self, key: &[u8]) -> Option<&'r [u8]> {
        let request = self.request;
        match key {
            b"REQUEST_METHOD" => return Some(self.method()),
            b"QUERY_STRING" => return Some(self.query_string()),
            b"SERVER_PROTOCOL" => return Some(request.protocol()),
            b"CONTENT_TYPE" => {
                return request.headers_in().get(c"Content-Type").or_else(|| self.late(key));
            }
            b"CONTENT_LENGTH" if self.is_filtered => return None,
            b"CONTENT_LENGTH" => {
                return request.headers_in().get(c"Content-Length").or_else(|| self.late(key));
            }
            b"SCRIPT_NAME" => return self.script_name(),
            b"PATH_INFO" => return self.path_info(),
            _ => {}
        }
        if let Some(rest) = key.strip_prefix(b"gateway.") {
            return self.gateway(rest);
        }
        if let Some(rest) = key.strip_prefix(b"mod_rust.") {
            return self.own(rest);
        }
        if key.starts_with(b"HTTP_")
            && let Some(found) = self.http(&key[5..])
        {
            return found;
        }
        self.table().get_exact(key)
    }

    pub(super) fn method(&self) -> &'r [u8] {
        if self.facts.head_as_get { b"GET" } else { self.request.method() }
    }

    pub(super) fn query_string(&self) -> &'r [u8] {
        self.request.args().unwrap_or_default()
    }

    pub(super) fn script_name(&self) -> Option<&'r [u8]> {
        if self.is_included() {
            return self.table().get_exact(b"SCRIPT_NAME");
        }
        Some(self.path_before_path_info())
    }

    pub(super) fn path_info(&self) -> Option<&'r [u8]> {
        if self.is_included() {
            return self.table().get_exact(b"PATH_INFO");
        }
        let path_info = self.request.path_info();
        if path_info.is_empty() { self.late(b"PATH_INFO") } else { Some(path_info) }
    }

    /// Visits all variables.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.each_of_table(visit);
        for key in GATEWAY_KEYS {
            if let Some(value) = self.gateway(key.as_bytes()) {
                visit(&[b"gateway.", key.as_bytes()].concat(), value);
            }
        }
        for key in OWN_KEYS {
            if let Some(value) = self.own(key.as_bytes()) {
                visit(&[b"mod_rust.", key.as_bytes()].concat(), value);
            }
        }
    }

    /// Visits the variables that go over the bridge: all but those about the process.
    pub(super) fn each_but_the_process(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.each_of_table(visit);
        for (name, key) in SENT_OF_GATEWAY {
            if let Some(value) = self.gateway(key) {
                visit(name, value);
            }
        }
        for (name, key) in SENT_OF_OWN {
            if let Some(value) = self.own(key) {
                visit(name, value);
            }
        }
    }

    /// Returns the value of a request header.
    pub(super) fn header(&self, name: &[u8]) -> Option<&'r [u8]> {
        if self.is_hidden(name) { None } else { self.request.headers_in().get_bytes(name) }
    }

    /// Visits every request header.
    pub(super) fn each_header(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.request.headers_in().each(|name, value| {
            if !self.is_hidden(name) {
                visit(name, value);
            }
        });
    }

    /// Returns whether the application is not to see a header: HTTP_IN needs it where it is.
    fn is_hidden(&self, name: &[u8]) -> bool {
        self.is_filtered && name.eq_ignore_ascii_case(b"content-length")
    }

    fn each_of_table(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.table().each(|key, value| match key {
            b"REQUEST_METHOD" => visit(key, self.method()),
            b"CONTENT_LENGTH" if self.is_filtered => {}
            _ => visit(key, value),
        });
    }

    /// httpd's CGI variables, in the request's environment.
    fn table(&self) -> Table<'r> {
        let table = self.request.subprocess_env();
        if !self.built.replace(true) {
            self.request.add_cgi_variables();
            let path_info = self.request.path_info();
            if path_info.windows(2).any(|two| two == b"//")
                && !self.is_included()
                && let Some(script_name) = self.request.uri().strip_suffix(path_info)
            {
                // `ap_find_path_info` knows no slashes in a row, which MergeSlashes Off leaves.
                table.set(self.request.pool(), c"SCRIPT_NAME", script_name);
            }
            if self.facts.pass_authorization
                && let Some(value) = self.request.headers_in().get(c"Authorization")
            {
                table.set(self.request.pool(), c"HTTP_AUTHORIZATION", value);
            }
        }
        table
    }

    /// Returns a variable that httpd leaves to the environment where the request does not say it.
    fn late(&self, key: &[u8]) -> Option<&'r [u8]> {
        self.request.subprocess_env().get_exact(key)
    }

    /// Subrequests of mod_include have a SCRIPT_NAME of their own (`ap_add_cgi_vars`).
    fn is_included(&self) -> bool {
        self.request.is_subrequest() && self.request.protocol() == b"INCLUDED"
    }

    /// Returns the path without PATH_INFO, as `ap_add_cgi_vars` does.
    fn path_before_path_info(&self) -> &'r [u8] {
        let (uri, path_info) = (self.request.uri(), self.request.path_info());
        if path_info.is_empty() {
            return uri;
        }
        match uri.strip_suffix(path_info) {
            // Slashes that were merged stay with neither, as in `ap_find_path_info`.
            Some(script_name) if !script_name.ends_with(b"/") => script_name,
            _ => self.table().get(c"SCRIPT_NAME").unwrap_or_default(),
        }
    }

    /// Returns a header by the rest of its variable's name; `None` when httpd has to be asked.
    fn http(&self, name: &[u8]) -> Option<Option<&'r [u8]>> {
        if self.built.get()
            || name == b"AUTHORIZATION"
            || name == b"PROXY_AUTHORIZATION"
            || name == b"PROXY"
        {
            return None;
        }
        let (mut found, mut count) = (None, 0);
        self.request.headers_in().each(|header, value| {
            if is_variable_of(name, header) {
                (found, count) = (Some(value), count + 1);
            }
        });
        match count {
            0 => Some(self.request.subprocess_env().get_exact(&[b"HTTP_", name].concat())),
            1 => Some(found),
            _ => None,
        }
    }

    fn gateway(&self, key: &[u8]) -> Option<&'r [u8]> {
        Some(match key {
            b"version" => GATEWAY_VERSION.as_bytes(),
            b"url_scheme" => self.request.scheme(),
            b"input_terminated" => b"1",
            b"multithread" => flag(mpm::is_threaded()),
            b"multiprocess" => flag(mpm::is_forked()),
            b"run_once" => b"0",
            _ => return None,
        })
    }

    /// Writes a number into the request's pool, without the allocator.
    fn decimal(&self, mut number: u64) -> &'r [u8] {
        let mut digits = [0; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return self.request.pool().bytes(&digits[start..]);
            }
        }
    }

    fn own(&self, key: &[u8]) -> Option<&'r [u8]> {
        Some(match key {
            b"version" => env!("CARGO_PKG_VERSION").as_bytes(),
            b"mode" => b"embedded",
            b"mpm" => mpm::name().as_bytes(),
            b"application" => self.facts.application.as_bytes(),
            b"process_group" => b"",
            b"mount_point" => {
                self.facts.mount_point.map_or_else(|| self.path_before_path_info(), str::as_bytes)
            }
            b"request_id" => self.request.log_id()?,
            b"request_start" => self.decimal(self.request.time_us().cast_unsigned()),
            b"pid" => self.decimal(std::process::id().into()),
            _ => return None,
        })
    }
}

/// The keys after `gateway.`.
const GATEWAY_KEYS: [&str; 6] =
    ["version", "url_scheme", "input_terminated", "multithread", "multiprocess", "run_once"];

/// The keys after `mod_rust.`.
const OWN_KEYS: [&str; 9] = [
    "version",
    "mode",
    "mpm",
    "application",
    "process_group",
    "mount_point",
    "request_id",
    "request_start",
    "pid",
];

/// The variables of the httpd child and the request when another process runs the application, in
/// full and behind the prefix.
const SENT_OF_GATEWAY: [(&[u8], &[u8]); 3] = [
    (b"gateway.version", b"version"),
    (b"gateway.url_scheme", b"url_scheme"),
    (b"gateway.input_terminated", b"input_terminated"),
];

/// The variables of mod_rust itself, in the same two spellings.
const SENT_OF_OWN: [(&[u8], &[u8]); 6] = [
    (b"mod_rust.version", b"version"),
    (b"mod_rust.mpm", b"mpm"),
    (b"mod_rust.application", b"application"),
    (b"mod_rust.mount_point", b"mount_point"),
    (b"mod_rust.request_id", b"request_id"),
    (b"mod_rust.request_start", b"request_start"),
];

const fn flag(on: bool) -> &'static [u8] {
    if on { b"1" } else { b"0" }
}

/// Returns whether the variable `HTTP_name` is made of this header (`http2env` in util_script.c).
/// Letters and digits become capitals, and `-` becomes `_`. A header with any other character makes
/// no variable.
fn is_variable_of(name: &[u8], header: &[u8]) -> bool {
    name.len() == header.len()
        && std::iter::zip(name, header).all(|(&name, &header)| match header {
            b'-' => name == b'_',
            _ => header.is_ascii_alphanumeric() && name == header.to_ascii_uppercase(),
        })
}
