//! A request for a process group, as httpd's handler has it: on its thread, or giving the thread back
//! while the process works.

use std::time::Instant;

use super::failure::Failure;
use super::group::Group;
use super::packet::Call;
use super::phases::PhaseTimes;
use super::relay::{Relay, Stretch};
use super::tempo::{QUICK, Stay, Tempo};
use super::wait::{Patience, Wait};
use crate::adapter::{
    self, ExchangeContext, First, Here, OnOffAuto, Place, RequestExchange, RequestInput, Work,
};
use crate::gateway::{Error, ErrorKind, Outcome};
use crate::httpd::{HookStatus, PoolRef, Request, mpm, suspend};
use crate::os::Awaits;

impl Group {
    /// Answers a request through a process of the group, as httpd's handler. `at_end` is called at
    /// the end of a request that gave its thread back.
    pub(crate) fn serve<'r>(
        group: PoolRef<Self>,
        request: &Request<'r>,
        call: Call<'r>,
        facts: ExchangeContext<'r>,
        phases: &'r PhaseTimes,
        mode: OnOffAuto,
        at_end: impl FnOnce(&Request<'r>) + 'r,
    ) -> HookStatus {
        if adapter::allows(request, mode) {
            // The state between visits borrows the request.
            let request = request.kept();
            let input = match RequestInput::new(request) {
                Ok(input) => input,
                Err(status) => return HookStatus::from_raw(status),
            };
            return adapter::run(request, facts, mode, at_end, |exchange, place| {
                let relay = Relay::new(group, exchange, call, input, phases);
                Released::first(relay, &group.tempo, exchange, place)
            });
        }
        let input = match RequestInput::new(request) {
            Ok(input) => input,
            Err(status) => return HookStatus::from_raw(status),
        };
        RequestExchange::with(request, facts, |exchange| {
            let mut relay = Relay::new(group, exchange, call, input, phases);
            let ended = relay.on_thread(exchange);
            relay.conclude(exchange, ended)
        })
    }
}

/// The short waits in a row that a thread spends on one request. After that the request gets in line
/// behind others.
const MOST_MOMENTS: u32 = 64;

/// Returns whether the thread may stay with a request that is not answered at once.
fn may_stay(stay: &mut Option<Stay>, takes_time: bool) -> bool {
    if takes_time && stay.is_none() {
        *stay = Stay::begin(mpm::threads());
    }
    stay.as_ref().is_some_and(|stay| !stay.is_over())
}

/// The rest of a request's way through a process group.
pub(super) struct Released<'r> {
    relay: Relay<'r, 'r>,
    /// The events that it waits for, and since when.
    wait: Wait,
    since: Instant,
    ended: Option<Result<Outcome, Failure>>,
}

impl<'r> Released<'r> {
    /// Goes to the end, or to a wait that is not over in a moment.
    pub(super) fn first(
        mut relay: Relay<'r, 'r>,
        tempo: &Tempo,
        exchange: &RequestExchange<'r, 'r>,
        place: &Place<'r>,
    ) -> First<Self> {
        let is_slow = tempo.is_slow();
        let (mut waited, mut cannot_leave, mut left) = (None, false, MOST_MOMENTS);
        let mut stay = None;
        loop {
            let wait = match relay.go_on(exchange, waited) {
                Ok(Stretch::Waits(wait)) => wait,
                Ok(Stretch::Over(outcome)) => {
                    return First::Over(relay.conclude(exchange, Ok(outcome)));
                }
                Err(failure) => return First::Over(relay.conclude(exchange, Err(failure))),
            };
            let is_for_answer = wait.is_for_process() && !relay.has_begun();
            let patience = if cannot_leave {
                Patience::Thread
            } else if is_for_answer && may_stay(&mut stay, is_slow || relay.is_quiet()) {
                Patience::Moment
            } else if left > 0 && !relay.is_quiet() && !(is_for_answer && is_slow) {
                left -= 1;
                Patience::Moment
            } else {
                if is_for_answer && relay.is_quiet() {
                    tempo.note(false);
                }
                if place.can_wait() {
                    let since = Instant::now();
                    return First::Waits(Self { relay, wait, since, ended: None });
                }
                (cannot_leave, stay) = (true, None);
                Patience::Thread
            };
            waited = Some((wait, patience));
        }
    }

    /// Goes on, and waits for a moment on the thread if the last wait was as short.
    fn advance(
        &mut self,
        here: &Here<'_, 'r>,
        mut waited: Option<(Wait, Patience)>,
    ) -> adapter::Turn {
        let is_quick = waited.is_some() && self.since.elapsed() < QUICK;
        let mut left = if is_quick { MOST_MOMENTS } else { 0 };
        let request = here.exchange().request();
        let mut is_sent = false;
        loop {
            let wait = match self.relay.go_on(here.exchange(), waited) {
                Ok(Stretch::Waits(wait)) => wait,
                Ok(Stretch::Over(outcome)) => return self.over(Ok(outcome)),
                Err(failure) => return self.over(Err(failure)),
            };
            self.wait = wait;
            if left > 0 && !self.relay.is_quiet() {
                left -= 1;
                waited = Some((wait, Patience::Moment));
                continue;
            }
            self.relay.free();
            suspend::send_before_wait(request);
            if request.is_aborted() {
                let gone = "the client left while it was answered";
                return adapter::Turn::Failed(Error::of(ErrorKind::ClientGone, gone));
            }
            // The client is waited for then.
            if request.has_unsent_output() && !wait.client.room && !is_sent {
                (waited, is_sent) = (None, true);
                continue;
            }
            return self.leave(here);
        }
    }

    fn over(&mut self, ended: Result<Outcome, Failure>) -> adapter::Turn {
        self.ended = Some(ended);
        adapter::Turn::Over
    }

    fn leave(&mut self, here: &Here<'_, 'r>) -> adapter::Turn {
        self.since = Instant::now();
        let client = self.wait.client;
        match self.relay.watch(here, self.wait) {
            Ok(longest) => adapter::Turn::Waits(adapter::Wait {
                client: Awaits { input: client.input, room: client.room, departure: false },
                longest: Some(longest),
                is_called: false,
                is_deaf: false,
            }),
            Err(error) => adapter::Turn::Failed(adapter::unwatched(&error)),
        }
    }
}

impl<'r> Work<'r> for Released<'r> {
    // One for the connection to the process.
    const DESCRIPTORS: usize = 3;

    fn settle(&mut self, here: &Here<'_, 'r>) -> adapter::Turn {
        self.relay.free();
        self.advance(here, None)
    }

    fn go_on(&mut self, here: &Here<'_, 'r>, _: bool) -> adapter::Turn {
        self.advance(here, Some((self.wait, Patience::None)))
    }

    fn give_up(&mut self, here: &Here<'_, 'r>, error: Error) -> bool {
        self.ended = Some(Ok(self.relay.give_up(here.exchange(), error)));
        true
    }

    fn conclude(&mut self, exchange: &RequestExchange<'r, 'r>) -> HookStatus {
        match self.ended.take() {
            Some(ended) => self.relay.conclude(exchange, ended),
            None => HookStatus::Done,
        }
    }
}
