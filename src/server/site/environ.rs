//! The environ of a request: what the server sent, as it sent it, and what the process itself
//! knows.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::mounts::{Mounted, NOBODY};
use super::path;
use super::process_info::{Mode, ProcessInfo};
use crate::gateway::{GATEWAY_VERSION, SharedVariables, percent};
use crate::os::wall_us;
use crate::protocol::params::Params;

/// A view of a request's variables as an environ.
pub(crate) struct SiteEnviron<'e> {
    params: &'e Params,
    facts: &'e ProcessInfo,
    mode: Mode,
    application: &'e str,
    path: Cow<'e, [u8]>,
    /// The start of PATH_INFO.
    split: usize,
    start_us: u64,
    start: OnceCell<String>,
    id: OnceCell<String>,
    target: OnceCell<Vec<u8>>,
}

/// The start of a request and the id that it was given: what its variables do not tell.
pub(super) type EnvironState = (u64, OnceCell<String>);

/// The keys that the process answers itself, whatever came.
const OWN: [&[u8]; 13] = [
    b"gateway.version",
    b"gateway.url_scheme",
    b"gateway.input_terminated",
    b"gateway.multithread",
    b"gateway.multiprocess",
    b"gateway.run_once",
    b"mod_rust.version",
    b"mod_rust.mode",
    b"mod_rust.application",
    b"mod_rust.mount_point",
    b"mod_rust.request_id",
    b"mod_rust.request_start",
    b"mod_rust.pid",
];

/// Keys that servers send empty for "not there": in httpd's own environ they are absent then.
const ABSENT_IF_EMPTY: [&[u8]; 9] = [
    b"AUTH_TYPE",
    b"CONTENT_LENGTH",
    b"CONTENT_TYPE",
    b"HTTPS",
    b"PATH_INFO",
    b"PATH_TRANSLATED",
    b"REMOTE_HOST",
    b"REMOTE_IDENT",
    b"REMOTE_USER",
];

impl<'e> SiteEnviron<'e> {
    /// The environ of the request that `params` describe; `mounted` is what [`Self::locate`] found
    /// with its path.
    pub(super) fn new(
        params: &'e Params,
        facts: &'e ProcessInfo,
        mode: Mode,
        (path, base): (Cow<'e, [u8]>, usize),
        mounted: Mounted<'e>,
    ) -> Self {
        Self {
            params,
            facts,
            mode,
            application: mounted.name,
            path,
            split: base + mounted.length,
            start_us: wall_us(),
            start: OnceCell::new(),
            id: OnceCell::new(),
            target: OnceCell::new(),
        }
    }

    /// Sets the time at which the request was here, in microseconds since 1970.
    pub(super) fn begun_at(self, start_us: u64) -> Self {
        Self { start_us, ..self }
    }

    /// Goes on with an environ from a visit before: with its start and its id.
    pub(super) fn since(self, (start_us, id): EnvironState) -> Self {
        Self { start_us, id, ..self }
    }

    /// Returns the state for the next visit.
    pub(super) fn state(&self) -> EnvironState {
        (self.start_us, self.id.clone())
    }

    /// The decoded path of a request, and how much of it is before any mount: the place where the
    /// web server has this program.
    pub(super) fn locate(
        params: &'e Params,
        facts: &ProcessInfo,
        mode: Mode,
    ) -> (Cow<'e, [u8]>, usize) {
        path::of(params, facts, mode)
    }

    /// Returns the whole decoded path.
    #[must_use]
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Returns the application's name.
    #[must_use]
    pub(crate) const fn application(&self) -> &'e str {
        self.application
    }

    /// Returns the protocol that the request came by.
    #[must_use]
    pub(crate) const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the bytes that the server sent.
    #[must_use]
    pub(crate) const fn params(&self) -> &'e Params {
        self.params
    }

    /// Returns the time at which the request was here, in microseconds since 1970.
    #[must_use]
    pub(crate) const fn start_us(&self) -> u64 {
        self.start_us
    }

    /// Works like [`Variables::get`](crate::gateway::Variables::get).
    #[must_use]
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        match key {
            b"SCRIPT_NAME" => Some(&self.path[..self.split]),
            b"PATH_INFO" => Some(&self.path[self.split..]).filter(|path| !path.is_empty()),
            b"HTTP_PROXY" => None,
            b"GATEWAY_INTERFACE" => Some(self.params.get(key).unwrap_or(b"CGI/1.1")),
            b"QUERY_STRING" => Some(self.params.get(key).unwrap_or_default()),
            key if is_own(key) => Some(self.own(key)),
            key => self.params.get(key).filter(|value| self.is_said(key, value)),
        }
    }

    /// Works like [`Variables::each`](crate::gateway::Variables::each).
    pub(crate) fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        const MADE: [&[u8]; 4] =
            [b"SCRIPT_NAME", b"PATH_INFO", b"GATEWAY_INTERFACE", b"QUERY_STRING"];
        for (key, value) in self.params.iter() {
            let other = !MADE.contains(&key) && key != b"HTTP_PROXY" && !is_own(key);
            if other && self.is_said(key, value) {
                visit(key, value);
            }
        }
        for key in MADE.into_iter().chain(OWN) {
            if let Some(value) = self.get(key) {
                visit(key, value);
            }
        }
    }

    /// Returns a request header by its name, in any case.
    #[must_use]
    pub(crate) fn header(&self, name: &[u8]) -> Option<&[u8]> {
        // Names of other characters have no variable, and must not pass for one that has.
        if !name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return None;
        }
        if name.eq_ignore_ascii_case(b"content-type") {
            return self.get(b"CONTENT_TYPE");
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            return self.get(b"CONTENT_LENGTH");
        }
        const PREFIX: &[u8] = b"HTTP_";
        let mut short = [0_u8; 64];
        let length = PREFIX.len() + name.len();
        let mut long = Vec::new();
        let key = if length <= short.len() {
            &mut short[..length]
        } else {
            long.resize(length, 0);
            &mut long[..]
        };
        key[..PREFIX.len()].copy_from_slice(PREFIX);
        for (to, &byte) in key[PREFIX.len()..].iter_mut().zip(name) {
            *to = if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
        }
        self.get(key)
    }

    /// Calls `f` with each request header, by names such as `User-Agent`: the original spelling is
    /// lost.
    pub(crate) fn each_header(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        let mut name = Vec::with_capacity(32);
        for (key, value) in self.params.iter() {
            let rest = match key {
                b"HTTP_PROXY" | b"HTTP_CONTENT_TYPE" | b"HTTP_CONTENT_LENGTH" => continue,
                b"CONTENT_TYPE" | b"CONTENT_LENGTH" if self.is_said(key, value) => key,
                key => match key.strip_prefix(b"HTTP_") {
                    Some(rest) if !rest.is_empty() => rest,
                    _ => continue,
                },
            };
            name.clear();
            let mut first = true;
            for &byte in rest {
                let lower = byte.to_ascii_lowercase();
                name.push(match byte {
                    b'_' => b'-',
                    _ if first => byte,
                    _ => lower,
                });
                first = byte == b'_';
            }
            visit(&name, value);
        }
    }

    /// Returns about the number of request headers.
    #[must_use]
    pub(crate) fn header_count(&self) -> usize {
        self.params.iter().filter(|(key, _)| key.starts_with(b"HTTP_")).count() + 2
    }

    /// Returns the request's target, made of the path and the query where the server sends none.
    #[must_use]
    pub(crate) fn raw_target(&self) -> &[u8] {
        if let Some(target) = self.params.get(b"REQUEST_URI").filter(|target| !target.is_empty()) {
            return target;
        }
        self.target.get_or_init(|| {
            let mut target = Vec::with_capacity(self.path.len());
            percent::encode(&self.path, percent::PATH, &mut target);
            if let Some(query) = self.params.get(b"QUERY_STRING").filter(|query| !query.is_empty())
            {
                target.push(b'?');
                target.extend_from_slice(query);
            }
            target
        })
    }

    /// Returns a copy that outlives the request. It has the `shared` params, if they are these.
    #[must_use]
    pub(super) fn freeze(&self, shared: Option<Arc<Params>>) -> Frozen {
        let shared = shared.filter(|shared| std::ptr::eq(&raw const **shared, self.params));
        // The request and its copy have the same id.
        let _ = self.id();
        Frozen {
            params: shared.unwrap_or_else(|| Arc::new(self.params.clone())),
            facts: self.facts.clone(),
            mode: self.mode,
            application: self.application.into(),
            split: self.split,
            start_us: self.start_us,
            id: self.id.get().cloned(),
        }
    }

    /// Returns the request's id: mod_unique_id's where it was sent, else one that is unlike any
    /// other.
    #[must_use]
    pub(crate) fn id(&self) -> &[u8] {
        if let Some(id) = self.params.get(b"UNIQUE_ID").filter(|id| !id.is_empty()) {
            return id;
        }
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let make = || {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            format!("{:x}-{}-{number:x}", self.start_us, self.facts.pid)
        };
        self.id.get_or_init(make).as_bytes()
    }

    /// Whether a variable says anything, or only that there is nothing to say.
    fn is_said(&self, key: &[u8], value: &[u8]) -> bool {
        if value.is_empty() {
            return !ABSENT_IF_EMPTY.contains(&key);
        }
        // SCGI's head must have a length. A GET that says 0 itself is hardly there.
        let is_forced = self.mode == Mode::Scgi && key == b"CONTENT_LENGTH" && value == b"0";
        let method = || self.params.get(b"REQUEST_METHOD").unwrap_or_default();
        !(is_forced && matches!(method(), b"GET" | b"HEAD" | b"OPTIONS" | b"DELETE"))
    }

    fn own(&self, key: &[u8]) -> &[u8] {
        match key {
            b"gateway.version" => GATEWAY_VERSION.as_bytes(),
            b"gateway.url_scheme" => self.scheme(),
            b"gateway.input_terminated" => b"1",
            b"gateway.multithread" => flag(self.facts.multithread),
            b"gateway.multiprocess" => flag(self.facts.multiprocess),
            b"gateway.run_once" => flag(self.facts.run_once),
            b"mod_rust.version" => env!("CARGO_PKG_VERSION").as_bytes(),
            b"mod_rust.mode" => self.mode.name().as_bytes(),
            b"mod_rust.application" => self.application.as_bytes(),
            b"mod_rust.mount_point" => &self.path[..self.split],
            b"mod_rust.request_id" => self.id(),
            b"mod_rust.request_start" => {
                self.start.get_or_init(|| self.start_us.to_string()).as_bytes()
            }
            _ => self.facts.pid.as_bytes(),
        }
    }

    fn scheme(&self) -> &[u8] {
        match self.params.get(b"HTTPS") {
            Some(on) if on.eq_ignore_ascii_case(b"on") || on == b"1" => b"https",
            _ => match self.params.get(b"REQUEST_SCHEME") {
                Some(scheme) if scheme.eq_ignore_ascii_case(b"https") => b"https",
                _ => b"http",
            },
        }
    }
}

fn is_own(key: &[u8]) -> bool {
    // Most keys are in capitals. No server's variable passes for one of the gateway's.
    key.first().is_some_and(u8::is_ascii_lowercase) && OWN.contains(&key)
}

const fn flag(on: bool) -> &'static [u8] {
    if on { b"1" } else { b"0" }
}

impl fmt::Debug for SiteEnviron<'_> {
    /// Without the values: there are credentials among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environ")
            .field("mode", &self.mode)
            .field("application", &self.application)
            .finish_non_exhaustive()
    }
}

/// The environ for what outlives the request: a service's, in whatever thread it is by then.
pub(crate) struct Frozen {
    params: Arc<Params>,
    facts: ProcessInfo,
    mode: Mode,
    application: Box<str>,
    split: usize,
    start_us: u64,
    /// The id that the request was given, if it came without one.
    id: Option<String>,
}

impl Frozen {
    fn environ(&self) -> SiteEnviron<'_> {
        let (path, base) = SiteEnviron::locate(&self.params, &self.facts, self.mode);
        let length = self.split.saturating_sub(base);
        let mounted = Mounted { name: &self.application, length, ..NOBODY };
        let id = self.id.clone().map_or_else(OnceCell::new, OnceCell::from);
        SiteEnviron::new(&self.params, &self.facts, self.mode, (path, base), mounted)
            .since((self.start_us, id))
    }
}

impl SharedVariables for Frozen {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.environ().get(key).map(<[u8]>::to_vec)
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.environ().each(visit);
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "environ_tests.rs"]
mod tests;
