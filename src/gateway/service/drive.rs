//! The driver of a future on the request's thread: it polls once, and waits only if it must.
//!
//! Only this file knows the points at which a future waits.

use std::task::{Context, Poll, Waker};

use super::body::{Fed, Feed};
use crate::gateway::error::{Error, ErrorKind, Result};
use crate::gateway::exchange::{Exchange, Interest, Woken};

/// The parts of an exchange that a driven future needs.
pub(super) struct ServiceDriver<'x> {
    exchange: &'x dyn Exchange,
    feed: Option<Feed<'x>>,
    waker: Waker,
}

impl<'x> ServiceDriver<'x> {
    pub(super) fn new(exchange: &'x dyn Exchange, feed: Option<Feed<'x>>) -> Self {
        Self { exchange, feed, waker: exchange.waker() }
    }

    pub(super) const fn exchange(&self) -> &'x dyn Exchange {
        self.exchange
    }

    /// Polls until the result is ready, and feeds the request body between polls.
    ///
    /// It calls `before_wait` each time before the thread waits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ClientGone`], [`ErrorKind::Resources`] when the server has no waker, and any
    /// error of `before_wait`.
    pub(super) fn drive<T>(
        &mut self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
        mut before_wait: impl FnMut() -> Result<()>,
    ) -> Result<T> {
        loop {
            if let Poll::Ready(result) = poll(&mut Context::from_waker(&self.waker)) {
                return Ok(result);
            }
            self.wait(&mut before_wait)?;
        }
    }

    /// Polls once, and returns the result if it is ready.
    pub(super) fn poll<T>(&mut self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        loop {
            let result = poll(&mut Context::from_waker(&self.waker));
            if result.is_ready() || self.serve(false) != Fed::Served {
                return result;
            }
        }
    }

    /// Waits until the future needs another poll.
    #[cold]
    fn wait(&mut self, before_wait: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        let interest = match self.serve(false) {
            Fed::Served => return Ok(()),
            Fed::NotYet => Interest::Input,
            Fed::Unasked => Interest::Waker,
        };
        before_wait()?;
        match self.exchange.park(interest) {
            Woken::Called => {}
            Woken::Input => {
                self.serve(false);
            }
            Woken::MustBlock => {
                self.serve(true);
            }
            Woken::Unable => {
                let message = "the application has to wait, and no descriptor is left to wait with";
                return Err(Error::of(ErrorKind::Resources, message));
            }
            Woken::Gone => {
                return Err(Error::of(
                    ErrorKind::ClientGone,
                    "the client left while the application waited",
                ));
            }
        }
        Ok(())
    }

    fn serve(&mut self, wait: bool) -> Fed {
        self.feed.as_mut().map_or(Fed::Unasked, |feed| feed.serve(&self.waker, wait))
    }
}
