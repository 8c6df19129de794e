//! A load of many clients that checks each request.
//!
//! Clients keep their connections for a while, as browsers and proxies do, and open new ones. Some
//! failures are allowed on a reused connection, but not on a new one.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use httpd_testkit::{
    BodyEnd, ClientError, ClientErrorKind, Connection, Response, Server, WebServer,
};

/// The server that the clients use, with any backend.
pub(crate) trait Front: Sync {
    /// Returns its address.
    fn addr(&self) -> SocketAddr;
    /// Returns the longest wait of a client for the next byte.
    fn patience(&self) -> Duration;
    /// Waits until `probe` is true, and fails the test when that takes too long.
    fn wait_for(&self, what: &str, probe: &mut dyn FnMut() -> bool);
}

impl Front for Server {
    fn addr(&self) -> SocketAddr {
        Self::addr(self)
    }

    fn patience(&self) -> Duration {
        Self::patience(self)
    }

    fn wait_for(&self, what: &str, probe: &mut dyn FnMut() -> bool) {
        Self::wait_for(self, what, probe);
    }
}

impl Front for WebServer {
    fn addr(&self) -> SocketAddr {
        Self::addr(self)
    }

    fn patience(&self) -> Duration {
        Self::patience(self)
    }

    fn wait_for(&self, what: &str, probe: &mut dyn FnMut() -> bool) {
        Self::wait_for(self, what, probe);
    }
}

/// One kind of request, and what its whole answer is.
pub(crate) struct Target {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// The request's body: so many pieces of so many bytes, and how it is sent.
    pub(crate) body: Option<Upload>,
    pub(crate) answer: fn(&Response) -> bool,
    /// Statuses by which the server may say that it could not be answered.
    pub(crate) allowed: &'static [u16],
}

/// A request body in pieces, with a pause between them that keeps it on its way for a while.
pub(crate) struct Upload {
    pub(crate) pieces: usize,
    pub(crate) size: usize,
    pub(crate) pause: Duration,
}

/// The result of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// The whole, right answer.
    Answered,
    /// On a connection that had been used before, not one byte came back: the server closed it
    /// between two requests, as it may at any time (RFC 9112, 9.3.1), and the client asks again.
    ClosedBetween,
    /// The same on a new connection, or without a connection.
    Refused,
    /// An error page with a status that the target allows.
    Failed,
    /// An answer that shows that it is not whole.
    Cut,
    /// An answer that looks whole and is not what was asked for.
    Wrong,
    /// Nothing came for a long time.
    Hung,
}

/// The number of requests for each fate, and details of the unanswered ones.
#[derive(Default)]
pub(crate) struct Tally {
    counts: BTreeMap<(&'static str, Fate), u64>,
    seen: Vec<String>,
}

impl Tally {
    /// Returns the number of requests with this fate, of all targets.
    pub(crate) fn count(&self, fate: Fate) -> u64 {
        self.counts.iter().filter(|((_, of), _)| *of == fate).map(|(_, count)| count).sum()
    }

    /// Returns the number of answered requests for `path`.
    pub(crate) fn answered(&self, path: &str) -> u64 {
        self.count_of(path, Fate::Answered)
    }

    /// Returns the number of requests for `path` with this fate.
    pub(crate) fn count_of(&self, path: &str, fate: Fate) -> u64 {
        let is_meant = |((of, had), _): &(&(&str, Fate), &u64)| *of == path && *had == fate;
        self.counts.iter().filter(is_meant).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((path, fate), count) in &self.counts {
            writeln!(f, "{count:8} {fate:?} {path}")?;
        }
        self.seen.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// The load while it runs.
pub(crate) struct Load<'l> {
    front: &'l dyn Front,
    targets: &'l [Target],
    over: AtomicBool,
    answered: AtomicU64,
    tally: Mutex<Tally>,
}

impl<'l> Load<'l> {
    /// Runs `clients` clients until `meanwhile` is done, and says what became of their requests.
    pub(crate) fn run(
        front: &'l dyn Front,
        targets: &'l [Target],
        clients: usize,
        meanwhile: impl FnOnce(&Self),
    ) -> Tally {
        let load = Self {
            front,
            targets,
            over: AtomicBool::new(false),
            answered: AtomicU64::new(0),
            tally: Mutex::default(),
        };
        std::thread::scope(|scope| {
            /// Ends the clients also where `meanwhile` panics.
            struct End<'e>(&'e AtomicBool);
            impl Drop for End<'_> {
                fn drop(&mut self) {
                    self.0.store(true, Ordering::Relaxed);
                }
            }
            for client in 0..clients {
                let load = &load;
                scope.spawn(move || load.client(client));
            }
            let _end = End(&load.over);
            meanwhile(&load);
        });
        load.tally.into_inner().expect("no client has panicked")
    }

    /// Waits until `count` more requests have been answered.
    pub(crate) fn wait_for_answers(&self, count: u64) {
        let before = self.answered.load(Ordering::Relaxed);
        let mut are_there = || self.answered.load(Ordering::Relaxed) >= before + count;
        self.front.wait_for("more answers", &mut are_there);
    }

    fn client(&self, number: usize) {
        let mut kept: Option<Connection> = None;
        for (round, target) in (number..).zip(self.targets.iter().cycle().skip(number)) {
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let (mut fate, mut seen) = self.ask(&mut kept, target);
            if fate == Fate::ClosedBetween {
                self.note(target, fate, None);
                // Asked again, on a new connection: that must go well.
                (fate, seen) = self.ask(&mut kept, target);
            }
            self.note(target, fate, seen);
            if fate == Fate::Refused {
                // The server is down at the moment: a pause saves useless attempts.
                std::thread::sleep(Duration::from_millis(20));
            }
            // Clients open a new connection now and then, also without need.
            if round % 7 == 0 {
                kept = None;
            }
        }
    }

    fn note(&self, target: &Target, fate: Fate, seen: Option<String>) {
        if fate == Fate::Answered {
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
        let mut tally = self.tally.lock().expect("no client has panicked");
        *tally.counts.entry((target.path, fate)).or_default() += 1;
        if tally.seen.len() < 30 {
            tally
                .seen
                .extend(seen.map(|seen| format!("{} {}: {seen}", target.method, target.path)));
        }
    }

    /// Sends one request, on the kept connection or a new one, which is kept if possible.
    fn ask(&self, kept: &mut Option<Connection>, target: &Target) -> (Fate, Option<String>) {
        let is_new = kept.is_none();
        let connection = match kept.take() {
            Some(connection) => Ok(connection),
            None => Connection::try_open(self.front.addr(), self.front.patience()),
        };
        let mut connection = match connection {
            Ok(connection) => connection,
            Err(error) => return (Fate::Refused, Some(error.to_string())),
        };
        match Self::exchange(&mut connection, target) {
            Ok(response) if response.end.is_truncated() => {
                (Fate::Cut, Some(format!("{:?}", response.end)))
            }
            Ok(response) if response.status == 200 && (target.answer)(&response) => {
                if response.header("connection").is_none() && response.end != BodyEnd::Close {
                    *kept = Some(connection);
                }
                (Fate::Answered, None)
            }
            Ok(response) if target.allowed.contains(&response.status) => {
                (Fate::Failed, Some(format!("{}", response.status)))
            }
            Ok(response) => (Fate::Wrong, Some(format!("{response:?}"))),
            Err(error) => {
                let fate = match error.kind() {
                    ClientErrorKind::Closed if !is_new => Fate::ClosedBetween,
                    ClientErrorKind::Closed => Fate::Refused,
                    ClientErrorKind::Truncated => Fate::Cut,
                    ClientErrorKind::Timeout => Fate::Hung,
                    _ => Fate::Wrong,
                };
                (fate, Some(error.to_string()))
            }
        }
    }

    fn exchange(connection: &mut Connection, target: &Target) -> Result<Response, ClientError> {
        let request = connection.request(target.method, target.path);
        match &target.body {
            None => request.try_send(),
            Some(Upload { pieces, size, pause }) => {
                let pieces = (0..*pieces).map(move |piece| {
                    if piece > 0 {
                        std::thread::sleep(*pause);
                    }
                    vec![b'u'; *size]
                });
                request.chunks(pieces).try_send()
            }
        }
    }
}
