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
    /// SIGINT, SIGTERM or SIGHUP: stop.
    Stop,
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
                let event = if signal == SIGCHLD { Event::Child } else { Event::Stop };
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
                Ok(Event::Stop) => {
                    others.push(Event::Stop);
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
        for event in [Event::Changed, Event::Child, Event::Changed, Event::Stop, Event::Changed] {
            events.sender().send(event).unwrap();
        }
        let others = events.settle(Duration::from_millis(1));
        assert!(matches!(others[..], [Event::Child, Event::Stop]), "{others:?}");
        assert!(matches!(events.next().unwrap(), Event::Changed));
        assert!(events.next_before(Instant::now()).is_none());
    }
}
