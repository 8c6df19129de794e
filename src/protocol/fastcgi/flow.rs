//! Which record of a request may come when: sections 5 and 6.

use super::error::{RecordError, RecordErrorKind};
use super::header::RecordHeader;
use super::kind::{RecordKind, Role};

/// One request, from its BEGIN_REQUEST on, as it comes from the web server. What comes is in
/// sequence (6.1): PARAMS to its end, STDIN to its end and, for a filter, DATA to its end.
///
/// | role | input |
/// | --- | --- |
/// | responder | PARAMS, STDIN |
/// | authorizer | PARAMS; STDIN may come (lighttpd sends its end) or not (httpd) |
/// | filter | PARAMS, STDIN, DATA |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestFlow {
    role: Role,
    state: FlowState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlowState {
    Params,
    Stdin,
    Data,
    Whole,
}

/// The meaning of a record for its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A piece of PARAMS.
    Params,
    /// PARAMS has ended.
    ParamsEnd,
    /// A piece of STDIN.
    Stdin,
    /// STDIN has ended.
    StdinEnd,
    /// A piece of DATA.
    Data,
    /// DATA has ended.
    DataEnd,
    /// The web server wants the request to end.
    Abort,
}

impl RequestFlow {
    /// Returns a request that has begun.
    #[must_use]
    pub const fn begin(role: Role) -> Self {
        Self { role, state: FlowState::Params }
    }

    /// Returns a record of this request has come, or its header.
    ///
    /// # Errors
    ///
    /// A record that cannot come now: nothing has changed then, but the web server and this side
    /// are not at the same point any more.
    pub const fn pass(&mut self, header: &RecordHeader) -> Result<Step, RecordError> {
        let ended = header.content_length == 0;
        let (step, next) = match (self.state, header.kind) {
            (state, RecordKind::ABORT_REQUEST) => (Step::Abort, state),
            (FlowState::Params, RecordKind::PARAMS) if ended => (Step::ParamsEnd, FlowState::Stdin),
            (FlowState::Params, RecordKind::PARAMS) => (Step::Params, FlowState::Params),
            (FlowState::Stdin, RecordKind::STDIN) if ended => {
                let filter = matches!(self.role, Role::FILTER);
                (Step::StdinEnd, if filter { FlowState::Data } else { FlowState::Whole })
            }
            (FlowState::Stdin, RecordKind::STDIN) => (Step::Stdin, FlowState::Stdin),
            (FlowState::Data, RecordKind::DATA) if ended => (Step::DataEnd, FlowState::Whole),
            (FlowState::Data, RecordKind::DATA) => (Step::Data, FlowState::Data),
            (state, kind) => {
                let allowed = match state {
                    FlowState::Params => "PARAMS and ABORT_REQUEST",
                    FlowState::Stdin => "STDIN and ABORT_REQUEST",
                    FlowState::Data => "DATA and ABORT_REQUEST",
                    FlowState::Whole => "ABORT_REQUEST",
                };
                return Err(RecordError::new(
                    1,
                    Some(kind),
                    RecordErrorKind::Unexpected { allowed },
                ));
            }
        };
        self.state = next;
        Ok(step)
    }

    /// Returns the role.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Returns whether the application can answer: a filter has to have STDIN in full (6.4), the
    /// others PARAMS.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        match self.state {
            FlowState::Params => false,
            FlowState::Stdin => !matches!(self.role, Role::FILTER),
            FlowState::Data | FlowState::Whole => true,
        }
    }

    /// Tells whether nothing but an ABORT_REQUEST is to come. An authorizer's STDIN need not come.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        match self.state {
            FlowState::Params | FlowState::Data => false,
            FlowState::Stdin => matches!(self.role, Role::AUTHORIZER),
            FlowState::Whole => true,
        }
    }
}
