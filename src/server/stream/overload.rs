//! Requests that wait for a thread while all threads are busy.
//!
//! They wait in the sockets of their connections, unread. The acceptor looks at these sockets: it
//! drops the requests of clients that have left, and refuses those that are too many or have waited
//! too long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::connection::{Due, StreamConnection};
use super::output::Output;
use super::process::StreamProcess;
use super::process::StreamWorker;
use super::us;
use crate::gateway::Level;
use crate::os;
use crate::protocol::params::Params;
use crate::server::site::{FinalHead, Mode, Refusal, page};
use crate::server::workers::connections::Entry as _;

/// Looks at all connections that can be read and that no thread has taken up.
pub(super) fn look(process: &Arc<StreamProcess>, refuser: &mut StreamWorker, now_us: u64) {
    let mut queued = Vec::new();
    process.pool.connections.each(|connection| {
        if connection.due().is_none_or(|(due, _)| due == Due::End) {
            return;
        }
        let polled = os::poll(connection, (true, false), None, Some(Duration::ZERO));
        let Ok((polled, _)) = polled else { return };
        if !polled.readable {
            return;
        }
        let may_half_close = connection.protocol().may_half_close();
        if polled.closed || (polled.hung_up && !may_half_close) {
            if connection.claim() {
                process.cut(connection);
            }
            return;
        }
        let queued_us = &connection.queued_us;
        if queued_us.load(Ordering::Relaxed) == 0 {
            queued_us.store(now_us, Ordering::Relaxed);
        }
        queued.push((queued_us.load(Ordering::Relaxed), Arc::clone(connection)));
    });
    queued.sort_by_key(|(since_us, _)| *since_us);
    let longest_us = us(process.site.timeouts.queue);
    for (index, (since_us, connection)) in queued.iter().enumerate() {
        if now_us.saturating_sub(*since_us) >= longest_us {
            refuse(refuser, connection, Refusal::QueueTimeout);
        } else if index >= process.site.limits.queue {
            refuse(refuser, connection, Refusal::QueueFull);
        }
    }
}

fn refuse(refuser: &mut StreamWorker, connection: &Arc<StreamConnection>, refusal: Refusal) {
    if !connection.claim() {
        // A thread has just become free for it.
        return;
    }
    connection.queued_us.store(0, Ordering::Relaxed);
    refuser.refuses = Some(refusal);
    refuser.serve(connection, true);
}

/// Logs that the request of `params` is refused, also in the access log, and writes the answer.
pub(in crate::server) fn put_refusal(
    (process, connection): (&StreamProcess, &StreamConnection),
    (mode, params): (Mode, &Params),
    output: &mut Output,
    refusal: Refusal,
    write_head: impl FnOnce(&FinalHead<'_>, &mut Vec<u8>),
) {
    process.complain(connection, refusal.fault(), Level::Error, || {
        refusal.text(&process.site.limits, &process.site.timeouts)
    });
    let status = refusal.status();
    let body = page(status);
    process.site.log_refusal(mode, params, (status, body.len()));
    let mut fields = b"Content-Type: text/html; charset=iso-8859-1\r\n".to_vec();
    if let Some(seconds) = refusal.retry_after() {
        fields.extend(format!("Retry-After: {seconds}\r\n").into_bytes());
    }
    let head = FinalHead {
        status: Some(status),
        reason: b"",
        fields: &fields,
        length: Some(body.len() as u64),
    };
    output.head(|into| write_head(&head, into));
    output.body(body.into());
}
