//! The packet that a request goes to a process in: HELLO, its variables and headers, and what has come
//! of its body.

use std::cell::RefCell;

use super::group::Group;
use super::outgoing::Outgoing;
use super::request_body::RelayedBody;
use crate::adapter::RequestExchange;
use crate::gateway::Variables as _;
use crate::httpd::log;
use crate::process_group::ProcessState;
use crate::protocol::bridge::{
    EncodeError, FrameLimits, HEADER, HELLO, Pairs, RequestEncoder, RequestFacts, put_hello,
};
use crate::server::workers::size::MOST_BLOCKED;

/// Which application a process of the group is to run.
#[derive(Clone, Copy)]
pub(crate) struct Call<'r> {
    /// Its number in the module.
    pub(crate) application: u32,
    /// Its options.
    pub(crate) options: Pairs<'r>,
    /// Whether the group counts as idle although it has this request.
    pub(crate) ignores_activity: bool,
}

/// HELLO with its header, which only a new connection sends.
pub(super) const HELLO_FRAME: usize = HEADER + HELLO;
/// The place of the flags in the REQUEST behind it.
pub(super) const REQUEST_FLAGS: usize = HELLO_FRAME + 5;

thread_local! {
    /// The memory of the last packet, which is used again.
    static PACKET: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A packet that grew beyond this is not kept, in bytes.
const MOST: usize = 256 * 1024;

/// Returns an empty packet, with the room of the last one of this thread.
pub(super) fn take<'r>() -> Outgoing<'r> {
    let mut frames = PACKET.take();
    frames.clear();
    Outgoing::new(frames)
}

/// Keeps the room of a packet's frames for the next.
pub(super) fn give_back(frames: Vec<u8>) {
    if frames.capacity() <= MOST {
        PACKET.set(frames);
    }
}

impl Group {
    /// Puts HELLO, the request and what has come of its body into one packet.
    pub(super) fn pack<'r>(
        &self,
        packet: &mut Outgoing<'r>,
        exchange: &RequestExchange<'_, 'r>,
        call: Call<'_>,
        upload: &mut RelayedBody<'_, 'r>,
    ) -> Result<(), EncodeError> {
        put_hello(&mut packet.frames, &self.board.group.token());
        let request = exchange.request();
        let mut encoder = RequestEncoder::begin(
            &mut packet.frames,
            &RequestFacts {
                ticket: 0,
                start_us: request.time_us().cast_unsigned(),
                sent_us: 0,
                incarnation: 0,
                length: upload.length(),
                application: call.application,
                options: call.options,
                server: request.server().name(),
                target: request.unparsed_uri(),
                expect: upload.is_held(),
                error_override: exchange.overrides_errors(),
                ignored: call.ignores_activity,
                log_level: log::request_level(request),
                upgrade: exchange.header(b"upgrade").is_some() && request.can_switch_protocols(),
            },
        );
        exchange.each_variable(&mut |name, value| encoder.variable(name, value));
        let mut headers = encoder.headers();
        exchange.each_header(&mut |name, value| headers.header(name, value));
        headers.finish(&FrameLimits::default())?;
        upload.begin(packet, || self.is_crowded());
        Ok(())
    }
}

impl Group {
    /// Returns whether each process has so many requests that a small body should not be waited for
    /// there: one for each thread, and half of those that may wait beside them.
    fn is_crowded(&self) -> bool {
        let threads = self.options.threads as usize;
        let most = threads + MOST_BLOCKED / 2;
        let mut ready =
            self.board.slots.iter().filter(|slot| slot.state() == ProcessState::Ready).peekable();
        ready.peek().is_some()
            && ready.all(|slot| slot.running().saturating_add(slot.parked()) as usize >= most)
    }
}
