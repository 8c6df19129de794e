//! Lines for the web server's log: STDERR records.

use std::sync::Arc;

use super::piece::Inbound;
use crate::gateway::Level;
use crate::gateway::escape::push_escaped;
use crate::protocol::fastcgi::{RecordKind, put_stream};
use crate::server::stream::{Framing, Output, StreamConnection, StreamProcess, send};
use crate::server::workers::parker::ClientState;

/// The longest line that goes to the web server's log, in bytes.
const LINE: usize = 8 * 1024;

/// Puts the record of a line for the web server's log.
pub(super) fn put_line(records: &mut Vec<u8>, id: u16, level: Level, message: &str) {
    let name = match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        _ => "trace",
    };
    // The web server writes it as it comes.
    let mut line = format!("[{name}] ");
    push_escaped(&mut line, beginning(message, LINE).as_bytes());
    line.truncate(beginning(&line, LINE).len());
    line.push('\n');
    put_stream(records, RecordKind::STDERR, id, line.as_bytes());
}

/// Writes a line to the web server's log; whether it could be written.
pub(super) fn stderr(
    process: &Arc<StreamProcess>,
    connection: &Arc<StreamConnection>,
    id: u16,
    level: Level,
    message: &str,
) -> bool {
    let inbound = Inbound::new(process, connection, ClientState::Whole, (false, None), Vec::new());
    let mut output = Output::new();
    output.begin(Framing::Raw);
    output.record(|into| put_line(into, id, level, message));
    send(&inbound, &mut output, None).is_ok()
}

/// The beginning of `text`, of no more than so many bytes.
fn beginning(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    &text[..end.unwrap_or(0)]
}
