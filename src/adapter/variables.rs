//! The environ of a request inside httpd: httpd's own CGI variables, made when they are asked for.

use std::cell::Cell;
use std::ffi::CStr;
use std::time::Duration;

use crate::gateway::GATEWAY_VERSION;
use crate::httpd::{CGI_VARIABLES, CgiVariable, HeaderVariable, INHERITED, Request, Table, mpm};

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
        self.get_one(key).unwrap_or_else(|| self.table().get_exact(key))
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
        Some(self.request.script_name())
    }

    pub(super) fn path_info(&self) -> Option<&'r [u8]> {
        if self.is_included() {
            return self.table().get_exact(b"PATH_INFO");
        }
        let path_info = self.request.path_info();
        if path_info.is_empty() { self.late(b"PATH_INFO") } else { Some(path_info) }
    }

    /// Returns a variable of httpd's without making the others; `None` when httpd has to be asked.
    fn get_one(&self, key: &[u8]) -> Option<Option<&'r [u8]>> {
        let is_made = key.starts_with(b"HTTP_") || is_inherited(key);
        if self.built.get() || is_made || !self.request.has_plain_variables() {
            return None;
        }
        let set = self.set(key)?;
        let variable = CGI_VARIABLES.iter().find(|variable| variable.name == key);
        Some(variable.and_then(|variable| variable.of(self.request)).or(set))
    }

    /// Returns what directives and modules have set; `None` if httpd decides, between several
    /// or because another spelling takes the name's place.
    fn set(&self, key: &[u8]) -> Option<Option<&'r [u8]>> {
        let (mut found, mut is_plain) = (None, true);
        self.request.subprocess_env().each(|name, value| {
            if name.eq_ignore_ascii_case(key) {
                is_plain &= found.is_none() && name == key;
                found = Some(value);
            }
        });
        is_plain.then_some(found)
    }

    /// Visits all variables.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.each_of_httpd(visit);
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

    /// Visits the variables that go over the bridge: all but those that the process knows.
    pub(super) fn each_but_the_process(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.each_of_httpd(visit);
        visit(b"gateway.url_scheme", self.request.scheme());
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

    /// Visits httpd's variables: those of the request, and those that directives and modules have set.
    fn each_of_httpd(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        if !self.built.get() && self.request.has_plain_variables() && self.each_of_request(visit) {
            return;
        }
        self.table().each(|key, value| match key {
            b"REQUEST_METHOD" => visit(key, self.method()),
            b"CONTENT_LENGTH" if self.is_filtered => {}
            _ => visit(key, value),
        });
    }

    /// Visits what is in [`table`](Self::table), without making it. Returns `false`, and has visited
    /// nothing, if the environment has many variables, or some that the request's take the place of
    /// under another spelling.
    fn each_of_request(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> bool {
        let request = self.request;
        let mut room = [(&[][..], &[][..]); MOST_SET];
        let Some(count) = request.subprocess_env().distinct(&mut room) else { return false };
        let set = &room[..count];
        let is_apart = |(name, _): &(&[u8], &[u8])| is_apart(name);
        if !set.is_empty() && (!set.iter().all(is_apart) || !self.has_distinct()) {
            return false;
        }
        self.each_of_headers(visit);
        request.each_inherited(&mut *visit);
        for variable in CGI_VARIABLES {
            let value = match variable.name {
                b"REQUEST_METHOD" => Some(self.method()),
                _ => variable.of(request),
            };
            if let Some(value) = value.or_else(|| find(set, variable.name)) {
                visit(variable.name, value);
            }
        }
        for &(name, value) in set {
            if !is_of_request(name) {
                visit(name, value);
            }
        }
        true
    }

    /// Visits the variables of headers, as `ap_add_common_vars` makes them.
    fn each_of_headers(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let passes = self.request.passes_authorization();
        let mut variable = Vec::with_capacity(64);
        self.request.headers_in().each(|name, value| {
            match HeaderVariable::of(name) {
                HeaderVariable::ContentType => return visit(b"CONTENT_TYPE", value),
                HeaderVariable::ContentLength if self.is_filtered => return,
                HeaderVariable::ContentLength => return visit(b"CONTENT_LENGTH", value),
                HeaderVariable::Authorization if passes || self.facts.pass_authorization => {}
                HeaderVariable::ProxyAuthorization if passes => {}
                HeaderVariable::Http => {}
                _ => return,
            }
            variable.clear();
            variable.extend_from_slice(b"HTTP_");
            variable.extend(name.iter().map(|byte| match byte {
                b'-' => b'_',
                byte => byte.to_ascii_uppercase(),
            }));
            visit(&variable, value);
        });
    }

    /// Returns whether no header has come twice.
    fn has_distinct(&self) -> bool {
        let mut room = [(&[][..], &[][..]); MOST_HEADERS];
        self.request.headers_in().distinct(&mut room).is_some()
    }

    /// httpd's CGI variables, in the request's environment.
    fn table(&self) -> Table<'r> {
        let table = self.request.subprocess_env();
        if !self.built.replace(true) {
            self.request.add_cgi_variables();
            if !self.is_included() {
                // `ap_find_path_info` knows no slashes in a row, which MergeSlashes Off leaves.
                table.set(self.request.pool(), c"SCRIPT_NAME", self.request.script_name());
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

    /// Returns a header by the rest of its variable's name; `None` when httpd has to be asked.
    fn http(&self, name: &[u8]) -> Option<Option<&'r [u8]>> {
        if self.built.get()
            || name == b"AUTHORIZATION"
            || name == b"PROXY_AUTHORIZATION"
            || name == b"PROXY"
        {
            return None;
        }
        let is_set = !self.request.subprocess_env().is_empty();
        let set = if is_set { self.set(&[b"HTTP_", name].concat())? } else { None };
        let (mut found, mut count) = (None, 0);
        self.request.headers_in().each(|header, value| {
            if is_variable_of(name, header) {
                (found, count) = (Some(value), count + 1);
            }
        });
        (count < 2).then_some(found.or(set))
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

    fn own(&self, key: &[u8]) -> Option<&'r [u8]> {
        Some(match key {
            b"version" => env!("CARGO_PKG_VERSION").as_bytes(),
            b"mode" => b"embedded",
            b"mpm" => mpm::name().as_bytes(),
            b"application" => self.facts.application.as_bytes(),
            b"process_group" => b"",
            b"mount_point" => {
                self.facts.mount_point.map_or_else(|| self.request.script_name(), str::as_bytes)
            }
            b"request_id" => self.request.log_id()?,
            b"request_start" => self.request.decimal(self.request.time_us().cast_unsigned()),
            b"pid" => self.request.decimal(std::process::id().into()),
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

/// The variables of mod_rust that only the httpd child knows, in full and behind the prefix.
const SENT_OF_OWN: [(&[u8], &[u8]); 4] = [
    (b"mod_rust.mpm", b"mpm"),
    (b"mod_rust.application", b"application"),
    (b"mod_rust.mount_point", b"mount_point"),
    (b"mod_rust.request_id", b"request_id"),
];

/// The most variables in the environment that are told from those of the request one by one.
const MOST_SET: usize = 32;

/// The same for headers.
const MOST_HEADERS: usize = 64;

/// Returns whether a variable of the environment has nothing to do with those of the request, or the
/// very name of one.
fn is_apart(name: &[u8]) -> bool {
    let of_header = [&b"HTTP_"[..], b"CONTENT_TYPE", b"CONTENT_LENGTH"];
    let starts = |prefix: &[u8]| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    !of_header.iter().any(|prefix| starts(prefix))
        && CGI_VARIABLES
            .iter()
            .map(|CgiVariable { name, .. }| *name)
            .chain(INHERITED.map(CStr::to_bytes))
            .all(|other| {
                name.len() != other.len() || name == other || !name.eq_ignore_ascii_case(other)
            })
}

/// Returns whether the request has a variable of this name, or may have.
fn is_of_request(name: &[u8]) -> bool {
    CGI_VARIABLES.iter().any(|variable| variable.name == name) || is_inherited(name)
}

fn is_inherited(name: &[u8]) -> bool {
    INHERITED.iter().any(|other| other.to_bytes() == name)
}

fn find<'r>(set: &[(&'r [u8], &'r [u8])], name: &[u8]) -> Option<&'r [u8]> {
    set.iter().find_map(|(other, value)| (*other == name).then_some(*value))
}

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
