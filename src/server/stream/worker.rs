//! A worker thread: waits for connections that have something to read, and hands them to their
//! drivers.

use std::sync::Arc;

use super::Protocol;
use super::buffer::Buffer;
use super::connection::Connection;
use super::output::Output;
use super::process::{ERRANDS, Process, STOP};
use crate::gateway::{Level, panic};
use crate::os::Ready;
use crate::protocol::params::Params;

/// What a worker thread has, and keeps from one request to the next.
pub(in crate::server) struct Worker {
    pub(in crate::server) process: Arc<Process>,
    pub(in crate::server) buffer: Buffer,
    pub(in crate::server) output: Output,
    /// Where raw bytes go that come while a response is written.
    pub(in crate::server) ahead: Vec<u8>,
    pub(in crate::server) params: Params,
    #[cfg(feature = "fastcgi")]
    pub(in crate::server) fastcgi: crate::server::fastcgi::Desk,
}

/// The life of a worker thread.
pub(super) fn work(process: &Arc<Process>) {
    let mut worker = Worker {
        process: process.clone(),
        buffer: Buffer::new(),
        output: Output::new(),
        ahead: Vec::new(),
        params: Params::new(),
        #[cfg(feature = "fastcgi")]
        fastcgi: crate::server::fastcgi::Desk::sit_down(),
    };
    // One event at a time: the next one may be another thread's.
    let mut ready = Ready::with_capacity(1);
    loop {
        if !process.pollers.enter(process.pool_size.patience()) {
            if process.is_one_too_many() {
                return;
            }
            continue;
        }
        let waited = process.epoll.wait(&mut ready, process.pool_size.patience());
        if process.pollers.leave() {
            process.ticker.ring();
        }
        if let Err(error) = waited {
            let line = format!("RUST0041: a worker thread cannot wait for requests: {error}");
            process.site.log.line(Level::Error, &line);
            break;
        }
        if process.is_stopping() {
            break;
        }
        let Some((token, hung_up)) = ready.found().next() else {
            if process.is_one_too_many() {
                return;
            }
            continue;
        };
        match token {
            STOP => {}
            ERRANDS => {
                if let Some(errand) = process.next_errand() {
                    process.permits.take();
                    worker.safely(None, |worker| errand(worker));
                    process.permits.give();
                }
            }
            token => {
                if let Some(connection) = process.connections.get(token)
                    && connection.claim()
                {
                    process.permits.take();
                    worker.safely(Some(&connection), |worker| worker.attend(&connection, hung_up));
                    process.permits.give();
                }
            }
        }
        if process.is_one_too_many() {
            return;
        }
    }
    process.pool_size.leaves();
}

impl Worker {
    /// A panic in the kit itself ends the connection, not the thread.
    pub(in crate::server) fn safely(
        &mut self,
        connection: Option<&Connection>,
        work: impl FnOnce(&mut Self),
    ) {
        if let Err(error) = panic::catch(|| work(&mut *self)) {
            let line = format!("RUST0041: a worker thread {error}");
            self.process.site.log.line(Level::Error, &line);
            if let Some(connection) = connection {
                self.process.cut(connection);
            }
            self.buffer.clear();
            self.output.clear();
        }
    }

    /// Works on a connection that the calling thread has claimed. Once its peer has `hung_up` no
    /// other event tells of the end behind what is to be read.
    pub(in crate::server) fn attend(&mut self, connection: &Arc<Connection>, hung_up: bool) {
        match self.process.protocol(connection) {
            #[cfg(feature = "fastcgi")]
            Protocol::FastCgi => crate::server::fastcgi::attend(self, connection, hung_up),
            #[cfg(feature = "scgi")]
            Protocol::Scgi => crate::server::scgi::attend(self, connection, hung_up),
            #[cfg(feature = "uwsgi")]
            Protocol::Uwsgi => crate::server::uwsgi::attend(self, connection, hung_up),
        }
    }
}
