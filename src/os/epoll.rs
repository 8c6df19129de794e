//! epoll, with a token for each descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use std::{fmt, io};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

/// An epoll instance. Any number of threads may wait on it at once; each event goes to one.
#[derive(Debug)]
pub(crate) struct Epoll {
    fd: OwnedFd,
}

/// The condition on which a readable descriptor is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// Level-triggered: for as long as it can be read.
    Level,
    /// Each time that something new came.
    Edge,
}

impl Trigger {
    fn flags(self) -> epoll::EventFlags {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP;
        match self {
            Self::Level => flags,
            Self::Edge => flags | epoll::EventFlags::ET,
        }
    }
}

/// The states of a socket that somebody waits for who polls the epoll instance itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg(feature = "httpd")]
pub(crate) struct Awaits {
    /// Something can be read.
    pub(crate) input: bool,
    /// Something can be written.
    pub(crate) room: bool,
    /// The other end sends no more.
    pub(crate) departure: bool,
}

#[cfg(feature = "httpd")]
impl Awaits {
    fn flags(self) -> epoll::EventFlags {
        let mut flags = epoll::EventFlags::empty();
        flags.set(epoll::EventFlags::IN, self.input);
        flags.set(epoll::EventFlags::OUT, self.room);
        flags.set(epoll::EventFlags::RDHUP, self.departure);
        flags
    }
}

/// The result of a wait: the tokens of descriptors that can be read or have been closed.
pub(crate) struct Ready {
    events: Vec<epoll::Event>,
}

impl Ready {
    /// Makes room for `capacity` tokens a wait. One is enough for a worker, so that others get the
    /// rest.
    #[must_use]
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { events: Vec::with_capacity(capacity) }
    }

    /// Returns the tokens that the last wait found.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = u64> {
        self.found().map(|(token, _)| token)
    }

    /// Returns the tokens that the last wait found, each with whether its other end has closed.
    /// There may be something to read all the same.
    pub(crate) fn found(&self) -> impl Iterator<Item = (u64, bool)> {
        let over = epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        self.events.iter().map(move |event| {
            let flags = event.flags;
            (event.data.u64(), flags.intersects(over))
        })
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.tokens()).finish()
    }
}

impl Epoll {
    /// Makes a new one, closed on exec.
    ///
    /// # Errors
    ///
    /// The process has no descriptors left.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { fd: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Watches `fd` for something to read, and for its other end's going.
    ///
    /// # Errors
    ///
    /// Those of `epoll_ctl(2)`.
    pub(crate) fn add(&self, fd: impl AsFd, token: u64, trigger: Trigger) -> io::Result<()> {
        Ok(epoll::add(&self.fd, fd, epoll::EventData::new_u64(token), trigger.flags())?)
    }

    /// Watches a listening socket that other processes watch too: of those that wait, not all are
    /// woken for a connection.
    ///
    /// # Errors
    ///
    /// Those of `epoll_ctl(2)`.
    pub(crate) fn add_shared(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
        Ok(epoll::add(&self.fd, fd, epoll::EventData::new_u64(token), flags)?)
    }

    /// Says nothing more of `fd` until it is [unmuted](Self::unmute): somebody reads it anyway.
    ///
    /// # Errors
    ///
    /// Those of `epoll_ctl(2)`.
    pub(crate) fn mute(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::ET;
        Ok(epoll::modify(&self.fd, fd, epoll::EventData::new_u64(token), flags)?)
    }

    /// Watches `fd` edge-triggered again. What came meanwhile is reported at once.
    ///
    /// # Errors
    ///
    /// Those of `epoll_ctl(2)`.
    pub(crate) fn unmute(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let flags = Trigger::Edge.flags();
        Ok(epoll::modify(&self.fd, fd, epoll::EventData::new_u64(token), flags)?)
    }

    /// Watches `fd` edge-triggered for input, for room to write, or for both. A state that holds
    /// already is reported at once.
    ///
    /// # Errors
    ///
    /// Those of `epoll_ctl(2)`.
    pub(crate) fn watch(
        &self,
        fd: impl AsFd,
        token: u64,
        read: bool,
        write: bool,
    ) -> io::Result<()> {
        let mut flags = if read { Trigger::Edge.flags() } else { epoll::EventFlags::ET };
        flags.set(epoll::EventFlags::OUT, write);
        Ok(epoll::modify(&self.fd, fd, epoll::EventData::new_u64(token), flags)?)
    }

    /// Adds `fd`, and makes this instance readable while it is in one of these states, or has hung
    /// up.
    ///
    /// # Errors
    ///
    /// Those of `epoll_ctl(2)`.
    #[cfg(feature = "httpd")]
    pub(crate) fn add_states(&self, fd: impl AsFd, awaits: Awaits) -> io::Result<()> {
        Ok(epoll::add(&self.fd, fd, epoll::EventData::new_u64(0), awaits.flags())?)
    }

    /// Awaits these states of `fd` in place of those before.
    ///
    /// # Errors
    ///
    /// Those of `epoll_ctl(2)`.
    #[cfg(feature = "httpd")]
    pub(crate) fn await_states(&self, fd: impl AsFd, awaits: Awaits) -> io::Result<()> {
        Ok(epoll::modify(&self.fd, fd, epoll::EventData::new_u64(0), awaits.flags())?)
    }

    /// Watches `fd` no more.
    ///
    /// # Errors
    ///
    /// Those of `epoll_ctl(2)`.
    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.fd, fd)?)
    }

    /// Waits until something is ready or `timeout` has passed, for ever without one. A signal
    /// makes it come back with nothing.
    ///
    /// # Errors
    ///
    /// Those of `epoll_wait(2)`.
    pub(crate) fn wait(&self, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<()> {
        ready.events.clear();
        let timeout = timeout.map(timespec);
        match epoll::wait(&self.fd, spare_capacity(&mut ready.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Epoll {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Epoll> for OwnedFd {
    fn from(epoll: Epoll) -> Self {
        epoll.fd
    }
}

/// At most a day: what an old kernel's milliseconds can hold.
pub(crate) fn timespec(time: Duration) -> Timespec {
    let time = time.min(Duration::from_secs(24 * 60 * 60));
    Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) as _ }
}
