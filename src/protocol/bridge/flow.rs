//! Which frame may come when: the state of a connection, the same on both sides.
//!
//! Each side passes what it sends and what it receives. Frames of the two sides cross on their way.
//! Each rule is about a frame and its cause at the sender, so both sides agree.

use std::error::Error;
use std::fmt;

use super::kind::{Kind, flags};

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BridgeFlow {
    /// Whether HELLO has passed.
    greeted: bool,
    stage: Stage,
    input: InputState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// No request, or the daemon process has done with it.
    Rest,
    /// A request, and nothing of its response. SWITCH may come.
    Waiting { upgrade: bool },
    /// HEAD has passed.
    Head,
    /// A piece of the body has passed, or SWITCH.
    Body,
    /// A FILE, which is the whole body, has passed.
    File,
    /// A command without its answer.
    Control,
    /// The daemon process is closing the connection.
    Over,
}

/// The request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum InputState {
    /// There is none, or it has ended in one way or another.
    Ended,
    /// It waits for CONTINUE.
    Held,
    /// Its pieces pass.
    Open,
}

impl Default for BridgeFlow {
    fn default() -> Self {
        Self::new()
    }
}

impl BridgeFlow {
    /// Returns a connection on which nothing has passed.
    #[must_use]
    pub const fn new() -> Self {
        Self { greeted: false, stage: Stage::Rest, input: InputState::Ended }
    }

    /// Returns the state behind a REQUEST with these flags, for a peer that looks only at what it
    /// receives.
    #[must_use]
    pub const fn of_request(flags: u8) -> Self {
        let input = match (flags & flags::BODY, flags & flags::EXPECT) {
            (0, _) => InputState::Ended,
            (_, 0) => InputState::Open,
            _ => InputState::Held,
        };
        // Only without a body: the bytes after it are the other protocol's.
        let upgrade = flags & (flags::UPGRADE | flags::BODY) == flags::UPGRADE;
        Self { greeted: true, stage: Stage::Waiting { upgrade }, input }
    }

    /// Returns a frame passes, whichever side has sent it.
    ///
    /// # Errors
    ///
    /// Returns an error if it may not come now. The state stays as it was; the connection cannot be
    /// used any more.
    pub fn pass(&mut self, kind: Kind, flags: u8) -> Result<(), FlowError> {
        *self = self.after(kind, flags).ok_or(FlowError { flow: *self, frame: kind, flags })?;
        Ok(())
    }

    /// Tells whether the connection can take a REQUEST, or be kept for one.
    #[must_use]
    pub const fn is_at_rest(&self) -> bool {
        self.greeted && matches!((self.stage, self.input), (Stage::Rest, InputState::Ended))
    }

    /// Tells whether the daemon process still owes a frame that ends the request.
    #[must_use]
    pub const fn is_answering(&self) -> bool {
        matches!(self.stage, Stage::Waiting { .. } | Stage::Head | Stage::Body | Stage::File)
    }

    /// Tells whether the httpd child still owes a frame that ends the request body.
    #[must_use]
    pub const fn owes_input(&self) -> bool {
        !matches!(self.input, InputState::Ended)
    }

    /// Tells whether INPUT may be sent now: there is a body, and it does not wait for CONTINUE.
    #[must_use]
    pub const fn takes_input(&self) -> bool {
        matches!(self.input, InputState::Open)
    }

    /// Tells whether HEAD or SWITCH has passed, so that a failure has to break the response off.
    #[must_use]
    pub const fn has_head(&self) -> bool {
        matches!(self.stage, Stage::Head | Stage::Body | Stage::File)
    }

    fn after(self, kind: Kind, flags: u8) -> Option<Self> {
        let Self { greeted, stage, input } = self;
        let resting = stage == Stage::Rest && input == InputState::Ended;
        let (greeted, stage, input) = match kind {
            Kind::Hello if resting && !greeted => (true, stage, input),
            Kind::Request if resting && greeted => return Some(Self::of_request(flags)),
            Kind::Input if input == InputState::Open => (greeted, stage, input),
            Kind::InputEnd if input == InputState::Open => (greeted, stage, InputState::Ended),
            Kind::InputFailed if input == InputState::Open => (greeted, stage, InputState::Ended),
            Kind::InputStop
                if input != InputState::Ended && matches!(stage, Stage::Rest | Stage::Over) =>
            {
                (greeted, stage, InputState::Ended)
            }
            Kind::Continue if self.is_answering() && input == InputState::Held => {
                (greeted, stage, InputState::Open)
            }
            Kind::Log if self.is_answering() => (greeted, stage, input),
            Kind::Switch if stage == (Stage::Waiting { upgrade: true }) => {
                (greeted, Stage::Body, InputState::Open)
            }
            Kind::Head if matches!(stage, Stage::Waiting { .. }) => (greeted, Stage::Head, input),
            Kind::Body if matches!(stage, Stage::Head | Stage::Body) => {
                (greeted, Stage::Body, input)
            }
            Kind::File if stage == Stage::Head => (greeted, Stage::File, input),
            Kind::End if self.has_head() => (greeted, rest(flags), input),
            Kind::Failed if self.is_answering() => (greeted, rest(flags), input),
            Kind::Status | Kind::Redirect if matches!(stage, Stage::Waiting { .. }) => {
                (greeted, rest(flags), input)
            }
            // Nothing makes a daemon process send it: it may pass a REQUEST on its way.
            Kind::Refused
                if matches!(stage, Stage::Rest | Stage::Waiting { .. } | Stage::Control) =>
            {
                (greeted, Stage::Over, InputState::Ended)
            }
            // An administrator's command knows no token: CONTROL may come without HELLO.
            Kind::Control if resting => (greeted, Stage::Control, input),
            Kind::Reply if stage == Stage::Control => (greeted, Stage::Rest, input),
            _ => return None,
        };
        Some(Self { greeted, stage, input })
    }
}

/// Returns the state after a request's last frame with these flags.
const fn rest(flags: u8) -> Stage {
    if flags & flags::CLOSE == 0 { Stage::Rest } else { Stage::Over }
}

/// A frame at a time when it cannot come. The connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowError {
    flow: BridgeFlow,
    frame: Kind,
    flags: u8,
}

impl FlowError {
    /// Returns the frame that came.
    #[must_use]
    pub const fn frame(&self) -> Kind {
        self.frame
    }
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match (self.flow.stage, self.flow.input) {
            (Stage::Rest, InputState::Ended) if !self.flow.greeted => "before HELLO",
            (Stage::Rest, InputState::Ended) => "between two requests",
            (Stage::Rest, _) => "after the response, before the end of the request body",
            (Stage::Waiting { .. }, _) => "before HEAD",
            (Stage::Head | Stage::Body, _) => "after HEAD or SWITCH",
            (Stage::File, _) => "after FILE",
            (Stage::Control, _) => "after CONTROL",
            (Stage::Over, _) => "on a connection that is being closed",
        };
        let Self { frame, flags, .. } = self;
        let peer = frame.sent_by();
        write!(f, "bridge frame {frame} (flags {flags}) came {state}; allowed from {peer}")?;
        let allowed = |kind: &Kind| {
            let passes = |flags| self.flow.after(*kind, flags).is_some();
            kind.sent_by() == peer && (passes(0) || passes(kind.flags()))
        };
        let mut word = " are ";
        for kind in Kind::ALL.iter().filter(|kind| allowed(kind)) {
            write!(f, "{word}{kind}")?;
            word = ", ";
        }
        if word == ", " { Ok(()) } else { f.write_str(" is none") }
    }
}

impl Error for FlowError {}
