//! The environ of a request: what the httpd child sent, and what the process itself knows better.

use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use crate::gateway::{GATEWAY_VERSION, SharedVariables};
use crate::process_group::GroupOptions;
use crate::protocol::bridge::{FrameLimits, Peer, RequestHead, split};

/// The facts of the process that stand in every environ.
#[derive(Clone, Debug)]
pub(super) struct ProcessVariables {
    group: Vec<u8>,
    pid: Vec<u8>,
    multithread: bool,
    multiprocess: bool,
    run_once: bool,
}

impl ProcessVariables {
    pub(super) fn new(options: &GroupOptions) -> Self {
        Self {
            group: options.name.clone().into_bytes(),
            pid: std::process::id().to_string().into_bytes(),
            multithread: options.threads > 1,
            multiprocess: options.multiprocess,
            run_once: options.threads == 1 && options.maximum_requests == Some(1),
        }
    }
}

/// When a request came how far, in microseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// The httpd child sent it.
    pub(super) queue_start: u64,
    /// A thread of the process took it up.
    pub(super) daemon_start: u64,
    /// The application was called.
    pub(super) application_start: u64,
}

/// The keys that the process answers itself, whatever came.
const OWN: [&[u8]; 13] = [
    b"gateway.version",
    b"gateway.input_terminated",
    b"gateway.multithread",
    b"gateway.multiprocess",
    b"gateway.run_once",
    b"mod_rust.version",
    b"mod_rust.mode",
    b"mod_rust.process_group",
    b"mod_rust.pid",
    b"mod_rust.request_start",
    b"mod_rust.queue_start",
    b"mod_rust.daemon_start",
    b"mod_rust.application_start",
];

/// A view of a REQUEST as an environ.
#[derive(Debug)]
pub(super) struct BridgeEnviron<'e> {
    head: RequestHead<'e>,
    /// The whole REQUEST.
    frame: &'e [u8],
    facts: &'e Arc<ProcessVariables>,
    times: Times,
    /// The numbers of `times`, and the time at which httpd got the request, as text, once they are
    /// asked for.
    texts: [OnceCell<String>; 4],
}

impl<'e> BridgeEnviron<'e> {
    pub(super) const fn new(
        head: RequestHead<'e>,
        frame: &'e [u8],
        facts: &'e Arc<ProcessVariables>,
        times: Times,
    ) -> Self {
        Self { head, frame, facts, times, texts: [const { OnceCell::new() }; 4] }
    }

    pub(super) const fn head(&self) -> &RequestHead<'e> {
        &self.head
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        if is_own(key) {
            return Some(self.own(key));
        }
        self.head.variables.get(key)
    }

    pub(super) fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for (key, value) in &self.head.variables {
            if !is_own(key) {
                visit(key, value);
            }
        }
        for key in OWN {
            visit(key, self.own(key));
        }
    }

    /// Makes a copy that outlives the visit.
    pub(super) fn keep(&self) -> KeptRequest {
        KeptRequest { frame: self.frame.into(), facts: self.facts.clone(), times: self.times }
    }

    fn own(&self, key: &[u8]) -> &[u8] {
        let ProcessVariables { group, pid, multithread, multiprocess, run_once } = &**self.facts;
        match key {
            b"gateway.version" => GATEWAY_VERSION.as_bytes(),
            b"gateway.input_terminated" => b"1",
            b"gateway.multithread" => flag(*multithread),
            b"gateway.multiprocess" => flag(*multiprocess),
            b"gateway.run_once" => flag(*run_once),
            b"mod_rust.version" => env!("CARGO_PKG_VERSION").as_bytes(),
            b"mod_rust.mode" => b"daemon",
            b"mod_rust.process_group" => group,
            b"mod_rust.pid" => pid,
            b"mod_rust.request_start" => self.text(3, self.head.facts.start_us),
            b"mod_rust.queue_start" => self.text(0, self.times.queue_start),
            b"mod_rust.daemon_start" => self.text(1, self.times.daemon_start),
            _ => self.text(2, self.times.application_start),
        }
    }

    fn text(&self, index: usize, time_us: u64) -> &[u8] {
        self.texts[index].get_or_init(|| time_us.to_string()).as_bytes()
    }
}

fn is_own(key: &[u8]) -> bool {
    // Most keys are in capitals.
    key.first().is_some_and(u8::is_ascii_lowercase) && OWN.contains(&key)
}

const fn flag(on: bool) -> &'static [u8] {
    if on { b"1" } else { b"0" }
}

/// A copy of a REQUEST that outlives its visit, for the next one and for other threads.
///
/// Looks up a variable when another thread asks for it.
pub(super) struct KeptRequest {
    frame: Box<[u8]>,
    facts: Arc<ProcessVariables>,
    times: Times,
}

impl KeptRequest {
    /// Returns the view of it.
    pub(super) fn environ(&self) -> Option<BridgeEnviron<'_>> {
        let frame = split(&self.frame, Peer::Child, &FrameLimits::default()).ok()??;
        let head = RequestHead::decode(&frame).ok()?;
        Some(BridgeEnviron::new(head, &self.frame, &self.facts, self.times))
    }
}

impl SharedVariables for KeptRequest {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.environ()?.get(key).map(<[u8]>::to_vec)
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        if let Some(environ) = self.environ() {
            environ.each(visit);
        }
    }
}

/// The debug output has no values, because some are secret.
impl fmt::Debug for KeptRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptRequest").field("bytes", &self.frame.len()).finish_non_exhaustive()
    }
}
