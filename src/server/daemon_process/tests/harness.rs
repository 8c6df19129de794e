//! A process group whose processes are threads: what httpd's parent does, in small.

use std::io::{PipeWriter, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Peer;
use crate::gateway::{Application, Error, Level, Result};
use crate::os::{self, Epoll, Event, Ready, Trigger, monotonic_us};
use crate::process_group::{GroupOptions, ProcessState, Reason, Scoreboard};
use crate::protocol::bridge::{Pairs, TOKEN};
use crate::server::daemon_process::{Applications, BuildFn, Daemon, Ended, run};

/// Nothing takes as long as this, unless it hangs.
pub(super) const LONG: Duration = Duration::from_secs(30);

pub(super) const GROUP_TOKEN: [u8; TOKEN] = *b"sixteen bytes 16";

type Apps = Vec<Arc<dyn Application>>;

/// The log's lines, and who waits for one.
#[derive(Default)]
struct Log {
    lines: Mutex<Vec<(Level, String)>>,
    more: Condvar,
}

/// A process group.
pub(super) struct TestProcess {
    pub(super) options: GroupOptions,
    pub(super) board: Scoreboard,
    listeners: Vec<UnixListener>,
    pub(super) folder: PathBuf,
    lifeline: Option<(std::io::PipeReader, PipeWriter)>,
    pub(super) doorbell: Event,
    bell: Epoll,
    log: Arc<Log>,
    apps: Arc<Apps>,
    pub(super) uids: (Vec<u32>, Vec<u32>),
    pub(super) abandoned: Arc<(Mutex<Option<Reason>>, Condvar)>,
}

/// A daemon process.
pub(super) struct Runner {
    pub(super) slot: usize,
    signals: UnixStream,
    thread: JoinHandle<Ended>,
}

struct Built(Arc<Apps>);

impl Applications for Built {
    fn find(&self, index: u32, options: Pairs<'_>) -> Result<Arc<dyn Application>> {
        assert!(options.is_empty() || options.get(b"greeting").is_some());
        let app = self.0.get(index as usize).cloned();
        app.ok_or_else(|| Error::new(format!("there is no application {index}")))
    }
}

impl TestProcess {
    /// Makes a group with these options, and rows for `waiting` requests beside those of its
    /// threads.
    pub(super) fn new(options: &[&str], waiting: usize, apps: Apps) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("mod_rust-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let options = GroupOptions::parse("harness", options).unwrap();
        let slots = options.slots() as usize;
        let board = Scoreboard::leaked(slots, options.threads as usize + waiting);
        board.prepare(&options, monotonic_us());
        let listen = |slot| UnixListener::bind(folder.join(format!("{slot}"))).unwrap();
        let doorbell = Event::new().unwrap();
        let bell = Epoll::new().unwrap();
        bell.add(&doorbell, 0, Trigger::Edge).unwrap();
        let uid = os::peer(UnixStream::pair().unwrap().0).unwrap().uid;
        Self {
            options,
            board,
            listeners: (0..slots).map(listen).collect(),
            folder,
            lifeline: Some(std::io::pipe().unwrap()),
            doorbell,
            bell,
            log: Arc::default(),
            apps: Arc::new(apps),
            uids: (vec![uid], vec![uid]),
            abandoned: Arc::default(),
        }
    }

    /// Makes a group of one ready process, for one application.
    pub(super) fn open(options: &[&str], app: impl Application) -> (Self, Runner) {
        Self::open_waiting(options, 0, app)
    }

    pub(super) fn open_waiting(
        options: &[&str],
        waiting: usize,
        app: impl Application,
    ) -> (Self, Runner) {
        let harness = Self::new(options, waiting, vec![Arc::new(app)]);
        let runner = harness.fork(0);
        harness.until_state(0, ProcessState::Ready);
        (harness, runner)
    }

    /// Starts the process of a slot.
    pub(super) fn fork(&self, slot: usize) -> Runner {
        let apps = self.apps.clone();
        self.fork_with(slot, Box::new(move || Ok(Arc::new(Built(apps)) as _)))
    }

    pub(super) fn fork_with(&self, slot: usize, build: Box<BuildFn>) -> Runner {
        let (signals, theirs) = UnixStream::pair().unwrap();
        let (log, abandoned) = (self.log.clone(), self.abandoned.clone());
        let lifeline = self.lifeline.as_ref().expect("a lifeline").0.try_clone().unwrap();
        let daemon = Daemon {
            listener: self.listeners[slot].try_clone().unwrap().into(),
            lifeline: lifeline.into(),
            doorbell: OwnedFd::from(self.doorbell.try_clone().unwrap()),
            signals: Some(theirs.into()),
            options: self.options.clone(),
            board: self.board,
            slot,
            incarnation: self.board.slots[slot].incarnation(),
            token: GROUP_TOKEN,
            peers: self.uids.0.clone(),
            controllers: self.uids.1.clone(),
            build,
            log: Arc::new(move |level, line: &str| {
                log.lines.lock().unwrap().push((level, line.to_owned()));
                log.more.notify_all();
            }),
            abandon: Arc::new(move |reason| {
                *abandoned.0.lock().unwrap() = Some(reason);
                abandoned.1.notify_all();
            }),
        };
        Runner { slot, signals, thread: thread::spawn(move || run(daemon)) }
    }

    /// Does the parent's work after the end of a process: reads its status, and starts another one.
    pub(super) fn clear_dead(&self, runner: Runner) -> Ended {
        let slot = runner.slot;
        let ended = runner.ended();
        self.board.clear_dead(slot, monotonic_us());
        self.doorbell.ring();
        ended
    }

    /// Waits until `condition` holds, looking again at each ring of the doorbell.
    pub(super) fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let (start, mut ready) = (Instant::now(), Ready::with_capacity(1));
        while !condition() {
            let loads = || self.board.slots.iter().map(|slot| (slot.running(), slot.parked()));
            assert!(
                start.elapsed() < LONG,
                "waited for {what}; running and parked are {:?}; log: {:#?}",
                loads().collect::<Vec<_>>(),
                self.lines()
            );
            // A change that rings no doorbell, such as a counter, is looked at now and then.
            self.bell.wait(&mut ready, Some(Duration::from_millis(5))).unwrap();
        }
    }

    pub(super) fn until_state(&self, slot: usize, state: ProcessState) {
        let what = format!("slot {slot} in state {}", state.name());
        self.until(&what, || self.board.slots[slot].state() == state);
    }

    /// Waits for a line that holds `text`, and returns it.
    pub(super) fn line_with(&self, text: &str) -> String {
        let lines = self.log.lines.lock().unwrap();
        let has = |lines: &Vec<(Level, String)>| {
            lines.iter().find(|(_, line)| line.contains(text)).map(|(_, line)| line.clone())
        };
        let (lines, _) =
            self.log.more.wait_timeout_while(lines, LONG, |lines| has(lines).is_none()).unwrap();
        has(&lines).unwrap_or_else(|| panic!("no line with {text:?}: {lines:#?}"))
    }

    pub(super) fn lines(&self) -> Vec<(Level, String)> {
        self.log.lines.lock().unwrap().clone()
    }

    /// Opens a connection without sending anything.
    pub(super) fn connect_raw(&self, slot: usize) -> UnixStream {
        let stream = UnixStream::connect(self.folder.join(format!("{slot}"))).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream
    }

    /// Opens a connection as an httpd child does.
    pub(super) fn connect(&self, slot: usize) -> Peer {
        Peer::new(self.connect_raw(slot), self.board, slot)
    }

    /// Closes the lifeline, as the end of the last httpd child does.
    pub(super) fn cut_lifeline(&mut self) {
        if let Some((_reader, writer)) = self.lifeline.take() {
            drop(writer);
        }
    }
}

impl Drop for TestProcess {
    fn drop(&mut self) {
        // Processes that still serve end by it.
        self.cut_lifeline();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Runner {
    pub(super) fn signal(&self, number: u32) {
        let mut record = [0_u8; 128];
        record[..4].copy_from_slice(&number.to_ne_bytes());
        (&self.signals).write_all(&record).unwrap();
    }

    /// Waits for its end.
    pub(super) fn ended(self) -> Ended {
        self.thread.join().expect("run() never panics")
    }

    pub(super) fn is_running(&self) -> bool {
        !self.thread.is_finished()
    }
}
