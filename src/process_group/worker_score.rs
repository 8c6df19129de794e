//! One row of the scoreboard: a request that a worker thread works on, or that waits without one.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64, fence};

/// Words of a row's text.
const WORDS: usize = 15;
/// The most of a request's line that a row shows, in bytes.
pub(super) const TEXT_BYTES: usize = WORDS * 8;

/// The phase of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// The thread has no request.
    #[default]
    Idle,
    /// The application has it, and has not given its head.
    Application,
    /// The head is out, the body on its way.
    Body,
    /// It waits, without a thread.
    Parked,
}

impl Phase {
    /// Returns its name in snapshots.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Application => "application",
            Self::Body => "body",
            Self::Parked => "parked",
        }
    }

    const fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Application,
            2 => Self::Body,
            3 => Self::Parked,
            _ => Self::Idle,
        }
    }
}

/// One request, in shared memory. All zero is idle. A request that gives its thread back keeps its
/// row, and the thread takes another.
///
/// Only the thread that works on the request writes; anyone reads. The ticket is what others decide by; the rest is shown.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct WorkerScore {
    ticket: AtomicU64,
    started_us: AtomicU64,
    head_us: AtomicU64,
    /// Odd while the row is written.
    version: AtomicU32,
    phase: AtomicU32,
    length: AtomicU32,
    _reserved: AtomicU32,
    text: [AtomicU64; WORDS],
}

/// The content of a worker's score at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WorkerSnapshot {
    pub(super) ticket: u64,
    pub(super) started_us: u64,
    pub(super) head_us: u64,
    pub(super) phase: Phase,
    pub(super) text: Vec<u8>,
}

impl WorkerScore {
    /// Notes that the thread takes up the request `ticket`, **before** any byte of it reaches an
    /// application.
    ///
    /// `line` is put together with spaces and cut after [`TEXT_BYTES`]: method, host, target.
    pub fn begin(&self, ticket: u64, now_us: u64, line: &[&[u8]]) {
        let mut bytes = [0; TEXT_BYTES];
        let mut length = 0;
        for (index, part) in line.iter().enumerate() {
            if index > 0 && length < TEXT_BYTES {
                bytes[length] = b' ';
                length += 1;
            }
            let fits = part.len().min(TEXT_BYTES - length);
            bytes[length..length + fits].copy_from_slice(&part[..fits]);
            length += fits;
        }
        self.write(|| {
            for (word, bytes) in
                self.text.iter().zip(bytes.chunks_exact(8)).take(length.div_ceil(8))
            {
                let mut eight = [0; 8];
                eight.copy_from_slice(bytes);
                word.store(u64::from_ne_bytes(eight), Relaxed);
            }
            self.length.store(length as u32, Relaxed);
            self.started_us.store(now_us, Relaxed);
            self.head_us.store(0, Relaxed);
            self.phase.store(Phase::Application as u32, Relaxed);
            // A child that finds the process dead must find the ticket if the application may have
            // been called. Stores of a thread are seen in their order, and a dead thread's are all
            // seen; SeqCst costs one fence here and saves the argument about other processors.
            self.ticket.store(ticket, SeqCst);
        });
    }

    /// Notes that the head of the response went out.
    pub fn head_sent(&self, now_us: u64) {
        self.head_us.store(now_us, Relaxed);
        self.phase.store(Phase::Body as u32, Relaxed);
    }

    /// Notes that the request waits without a thread, or goes on.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u32, Relaxed);
    }

    /// Notes that the request is done: its last frame is written.
    ///
    /// If the last frame could not be written, call [`super::Scoreboard::note_lost`] before: the
    /// child must not take the request for one that no application saw.
    pub fn end(&self) {
        self.phase.store(Phase::Idle as u32, Relaxed);
        self.ticket.store(0, Release);
    }

    /// Returns the ticket of its request; 0 without one.
    #[must_use]
    pub fn ticket(&self) -> u64 {
        self.ticket.load(SeqCst)
    }

    /// Returns whether a thread works on it: there is a request, and it does not wait without a
    /// thread.
    #[must_use]
    pub fn is_working(&self) -> bool {
        self.ticket() != 0 && self.phase.load(Relaxed) != Phase::Parked as u32
    }

    /// Returns the time at which its request was taken up, if there is one.
    #[must_use]
    pub fn started_us(&self) -> Option<u64> {
        let started = self.started_us.load(Relaxed);
        (self.ticket.load(Acquire) != 0).then_some(started)
    }

    /// Returns the content; `None` if it is idle or changes all the time.
    pub(super) fn read(&self) -> Option<WorkerSnapshot> {
        for _ in 0..8 {
            let before = self.version.load(Acquire);
            if !before.is_multiple_of(2) {
                std::hint::spin_loop();
                continue;
            }
            let length = (self.length.load(Relaxed) as usize).min(TEXT_BYTES);
            let mut text = Vec::with_capacity(TEXT_BYTES);
            for word in &self.text {
                text.extend_from_slice(&word.load(Relaxed).to_ne_bytes());
            }
            text.truncate(length);
            let content = WorkerSnapshot {
                ticket: self.ticket.load(Relaxed),
                started_us: self.started_us.load(Relaxed),
                head_us: self.head_us.load(Relaxed),
                phase: Phase::from_code(self.phase.load(Relaxed)),
                text,
            };
            // A sequence lock: the loads above stand before the second look at the version.
            fence(Acquire);
            if self.version.load(Relaxed) == before {
                return (content.ticket != 0).then_some(content);
            }
        }
        None
    }

    /// Makes it idle, whatever a dead thread left in it; its ticket, if it had one.
    pub(super) fn clear(&self) -> u64 {
        let ticket = self.ticket.swap(0, SeqCst);
        self.phase.store(Phase::Idle as u32, Relaxed);
        // The thread may have died while it wrote.
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(version % 2), Release);
        ticket
    }

    fn write(&self, change: impl FnOnce()) {
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Relaxed);
        // The odd version stands before the changes, the even one after them.
        fence(Release);
        change();
        self.version.store(version.wrapping_add(2), Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn shows_a_request() {
        let row = WorkerScore::default();
        assert_eq!((row.ticket(), row.started_us(), row.read()), (0, None, None));
        row.begin(7, 100, &[b"GET", b"shop", b"/a"]);
        let content = row.read().unwrap();
        assert_eq!((content.ticket, content.started_us, content.head_us), (7, 100, 0));
        assert_eq!((content.phase, &content.text[..]), (Phase::Application, &b"GET shop /a"[..]));
        row.head_sent(150);
        let content = row.read().unwrap();
        assert_eq!((content.phase, content.head_us), (Phase::Body, 150));
        row.set_phase(Phase::Parked);
        assert_eq!(row.read().unwrap().phase, Phase::Parked);
        row.end();
        assert_eq!((row.ticket(), row.started_us(), row.read()), (0, None, None));
    }

    #[test]
    fn cuts_what_is_too_long() {
        let row = WorkerScore::default();
        for length in 0..2 * TEXT_BYTES {
            let target = vec![b'x'; length];
            row.begin(1, 1, &[b"GET", b"host", &target]);
            let mut whole = b"GET host ".to_vec();
            whole.extend_from_slice(&target);
            whole.truncate(TEXT_BYTES);
            assert_eq!(row.read().unwrap().text, whole);
        }
    }

    #[test]
    fn a_reader_never_sees_half_a_change() {
        let row = WorkerScore::default();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for turn in 1..=30_000_u64 {
                    let letter = [b'a' + (turn % 26) as u8; TEXT_BYTES];
                    row.begin(turn, turn, &[&letter[..1 + (turn % 100) as usize]]);
                }
                stop.store(true, SeqCst);
            });
            let mut seen = 0;
            while !stop.load(SeqCst) || seen == 0 {
                let Some(content) = row.read() else { continue };
                seen += 1;
                let turn = content.ticket;
                assert_eq!(content.started_us, turn);
                assert_eq!(content.text.len(), 1 + (turn % 100) as usize);
                assert!(content.text.iter().all(|byte| *byte == b'a' + (turn % 26) as u8));
            }
        });
    }

    #[test]
    fn cleared_after_a_death_while_writing() {
        let row = WorkerScore::default();
        row.begin(3, 1, &[b"GET"]);
        row.version.fetch_add(1, SeqCst);
        assert_eq!(row.read(), None, "it is being written");
        assert_eq!(row.clear(), 3);
        row.begin(4, 1, &[b"PUT"]);
        assert_eq!(row.read().unwrap().text, b"PUT");
    }
}
