//! A request that the process's timer breaks off, while another thread runs it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use super::multiplexer::{Channel, leaves_others, multiplexer, take_off};
use super::stderr::put_line;
use crate::gateway::Level;
use crate::protocol::fastcgi::{ProtocolStatus, RecordKind, put_end, put_stream_end};
use crate::server::site::{BreakOutcome, Breaker, OwnAnswer};
use crate::server::stream::{
    Framing, Output, ResponseProgress, SendOutcome, StreamConnection, StreamProcess, Then,
    reply_with,
};

/// The longest wait for the ends of other responses on the connection.
const OTHERS: Duration = Duration::from_millis(100);

/// A record that is not FastCGI.
pub(super) const SPOIL: [u8; 8] = [0; 8];

/// Breaks a request off.
pub(super) struct FastCgiBreaker {
    pub(super) process: Arc<StreamProcess>,
    pub(super) connection: Arc<StreamConnection>,
    pub(super) channel: Arc<Channel>,
    pub(super) progress: Arc<ResponseProgress>,
    pub(super) id: u16,
    pub(super) keep_conn: bool,
}

impl Breaker for FastCgiBreaker {
    fn break_off(&self, answer: &OwnAnswer<'_>) -> BreakOutcome {
        let (process, connection) = (&*self.process, &self.connection);
        let ending = &multiplexer(connection).ending;
        let start = Instant::now();
        while ending.load(Ordering::Acquire) > 0 && start.elapsed() < OTHERS {
            thread::sleep(Duration::from_millis(1));
        }
        let (writer, is_begun) = self.progress.cut(connection);
        // The thread may have the connection and read nothing of it: it takes no other request.
        let _ = take_off(process, connection, (self.id, &self.channel, self.keep_conn));
        let others = leaves_others(connection);
        self.channel.break_off();
        let mut output = Output::new();
        let outcome = match writer {
            Some(writer) if !is_begun => {
                output.begin(Framing::Stdout(self.id));
                output.record(|into| put_line(into, self.id, Level::Error, answer.line));
                output.head(|into| answer.head.write_cgi(into));
                output.body(answer.body.clone());
                output.record(|into| {
                    put_stream_end(into, RecordKind::STDOUT, self.id);
                    put_end(into, self.id, 0, ProtocolStatus::REQUEST_COMPLETE);
                });
                let then = Some(if others { Then::Keep } else { Then::Linger });
                match reply_with((process, connection), writer, &mut output, then) {
                    Some(SendOutcome::Whole) if !others => connection.linger(),
                    Some(_) => {}
                    None => process.abort(connection),
                }
                return BreakOutcome::Answered { logged: true };
            }
            // The connection is closed behind the others.
            _ if others => return BreakOutcome::Broken,
            writer => writer,
        };
        if let Some(writer) = outcome {
            output.begin(Framing::Raw);
            output.record(|into| into.extend_from_slice(&SPOIL));
            let _ = reply_with((process, connection), writer, &mut output, None);
        }
        process.abort(connection);
        BreakOutcome::Broken
    }
}
