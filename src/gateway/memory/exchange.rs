//! The exchange in memory: records the calls, and checks the order that [`Exchange`] promises.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::response::TestResponse;
use super::variables::VariableTable;
use crate::gateway::application::Application;
use crate::gateway::code::Level;
use crate::gateway::error::{Error, ErrorKind, Result};
#[cfg(feature = "tower")]
use crate::gateway::exchange::Upgrade;
use crate::gateway::exchange::{Exchange, Interest, SharedVariables, Variables, Woken};
use crate::gateway::file::FileBody;
use crate::gateway::header;
use crate::gateway::input::InputSource;
use crate::gateway::panic;
use crate::gateway::run::{Awaited, Outcome, Progress, Suspend, start};
use crate::gateway::status::Status;

/// The behaviour of client and server while the application works.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientBehaviour {
    /// It reads this many bytes of the response's body and then leaves.
    pub(super) leaves_after: Option<u64>,
    /// It leaves as soon as the application waits.
    pub(super) leaves_at_wait: bool,
    /// The server cannot wait for the request body beside the waker.
    pub(super) must_block: bool,
    pub(super) deadline: Duration,
}

/// The next event of the request body.
#[derive(Clone, Debug)]
pub(super) enum BodyStep {
    Data(Bytes),
    /// Nothing is there until the application waits.
    Pause,
    /// Nothing is there until the client has this many bytes of the response.
    AfterOutput(u64),
    Fail(ErrorKind),
}

pub(super) struct Memory {
    table: Arc<VariableTable>,
    client: ClientBehaviour,
    bell: Arc<Bell>,
    steps: RefCell<VecDeque<BodyStep>>,
    record: RefCell<ResponseRecord>,
}

#[derive(Default)]
struct ResponseRecord {
    phase: ResponsePhase,
    status: StatusCode,
    reason: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
    writes: Vec<usize>,
    flushes: Vec<u64>,
    trailers: Option<HeaderMap>,
    log: Vec<(Level, String)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ResponsePhase {
    #[default]
    Idle,
    Head,
    Body,
    Finished,
}

impl Memory {
    pub(super) fn new(
        table: Arc<VariableTable>,
        steps: VecDeque<BodyStep>,
        client: ClientBehaviour,
    ) -> Self {
        Self {
            table,
            client,
            bell: Arc::default(),
            steps: RefCell::new(steps),
            record: RefCell::default(),
        }
    }

    /// Takes the request body's next step if it is `due`, else returns a copy as an error. Returns
    /// `None` at the end.
    pub(super) fn next_step(
        &self,
        due: impl FnOnce(&BodyStep) -> bool,
    ) -> Option<Result<BodyStep, BodyStep>> {
        let mut steps = self.steps.borrow_mut();
        let step = steps.front()?.clone();
        if due(&step) {
            steps.pop_front();
            return Some(Ok(step));
        }
        Some(Err(step))
    }

    /// Returns the number of flushed bytes of the response's body.
    pub(super) fn received(&self) -> u64 {
        self.record.borrow().flushes.last().copied().unwrap_or(0)
    }

    pub(super) fn into_response(self, outcome: Outcome) -> TestResponse {
        let record = self.record.into_inner();
        let mut response = TestResponse {
            status: record.status,
            reason: record.reason,
            headers: record.headers,
            body: record.body.into(),
            writes: record.writes,
            flushes: record.flushes,
            trailers: record.trailers,
            log: record.log,
            outcome,
        };
        // The server's own response has no part of the application's.
        let instead = match &response.outcome {
            Outcome::Complete | Outcome::Broken(_) => return response,
            Outcome::Status(status) => *status,
            Outcome::Redirect(_) => StatusCode::OK,
            Outcome::Failed(error) => error.status(),
        };
        assert!(
            !matches!(record.phase, ResponsePhase::Body | ResponsePhase::Finished),
            "an error page was asked for after the head had gone out"
        );
        response.status = instead;
        response.reason = None;
        response.headers.clear();
        response
    }

    fn step_to(&self, allowed: &[ResponsePhase], next: ResponsePhase) {
        let mut record = self.record.borrow_mut();
        assert!(
            allowed.contains(&record.phase),
            "the exchange went from {:?} to {next:?}",
            record.phase
        );
        record.phase = next;
    }

    fn entity_tag(file: &FileBody) -> Vec<u8> {
        format!("\"{:x}-{:x}\"", file.length(), file.modified_us()).into_bytes()
    }
}

#[cfg(all(test, feature = "tower"))]
thread_local! {
    /// Whether services wait on this thread, as behind servers that cannot suspend a request.
    pub(crate) static STAYS_ON_THREAD: std::cell::Cell<bool> =
        const { std::cell::Cell::new(false) };
}

impl Memory {
    /// Runs the application: a service is visited when it was woken, by this thread.
    pub(super) fn run(
        &self,
        application: &dyn Application,
        input: &mut dyn InputSource,
    ) -> Outcome {
        #[cfg(all(test, feature = "tower"))]
        if STAYS_ON_THREAD.get() {
            return crate::gateway::run::run(application, self, input);
        }
        let mut progress = start(application, self, input, self);
        loop {
            let suspended = match progress {
                Progress::Done(outcome) => return outcome,
                Progress::Suspended(suspended) => suspended,
            };
            let interest = match suspended.awaited() {
                Awaited::Input => Interest::Input,
                Awaited::Waker | Awaited::Room => Interest::Waker,
            };
            // It panics where no waker comes, which `run` would catch.
            let error = match panic::catch(|| self.park(interest)) {
                Ok(Woken::Gone) => Error::of(ErrorKind::ClientGone, "the client left"),
                Ok(_) => {
                    progress = suspended.resume(self, input, self);
                    continue;
                }
                Err(message) => Error::panicked(message),
            };
            return suspended.give_up(self, error);
        }
    }
}

impl Suspend for Memory {
    fn waker(&self) -> Option<Waker> {
        // Such a server cannot wait for both.
        (!self.client.must_block).then(|| Waker::from(self.bell.clone()))
    }
}

impl Variables for Memory {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.table.variable(key)
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        SharedVariables::each(&*self.table, visit);
    }

    fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.table.header(name)
    }

    fn each_header(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.table.each_header(visit);
    }

    fn header_count(&self) -> usize {
        self.table.header_count()
    }

    fn raw_target(&self) -> &[u8] {
        self.table.target()
    }
}

impl Exchange for Memory {
    fn begin(&self, status: Status<'_>) {
        self.step_to(&[ResponsePhase::Idle, ResponsePhase::Head], ResponsePhase::Head);
        let mut record = self.record.borrow_mut();
        record.status = status.code();
        record.reason = status.reason().map(<[u8]>::to_vec);
        record.headers.clear();
    }

    fn put_header(&self, name: &[u8], value: &[u8]) {
        self.step_to(&[ResponsePhase::Head], ResponsePhase::Head);
        self.record.borrow_mut().headers.push((name.to_vec(), value.to_vec()));
    }

    fn commit(&self, length: Option<u64>) {
        self.step_to(&[ResponsePhase::Head], ResponsePhase::Body);
        if let Some(length) = length {
            let header = (b"Content-Length".to_vec(), length.to_string().into_bytes());
            self.record.borrow_mut().headers.push(header);
        }
    }

    fn write(&self, data: Bytes) -> Result<()> {
        self.step_to(&[ResponsePhase::Body], ResponsePhase::Body);
        let mut record = self.record.borrow_mut();
        if self.client.leaves_after.is_some_and(|bytes| record.body.len() as u64 >= bytes) {
            return Err(Error::of(ErrorKind::ClientGone, "the client has left"));
        }
        record.writes.push(data.len());
        record.body.extend_from_slice(&data);
        Ok(())
    }

    /// Evaluates entity tags only, because a test does not know the other validators.
    fn conditions(&self, file: &FileBody) -> Option<StatusCode> {
        let own =
            |name: &[u8], value: &[u8]| name.eq_ignore_ascii_case(b"etag").then(|| value.to_vec());
        let given = self.record.borrow().headers.iter().find_map(|(name, value)| own(name, value));
        let tag = match given {
            Some(tag) => tag,
            None => {
                let tag = Self::entity_tag(file);
                self.put_header(b"ETag", &tag);
                tag
            }
        };
        let matches = |condition: &[u8]| header::lists_tag(condition, &tag, false);
        if self.header(b"if-match").is_some_and(|condition| !matches(condition)) {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
        self.header(b"if-none-match").is_some_and(matches).then_some(StatusCode::NOT_MODIFIED)
    }

    #[cfg(feature = "tower")]
    fn upgrade(&self) -> Upgrade {
        if self.client.must_block { Upgrade::None } else { Upgrade::Tunnel }
    }

    fn file(&self, file: FileBody) -> Result<()> {
        let mut data = Vec::new();
        file.into_reader()?.read_to_end(&mut data)?;
        self.write(data.into())
    }

    fn flush(&self) -> Result<()> {
        self.step_to(&[ResponsePhase::Body], ResponsePhase::Body);
        let mut record = self.record.borrow_mut();
        let sent = record.body.len() as u64;
        record.flushes.push(sent);
        Ok(())
    }

    fn finish(&self, trailers: Option<HeaderMap>) -> Result<()> {
        self.step_to(&[ResponsePhase::Body], ResponsePhase::Finished);
        self.record.borrow_mut().trailers = trailers;
        Ok(())
    }

    fn logs(&self, _level: Level) -> bool {
        true
    }

    fn log(&self, level: Level, message: &str) {
        self.record.borrow_mut().log.push((level, message.to_owned()));
    }

    fn share(&self) -> Arc<dyn SharedVariables> {
        self.table.clone()
    }

    fn waker(&self) -> Waker {
        Waker::from(self.bell.clone())
    }

    fn park(&self, interest: Interest) -> Woken {
        if self.client.leaves_at_wait {
            return Woken::Gone;
        }
        if interest == Interest::Input {
            if self.client.must_block {
                return Woken::MustBlock;
            }
            let received = self.received();
            match self.next_step(|step| matches!(step, BodyStep::Pause)) {
                Some(Err(BodyStep::AfterOutput(bytes))) if received < bytes => {}
                _ => return Woken::Input,
            }
        }
        self.bell.wait(self.client.deadline);
        Woken::Called
    }
}

/// The event behind the waker.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    condition: Condvar,
}

impl Bell {
    fn wait(&self, deadline: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut rung, timeout) = self
            .condition
            .wait_timeout_while(rung, deadline, |rung| !*rung)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "no waker woke the application within {deadline:?}");
        *rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condition.notify_one();
    }
}
