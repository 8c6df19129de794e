//! Reading a connection: from its records to requests that run.

use std::sync::Arc;

use super::input::InputMode;
use super::multiplexer::{CompleteHead, leave_stalled, multiplexer, put_down, take_off};
use super::piece::RecordPiece;
use super::records::{ReadStep, RecordReader};
use super::request::{Left, run};
use super::response::reply;
use super::thread_state::ThreadState;
use crate::os::monotonic_us;
use crate::protocol::fastcgi::{
    HEADER, ProtocolStatus, RecordHeader, RecordKind, Role, put_end, put_stream_end,
};
use crate::server::site::{Mode, Refusal};
use crate::server::stream::{
    self, Buffer, Due, Framing, Output, ReadOutcome, StreamConnection, StreamWorker, Then,
    put_refusal,
};
use crate::server::workers::connections::Entry as _;

/// Works on a connection that the calling thread has claimed, until there is nothing to read, or
/// another thread reads on, or it is closed. Once its peer has `hung_up` no other event tells of
/// the end behind what is to be read.
pub(super) fn serve(worker: &mut StreamWorker, connection: &Arc<StreamConnection>, hung_up: bool) {
    let mut piece = take_up(worker, connection);
    // Bytes that were read before are looked at first: it may have to wait for a full queue.
    let mut has_rest = !worker.buffer.is_empty();
    loop {
        let mut received = if std::mem::take(&mut has_rest) {
            ReadOutcome::Full
        } else {
            worker.buffer.receive(connection).unwrap_or(ReadOutcome::End)
        };
        if is_over(connection) {
            worker.buffer.clear();
            if matches!(received, ReadOutcome::Full | ReadOutcome::Some) {
                connection.lingers_on();
            }
        } else if received == ReadOutcome::End {
            return worker.process.cut(connection);
        }
        loop {
            match step(worker, connection, &mut piece) {
                Ok(ReadStep::Go | ReadStep::Own(_) | ReadStep::OwnEnd) => {}
                Ok(ReadStep::More) => break,
                Ok(ReadStep::Ready(request)) => {
                    if let Some(refusal) = worker.refusal() {
                        if !refuse(worker, connection, *request, refusal) {
                            return worker.process.cut(connection);
                        }
                        continue;
                    }
                    let full = received == ReadOutcome::Full;
                    match begin(worker, connection, request, piece, full) {
                        Left::Alone => return,
                        Left::Claimed(at, full) => {
                            piece = at;
                            received = if full { ReadOutcome::Full } else { ReadOutcome::Some };
                        }
                    }
                }
                Ok(ReadStep::QueueFull) => {
                    put_down(worker, connection, piece);
                    if leave_stalled(connection) {
                        return;
                    }
                    piece = take_up(worker, connection);
                    // Input that has come meanwhile may have no event of its own any more.
                    received = ReadOutcome::Full;
                }
                Ok(ReadStep::Violation(fault, why)) => {
                    return worker.process.violated(connection, fault, &why);
                }
                Err(Closed) => return worker.process.cut(connection),
            }
        }
        worker.is_late = false;
        match received {
            ReadOutcome::Full => continue,
            ReadOutcome::Some if hung_up => continue,
            ReadOutcome::End => return worker.process.forget(connection),
            ReadOutcome::Some | ReadOutcome::NotYet => {}
        }
        if is_done(worker, connection, piece) {
            return worker.process.forget(connection);
        }
        put_down(worker, connection, piece);
        if !connection.has_room() {
            return worker.process.crowded(connection);
        }
        if connection.release() {
            return;
        }
        piece = take_up(worker, connection);
        has_rest = !worker.buffer.is_empty();
    }
}

/// Answers a request that no thread takes up. Returns whether that is possible.
fn refuse(
    worker: &mut StreamWorker,
    connection: &Arc<StreamConnection>,
    request: CompleteHead,
    refusal: Refusal,
) -> bool {
    let StreamWorker { process, states, .. } = worker;
    let mut output = Output::new();
    output.begin(Framing::Stdout(request.id));
    let params = (Mode::FastCgi, &request.head.params);
    put_refusal((process, connection), params, &mut output, refusal, |head, into| {
        head.write_cgi(into);
    });
    let status = match refusal {
        Refusal::QueueFull => ProtocolStatus::OVERLOADED,
        Refusal::QueueTimeout => ProtocolStatus::REQUEST_COMPLETE,
    };
    output.record(|into| {
        put_stream_end(into, RecordKind::STDOUT, request.id);
        put_end(into, request.id, 0, status);
    });
    let taken = (request.id, &request.channel, request.keep_conn);
    let closes = take_off(process, connection, taken).unwrap_or(true);
    let CompleteHead { head, channel, .. } = request;
    states.get(ThreadState::new).spare.put(head, channel);
    let replied = stream::reply(process, connection, &mut output);
    if replied && closes && connection.sending.writer().finish(Then::Linger) {
        connection.linger();
    }
    replied
}

/// Runs a request that another thread has read.
pub(super) fn run_ready(worker: &mut StreamWorker, connection: &Arc<StreamConnection>) {
    let Some(request) = multiplexer(connection).table().ready.pop() else { return };
    if let Some(refusal) = worker.refusal() {
        if !refuse(worker, connection, *request, refusal) {
            worker.process.cut(connection);
        }
        return;
    }
    let mode = if request.channel.queue().over { InputMode::Over } else { InputMode::Queued };
    if let Left::Claimed(piece, _) =
        run(worker, connection, request, RecordPiece::default(), mode, false)
    {
        put_down(worker, connection, piece);
        worker.process.resume(connection);
    }
}

struct Closed;

/// Looks at what is at the front of the buffer, and answers what is to be answered at once.
fn step(
    worker: &mut StreamWorker,
    connection: &Arc<StreamConnection>,
    piece: &mut RecordPiece,
) -> Result<ReadStep, Closed> {
    let StreamWorker { process, buffer, states, .. } = worker;
    let state = states.get(ThreadState::new);
    let mut reader = RecordReader {
        process,
        connection,
        spare: &mut state.spare,
        replies: &mut state.replies,
        own: None,
    };
    let step = reader.step(&mut multiplexer(connection).table(), buffer, piece);
    if !state.replies.is_empty() && !reply(process, connection, &mut state.replies) {
        state.replies.clear();
        return Err(Closed);
    }
    Ok(step)
}

/// Whether all that is still to come is thrown away.
fn is_over(connection: &StreamConnection) -> bool {
    connection.due().is_some_and(|(due, _)| due == Due::End)
}

/// Whether there is nothing more to be done with a connection that was read to what there is.
fn is_done(worker: &StreamWorker, connection: &StreamConnection, piece: RecordPiece) -> bool {
    let mut table = multiplexer(connection).table();
    if !table.requests.is_empty() || is_over(connection) {
        return false;
    }
    if worker.process.is_draining() && worker.buffer.is_empty() && piece.is_idle() {
        if !table.served {
            // It may just have been accepted: what it was opened for is on its way.
            worker.process.expect_soon(connection);
            return false;
        }
        if worker.process.closes_kept() {
            table.close = true;
        } else if !table.close {
            connection.expect(Due::Request, monotonic_us() + worker.process.keep_alive_us());
        }
    }
    // The end of the last request may still be on its way out.
    table.close
        && connection.sending.try_writer().is_some_and(|mut parked| parked.finish(Then::Close))
}

/// The bytes that the connection kept go into the buffer.
fn take_up(worker: &mut StreamWorker, connection: &StreamConnection) -> RecordPiece {
    worker.buffer.clear();
    let mut kept = connection.kept();
    if !kept.rest.is_empty() {
        worker.buffer.put(&kept.rest);
        kept.clear();
        kept.rest.shrink_to(HEADER);
    }
    drop(kept);
    std::mem::take(&mut multiplexer(connection).table().piece)
}

/// Runs a request whose head is whole, on the calling thread, which has claimed the connection. If
/// all of its input is here the connection is given back before.
fn begin(
    worker: &mut StreamWorker,
    connection: &Arc<StreamConnection>,
    request: Box<CompleteHead>,
    mut piece: RecordPiece,
    full: bool,
) -> Left {
    let process = &worker.process;
    let is_over = request.channel.queue().over;
    let end = if is_over {
        Some(0)
    } else {
        piece.skip_padding(&mut worker.buffer);
        end_of_input(&worker.buffer, piece, &request)
    };
    let mut table = multiplexer(connection).table();
    table.set_due(process, connection, false, monotonic_us());
    let Some(end) = end else {
        let is_shared = table.requests.len() > 1;
        // The thread that is to take in the body before its response begins has to have it.
        let is_free = worker.buffer.is_empty() && !full && !request.is_half_duplex();
        if is_shared || is_free {
            // The application is not reading yet, so another thread may read the connection.
            table.piece = piece;
            drop(table);
            let mut kept = connection.kept();
            kept.rest.extend_from_slice(worker.buffer.unread());
            let has_rest = full || !kept.rest.is_empty();
            drop(kept);
            worker.buffer.clear();
            if has_rest || !connection.release() {
                process.resume(connection);
            }
            return run(
                worker,
                connection,
                request,
                RecordPiece::default(),
                InputMode::Queued,
                false,
            );
        }
        drop(table);
        return run(worker, connection, request, piece, InputMode::Claimed, full);
    };
    table.piece = if is_over { piece } else { RecordPiece::default() };
    drop(table);
    let mut kept = connection.kept();
    kept.rest.extend_from_slice(&worker.buffer.unread()[end..]);
    let has_rest = full || !kept.rest.is_empty();
    drop(kept);
    worker.buffer.truncate(end);
    if has_rest || !connection.release() {
        process.resume(connection);
    }
    let mode = if is_over { InputMode::Over } else { InputMode::Whole };
    let _ = run(worker, connection, request, piece, mode, false);
    Left::Alone
}

/// Returns the end of a request's input, if all of it is at the front of the buffer and nothing
/// else is in between.
fn end_of_input(buffer: &Buffer, piece: RecordPiece, request: &CompleteHead) -> Option<usize> {
    let bytes = buffer.unread();
    let mut at = piece.content + piece.padding;
    let mut kind = RecordKind::STDIN;
    loop {
        let header = RecordHeader::decode(bytes.get(at..)?.first_chunk::<HEADER>()?).ok()?;
        if header.kind != kind || header.request_id != request.id {
            return None;
        }
        at += header.size();
        if at > bytes.len() {
            return None;
        }
        if header.content_length == 0 {
            if request.role != Role::FILTER || kind == RecordKind::DATA {
                return Some(at);
            }
            kind = RecordKind::DATA;
        }
    }
}
