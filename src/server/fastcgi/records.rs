//! Records as they come, and what each does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::multiplexer::{CompleteHead, QUEUE, RequestEntry, RequestTable};
use super::piece::RecordPiece;
use super::thread_state::SpareHeads;
use crate::gateway::Level;
use crate::os::monotonic_us;
use crate::protocol::fastcgi::{
    self as fcgi, Capacity, HEADER, ProtocolStatus, RecordContent, RecordHeader, RecordKind,
    RequestFlow, Role, Step as Flowed,
};
use crate::protocol::params::{ParamLimits, Params};
use crate::server::site::Fault;
use crate::server::stream::{Buffer, StreamConnection, StreamProcess};

/// The result of a look at the front of the buffer.
pub(super) enum ReadStep {
    /// More bytes are wanted.
    More,
    /// There may be more to look at.
    Go,
    /// A request can be run.
    Ready(Box<CompleteHead>),
    /// So many bytes of the reader's own input are at the front.
    Own(usize),
    /// The reader's own input has ended.
    OwnEnd,
    /// The record at the front is for a full queue.
    QueueFull,
    /// The connection is closed, as the peer broke the protocol or asked for too much.
    Violation(Fault, String),
}

/// The reader of a connection and its state.
pub(super) struct RecordReader<'r> {
    pub(super) process: &'r StreamProcess,
    pub(super) connection: &'r StreamConnection,
    pub(super) spare: &'r mut SpareHeads,
    /// Answers to records that want one at once.
    pub(super) replies: &'r mut Vec<u8>,
    /// The request that the reader runs.
    pub(super) own: Option<u16>,
}

impl RecordReader<'_> {
    /// Looks at what is at the front of the buffer.
    pub(super) fn step(
        &mut self,
        table: &mut RequestTable,
        buffer: &mut Buffer,
        piece: &mut RecordPiece,
    ) -> ReadStep {
        if piece.content > 0 {
            return self.content(table, buffer, piece);
        }
        if !piece.skip_padding(buffer) {
            return ReadStep::More;
        }
        let Some(header) = buffer.unread().first_chunk::<HEADER>() else { return ReadStep::More };
        let header = match RecordHeader::decode(header) {
            Ok(header) => header,
            Err(error) => return violation(error.to_string()),
        };
        match header.kind {
            RecordKind::PARAMS | RecordKind::STDIN | RecordKind::DATA => {
                buffer.consume(HEADER);
                piece.begin(&header);
                self.stream(table, &header)
            }
            RecordKind::BEGIN_REQUEST | RecordKind::ABORT_REQUEST | RecordKind::GET_VALUES => {
                self.message(table, buffer)
            }
            kind if kind.is_known() => {
                violation(format!("FastCGI {kind}: it is for applications to send"))
            }
            kind => {
                if header.request_id == 0 {
                    fcgi::put_unknown_type(self.replies, kind);
                }
                buffer.consume(HEADER);
                piece.begin(&header);
                ReadStep::Go
            }
        }
    }

    /// A record that is looked at as a whole.
    fn message(&mut self, table: &mut RequestTable, buffer: &mut Buffer) -> ReadStep {
        let record = match fcgi::split(buffer.unread()) {
            Ok(Some(record)) => record,
            Ok(None) => return ReadStep::More,
            Err(error) => return violation(error.to_string()),
        };
        let step = match record.message() {
            Ok(RecordContent::Begin(id, begin)) => {
                self.begin(table, id, begin.role, begin.keep_conn)
            }
            Ok(RecordContent::Abort(id)) => {
                self.abort(table, id);
                ReadStep::Go
            }
            Ok(RecordContent::GetValues(names)) => {
                let most = u32::try_from(self.process.most_requests()).unwrap_or(u32::MAX);
                let capacity = Capacity { max_conns: most, max_reqs: most, mpxs_conns: true };
                fcgi::put_get_values_result(self.replies, names, &capacity);
                ReadStep::Go
            }
            Ok(_) => ReadStep::Go,
            Err(error) => violation(error.to_string()),
        };
        let size = record.size();
        buffer.consume(size);
        step
    }

    fn begin(
        &mut self,
        table: &mut RequestTable,
        id: u16,
        role: Role,
        keep_conn: bool,
    ) -> ReadStep {
        if table.position(id).is_some() {
            return violation(format!(
                "FastCGI BEGIN_REQUEST: request id {id} is in use; allowed are others"
            ));
        }
        let most = self.process.most_requests();
        let refused = if !role.is_known() {
            Some(ProtocolStatus::UNKNOWN_ROLE)
        } else if self.process.requests.load(Ordering::Relaxed) >= most || table.close {
            self.process.complain(self.connection, Fault::Overloaded, Level::Warn, || {
                format!(
                    "there are {most} requests, as many as are allowed (--max-connections); \
                     answering OVERLOADED"
                )
            });
            Some(ProtocolStatus::OVERLOADED)
        } else {
            None
        };
        if let Some(status) = refused {
            fcgi::put_end(self.replies, id, 0, status);
            table.close |= !keep_conn;
            return ReadStep::Go;
        }
        self.process.requests.fetch_add(1, Ordering::Relaxed);
        let (head, channel) = self.spare.take();
        if role == Role::AUTHORIZER {
            // It has no input (6.3).
            channel.queue().over = true;
        }
        let begun_us = monotonic_us();
        let flow = RequestFlow::begin(role);
        table.requests.push(RequestEntry {
            id,
            flow,
            keep_conn,
            begun_us,
            channel,
            head: Some(head),
        });
        ReadStep::Go
    }

    fn abort(&mut self, table: &mut RequestTable, id: u16) {
        let Some(at) = table.position(id) else { return };
        if table.requests[at].head.is_none() {
            table.requests[at].channel.abort();
            return;
        }
        let entry = table.requests.swap_remove(at);
        self.process.requests.fetch_sub(1, Ordering::Relaxed);
        table.close |= !entry.keep_conn;
        fcgi::put_end(self.replies, id, 1, ProtocolStatus::REQUEST_COMPLETE);
        if let Some(head) = entry.head {
            self.spare.put(head, entry.channel);
        }
    }

    /// The header of a stream's record.
    fn stream(&mut self, table: &mut RequestTable, header: &RecordHeader) -> ReadStep {
        // Records of no request are passed over: their request may have ended early (3.3).
        let Some(at) = table.position(header.request_id) else { return ReadStep::Go };
        let entry = &mut table.requests[at];
        let step = match entry.flow.pass(header) {
            Ok(step) => step,
            Err(error) => return violation(error.to_string()),
        };
        let role = entry.flow.role();
        match step {
            Flowed::ParamsEnd => {
                let Some(head) = &mut entry.head else { return ReadStep::Go };
                if let Err(error) = head.reader.finish() {
                    return violation(with_option(&error));
                }
                head.params_over = true;
                let is_ready = role == Role::AUTHORIZER || has_input(&head.params);
                if is_ready { ready(entry) } else { ReadStep::Go }
            }
            Flowed::StdinEnd | Flowed::DataEnd => {
                if !entry.flow.is_whole() {
                    return if entry.head.is_some() { ready(entry) } else { ReadStep::Go };
                }
                entry.channel.queue().over = true;
                if entry.head.is_some() {
                    return ready(entry);
                }
                entry.channel.tell();
                if self.own == Some(header.request_id) { ReadStep::OwnEnd } else { ReadStep::Go }
            }
            _ => ReadStep::Go,
        }
    }

    /// A piece of a stream.
    fn content(
        &mut self,
        table: &mut RequestTable,
        buffer: &mut Buffer,
        piece: &mut RecordPiece,
    ) -> ReadStep {
        let there = piece.content.min(buffer.len());
        if there == 0 {
            return ReadStep::More;
        }
        let kind = RecordKind(piece.kind);
        if let Some(at) = table.position(piece.id).filter(|_| kind.is_stream()) {
            let entry = &mut table.requests[at];
            let bytes = &buffer.unread()[..there];
            match &mut entry.head {
                Some(head) if kind == RecordKind::PARAMS => {
                    let budget = &self.process.site.heads;
                    if !head.grows(there, budget) {
                        return ReadStep::Violation(Fault::HeadsFull, budget.text());
                    }
                    let limits = ParamLimits {
                        head: self.process.site.limits.head,
                        ..ParamLimits::default()
                    };
                    if let Err(error) = head.reader.feed(bytes, &mut head.params, &limits) {
                        return violation(with_option(&error));
                    }
                }
                Some(_) => return ready(entry),
                // It has no use for it (6.3).
                None if entry.flow.role() == Role::AUTHORIZER => {}
                None if self.own == Some(piece.id) => return ReadStep::Own(there),
                None => {
                    let mut queue = entry.channel.queue();
                    if queue.bytes.len() >= QUEUE {
                        table.stalled = true;
                        return ReadStep::QueueFull;
                    }
                    queue.bytes.extend_from_slice(bytes);
                    drop(queue);
                    entry.channel.tell();
                }
            }
        }
        buffer.consume(there);
        piece.content -= there;
        ReadStep::Go
    }
}

fn violation(why: String) -> ReadStep {
    ReadStep::Violation(Fault::Violation, why)
}

/// The request's head is whole.
fn ready(entry: &mut RequestEntry) -> ReadStep {
    let Some(mut head) = entry.head.take() else { return ReadStep::Go };
    head.is_done();
    ReadStep::Ready(Box::new(CompleteHead {
        id: entry.id,
        role: entry.flow.role(),
        keep_conn: entry.keep_conn,
        head,
        channel: Arc::clone(&entry.channel),
    }))
}

/// Whether the variables say that there is input. If not, the first STDIN record tells.
fn has_input(params: &Params) -> bool {
    let is_said = |key: &[u8]| params.get(key).is_some_and(|value| !value.is_empty());
    params.get(b"CONTENT_LENGTH").is_some_and(|length| !matches!(length, b"" | b"0"))
        || is_said(b"HTTP_TRANSFER_ENCODING")
        || is_said(b"HTTP_EXPECT")
}

fn with_option(error: &fcgi::RecordError) -> String {
    match error.kind() {
        fcgi::RecordErrorKind::TooLong { .. } => format!("{error} (--max-head)"),
        _ => error.to_string(),
    }
}
