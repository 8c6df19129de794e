//! The kinds of frames: the sender of each, the flags that it may carry, and the sizes that hold
//! for every version of the protocol.

use std::fmt;

/// The version of the protocol. Both sides come out of one module, so there is one at a time.
pub const VERSION: u16 = 2;

/// The bytes of a frame's header.
pub const HEADER: usize = 8;

/// The bytes of HELLO's payload, in every version.
pub const HELLO: usize = 28;

/// The sender of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An httpd child, or an administrator's command: the side that connected.
    Child,
    /// A daemon process.
    Daemon,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Child => "an httpd child",
            Self::Daemon => "a daemon process",
        })
    }
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The first frame of a connection.
    Hello = 1,
    /// A request without its body.
    Request = 2,
    /// A piece of the request body.
    Input = 3,
    /// The request body is complete.
    InputEnd = 4,
    /// The request body is not going to be complete.
    InputFailed = 5,
    /// The rest of the request body is not going to be sent, as the response is complete.
    InputStop = 6,
    /// The application reads the request body now.
    Continue = 16,
    /// Status and headers of the response.
    Head = 17,
    /// A piece of the response body.
    Body = 18,
    /// A file, or a range of one, as the response body.
    File = 19,
    /// The response is complete.
    End = 20,
    /// Nothing was sent: httpd answers with this status itself.
    Status = 21,
    /// Nothing was sent: an internal redirect.
    Redirect = 22,
    /// The response failed, before its head or after.
    Failed = 23,
    /// A line for the request's ErrorLog.
    Log = 24,
    /// The daemon process does not talk to this peer.
    Refused = 25,
    /// The connection of the client becomes another protocol's.
    Switch = 26,
    /// An administrator's command.
    Control = 32,
    /// The answer to one.
    Reply = 33,
}

impl Kind {
    /// Every kind, by number.
    pub const ALL: [Self; 19] = [
        Self::Hello,
        Self::Request,
        Self::Input,
        Self::InputEnd,
        Self::InputFailed,
        Self::InputStop,
        Self::Continue,
        Self::Head,
        Self::Body,
        Self::File,
        Self::End,
        Self::Status,
        Self::Redirect,
        Self::Failed,
        Self::Log,
        Self::Refused,
        Self::Switch,
        Self::Control,
        Self::Reply,
    ];

    /// Returns the kind with this number, if there is one.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Hello,
            2 => Self::Request,
            3 => Self::Input,
            4 => Self::InputEnd,
            5 => Self::InputFailed,
            6 => Self::InputStop,
            16 => Self::Continue,
            17 => Self::Head,
            18 => Self::Body,
            19 => Self::File,
            20 => Self::End,
            21 => Self::Status,
            22 => Self::Redirect,
            23 => Self::Failed,
            24 => Self::Log,
            25 => Self::Refused,
            26 => Self::Switch,
            32 => Self::Control,
            33 => Self::Reply,
            _ => return None,
        })
    }

    /// Returns its number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the peer that may send it. No kind goes both ways.
    #[must_use]
    pub const fn sent_by(self) -> Peer {
        match self {
            Self::Hello
            | Self::Request
            | Self::Input
            | Self::InputEnd
            | Self::InputFailed
            | Self::InputStop
            | Self::Control => Peer::Child,
            _ => Peer::Daemon,
        }
    }

    /// Returns the flags that it may carry.
    #[must_use]
    pub const fn flags(self) -> u8 {
        match self {
            Self::Request => {
                flags::BODY
                    | flags::EXPECT
                    | flags::ERROR_OVERRIDE
                    | flags::IGNORED
                    | flags::LEVEL
                    | flags::UPGRADE
            }
            Self::Head | Self::Body => flags::FLUSH,
            Self::File => flags::WHOLE,
            Self::End | Self::Status | Self::Redirect | Self::Failed => flags::CLOSE,
            _ => 0,
        }
    }

    /// Tells whether the daemon process has done with the request once it has sent this.
    #[must_use]
    pub const fn is_last(self) -> bool {
        matches!(self, Self::End | Self::Status | Self::Redirect | Self::Failed)
    }

    /// Returns its name in docs/bridge.md.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hello => "HELLO",
            Self::Request => "REQUEST",
            Self::Input => "INPUT",
            Self::InputEnd => "INPUT_END",
            Self::InputFailed => "INPUT_FAILED",
            Self::InputStop => "INPUT_STOP",
            Self::Continue => "CONTINUE",
            Self::Head => "HEAD",
            Self::Body => "BODY",
            Self::File => "FILE",
            Self::End => "END",
            Self::Status => "STATUS",
            Self::Redirect => "REDIRECT",
            Self::Failed => "FAILED",
            Self::Log => "LOG",
            Self::Refused => "REFUSED",
            Self::Switch => "SWITCH",
            Self::Control => "CONTROL",
            Self::Reply => "REPLY",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Flags of frames. The same bit means different things in frames of a child and of a daemon.
pub mod flags {
    /// REQUEST: INPUT frames follow.
    pub const BODY: u8 = 1;
    /// REQUEST: no INPUT comes before a CONTINUE.
    pub const EXPECT: u8 = 2;
    /// REQUEST: httpd answers errors with a document of its own (`RustErrorOverride`).
    pub const ERROR_OVERRIDE: u8 = 4;
    /// REQUEST: it does not count as activity (`RustIgnoreActivity`).
    pub const IGNORED: u8 = 8;
    /// REQUEST: the last level whose LOG frames are kept, by its number in these three bits; 0 keeps
    /// all.
    pub const LEVEL: u8 = 0x70;
    /// REQUEST: the client asks for another protocol, so that SWITCH may come; never with BODY.
    pub const UPGRADE: u8 = 0x80;
    /// HEAD and BODY: pass on what has come so far.
    pub const FLUSH: u8 = 1;
    /// FILE: it is the whole file, for which conditional headers are looked at.
    pub const WHOLE: u8 = 2;
    /// END, STATUS, REDIRECT and FAILED: the connection is not kept.
    pub const CLOSE: u8 = 4;
}
