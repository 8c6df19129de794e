//! The life of a daemon process: dormant until its group needs it, then serving requests that httpd
//! children send over the bridge, then draining. Plain Rust; `daemon` forks the process and drops
//! its privileges, and calls [`run()`] in it.
//!
//! The thread that calls [`run()`] accepts connections, keeps time and watches signals. As many
//! worker threads as the group's `threads` wait on one epoll for all connections; each takes one
//! event at a time. A small request costs the process three system calls: epoll_wait, recv and
//! send. An idle connection costs no thread.
//!
//! A request of a service gives its thread back while it waits: for a future, for a slow sender of
//! a body, or for a slow reader of a response beyond what httpd buffers. It lies with its connection
//! until a thread visits it again (`suspended`). Any other request gives only its permit back. Then
//! another thread is started, unless one is idle. So `threads` bounds the requests that run at once,
//! and not those that wait.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod connection;
mod current_request;
mod daemon;
mod exchange;
mod inbound;
mod input;
mod output;
mod place;
mod process;
mod serve;
mod start;
mod suspended;
#[cfg(test)]
mod tests;
mod timer;
mod variables;
mod watch;
mod worker;

use std::sync::Arc;

use self::daemon::broken;
use self::process::{DaemonProcess, ProcessParts};
use self::start::StartingProcess;
use self::timer::Timer;
use self::watch::Watch;
use crate::os::monotonic_us;
use crate::process_group::Recycle;
use crate::server::workers::pool::WorkerPool;

pub(crate) use self::current_request::{log_here, logs_here};
pub use self::daemon::{AbandonFn, Applications, BuildFn, Daemon, Ended, LogFn};
pub(crate) use self::watch::announce;

/// Lives the life of a daemon process, in the calling thread and those that it starts.
///
/// When it comes back the process has nothing left to do. Threads may still be at requests that
/// were given up: end the process, do not wait for them.
pub fn run(daemon: Daemon) -> Ended {
    let Daemon { options, board, slot, log, .. } = daemon;
    board.slots[slot].enter(std::process::id(), options.threads, monotonic_us());
    let watch = match Watch::new(daemon.lifeline, daemon.doorbell, daemon.signals, board.group) {
        Ok(watch) => watch,
        Err(error) => return broken("watch its lifeline and its signals")(error),
    };
    watch.ring_doorbell();
    let start = StartingProcess { options: &options, board, slot, log: &log };
    let built = start
        .wait_until_needed(&watch)
        .and_then(|()| start.build(daemon.build, watch, &daemon.abandon));
    let (applications, watch) = match built {
        Ok(built) => built,
        Err(ended) => return ended,
    };
    let now_us = monotonic_us();
    let chance = now_us ^ u64::from(std::process::id()) << 32 ^ (slot as u64) << 56;
    let recycle = Recycle::new(&options, now_us, chance);
    let log_of_failure = log.clone();
    let parts = ProcessParts {
        options: options.clone(),
        board,
        slot,
        incarnation: daemon.incarnation,
        token: daemon.token,
        controllers: daemon.controllers,
        applications,
        log,
        recycle,
    };
    let timer = DaemonProcess::new(parts).map(Arc::new).and_then(|process| {
        WorkerPool::start(&process)?;
        let timer = Timer::new(process.clone(), watch, daemon.listener, daemon.peers)?;
        Ok((process, timer))
    });
    match timer {
        Ok((process, timer)) => {
            if !timer::becomes_ready(&process) {
                let _ = process.pool.stop(std::time::Duration::from_secs(1));
                return Ended::NotBuilt("the start was given up".to_owned());
            }
            timer.run()
        }
        Err(error) => {
            let start = StartingProcess { options: &options, board, slot, log: &log_of_failure };
            let what = "make its worker threads and what they wait for";
            start.failed(&format!("cannot {what}: {error}"));
            broken(what)(error)
        }
    }
}
