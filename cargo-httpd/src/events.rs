//! Events that a foreground command waits for: signals, the end of a build, changed files.
//!
//! One channel carries them all to the command's only loop, so that nothing is missed while it
//! waits for something else.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// SIGINT, SIGTERM or SIGHUP, by its number: stop.
    Stop(i32),
    /// A child of this process ended, or stopped, or went on.
    Child,
    /// A build came to its end.
    Built(Result<crate::built_module::Built>),
    /// A watched file changed.
    Changed,
}

/// The receiving end.
pub(crate) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
}

/// The end of a command by a signal, before it served.
#[derive(Debug)]
pub(crate) struct Interrupted {
    signal: i32,
    /// The work under way, and its remains.
    while_doing: &'static str,
}

impl Interrupted {
    pub(crate) fn new(signal: i32, while_doing: &'static str) -> Self {
        Self { signal, while_doing }
    }

    /// Returns the exit status that a shell gives to a program that the signal ended.
    pub(crate) fn status(&self) -> u8 {
        u8::try_from(128 + self.signal).unwrap_or(1)
    }
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let signal = signal_hook::low_level::signal_name(self.signal).unwrap_or("a signal");
        write!(f, "{signal} came {}", self.while_doing)
    }
}

impl std::error::Error for Interrupted {}

impl Events {
    /// Takes over the signals from here on: Ctrl-C no longer ends the process, but arrives as
    /// [`Event::Stop`].
    pub(crate) fn listen() -> Result<Self> {
        let (sender, receiver) = mpsc::channel();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD])
            .context("the signals cannot be caught")?;
        let to_loop = sender.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                let event = if signal == SIGCHLD { Event::Child } else { Event::Stop(signal) };
                if to_loop.send(event).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { sender, receiver })
    }

    /// For those who report events.
    pub(crate) fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// Waits for the next event.
    pub(crate) fn next(&self) -> Result<Event> {
        match self.receiver.recv() {
            Ok(event) => Ok(event),
            Err(_) => bail!("all sources of events have ended"),
        }
    }

    /// Waits for the next event, until `deadline` at most.
    pub(crate) fn next_before(&self, deadline: Instant) -> Option<Event> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.receiver.recv_timeout(left).ok()
    }

    /// After a first change: swallows those that follow, until none has come for `quiet`. Anything
    /// else that arrives meanwhile comes back, for the caller to handle.
    pub(crate) fn settle(&self, quiet: Duration) -> Vec<Event> {
        let mut others = Vec::new();
        loop {
            match self.receiver.recv_timeout(quiet) {
                Ok(Event::Changed) => {}
                Ok(Event::Stop(signal)) => {
                    others.push(Event::Stop(signal));
                    return others;
                }
                Ok(other) => others.push(other),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return others,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_changes_is_one() {
        let (sender, receiver) = mpsc::channel();
        let events = Events { sender, receiver };
        for event in [Event::Changed, Event::Child, Event::Changed, Event::Stop(2), Event::Changed]
        {
            events.sender().send(event).unwrap();
        }
        let others = events.settle(Duration::from_millis(1));
        assert!(matches!(others[..], [Event::Child, Event::Stop(2)]), "{others:?}");
        assert!(matches!(events.next().unwrap(), Event::Changed));
        assert!(events.next_before(Instant::now()).is_none());
    }
}
