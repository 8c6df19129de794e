//! Numbers that stand for something. Each is what came: a number that this version of FastCGI does
//! not know is kept, as the answer to it says which it was.

use std::fmt;

/// The version that there is.
pub const VERSION: u8 = 1;

/// The type of a record (section 8, `FCGI_BEGIN_REQUEST` and so on).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordKind(pub u8);

impl RecordKind {
    /// Web server to application: begins a request (5.1).
    pub const BEGIN_REQUEST: Self = Self(1);
    /// Web server to application: the client is gone, or the web server has had enough (5.4).
    pub const ABORT_REQUEST: Self = Self(2);
    /// Application to web server: the request has ended (5.5).
    pub const END_REQUEST: Self = Self(3);
    /// Stream, web server to application: the variables (5.2).
    pub const PARAMS: Self = Self(4);
    /// Stream, web server to application: the request body (5.3).
    pub const STDIN: Self = Self(5);
    /// Stream, application to web server: the response (5.3).
    pub const STDOUT: Self = Self(6);
    /// Stream, application to web server: for the error log (5.3).
    pub const STDERR: Self = Self(7);
    /// Stream, web server to application: the file that a filter filters (5.3).
    pub const DATA: Self = Self(8);
    /// Management, web server to application: what can the process do (4.1)?
    pub const GET_VALUES: Self = Self(9);
    /// Management, application to web server: this (4.1).
    pub const GET_VALUES_RESULT: Self = Self(10);
    /// Management, application to web server: a management record of a type that it does not know
    /// came (4.2).
    pub const UNKNOWN_TYPE: Self = Self(11);

    /// All that there are.
    pub const ALL: [Self; 11] = [
        Self::BEGIN_REQUEST,
        Self::ABORT_REQUEST,
        Self::END_REQUEST,
        Self::PARAMS,
        Self::STDIN,
        Self::STDOUT,
        Self::STDERR,
        Self::DATA,
        Self::GET_VALUES,
        Self::GET_VALUES_RESULT,
        Self::UNKNOWN_TYPE,
    ];

    /// Tells whether it is one of [`ALL`](Self::ALL).
    #[must_use]
    pub const fn is_known(self) -> bool {
        matches!(self.0, 1..=11)
    }

    /// Returns whether its records carry a stream of bytes, which a record without content ends
    /// (3.3).
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::PARAMS | Self::STDIN | Self::STDOUT | Self::STDERR | Self::DATA)
    }

    /// Tells whether it is about the process, and has request id 0 (3.3).
    #[must_use]
    pub const fn is_management(self) -> bool {
        matches!(self, Self::GET_VALUES | Self::GET_VALUES_RESULT | Self::UNKNOWN_TYPE)
    }

    /// Returns whether a web server sends it to an application; all others go the other way (table
    /// A).
    #[must_use]
    pub const fn is_from_server(self) -> bool {
        matches!(
            self,
            Self::GET_VALUES
                | Self::BEGIN_REQUEST
                | Self::ABORT_REQUEST
                | Self::PARAMS
                | Self::STDIN
                | Self::DATA
        )
    }

    /// Returns the length of each of its records, where that is fixed.
    #[must_use]
    pub const fn content_length(self) -> Option<u16> {
        match self {
            Self::BEGIN_REQUEST | Self::END_REQUEST | Self::UNKNOWN_TYPE => Some(8),
            Self::ABORT_REQUEST => Some(0),
            _ => None,
        }
    }

    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::BEGIN_REQUEST => "BEGIN_REQUEST",
            Self::ABORT_REQUEST => "ABORT_REQUEST",
            Self::END_REQUEST => "END_REQUEST",
            Self::PARAMS => "PARAMS",
            Self::STDIN => "STDIN",
            Self::STDOUT => "STDOUT",
            Self::STDERR => "STDERR",
            Self::DATA => "DATA",
            Self::GET_VALUES => "GET_VALUES",
            Self::GET_VALUES_RESULT => "GET_VALUES_RESULT",
            Self::UNKNOWN_TYPE => "UNKNOWN_TYPE",
            _ => return None,
        })
    }
}

/// The role that a request asks of the application (section 6).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Role(pub u16);

impl Role {
    /// The response to an HTTP request, as CGI has it (6.2).
    pub const RESPONDER: Self = Self(1);
    /// Whether an HTTP request may go on (6.3).
    pub const AUTHORIZER: Self = Self(2);
    /// The response to an HTTP request for a file, which comes along (6.4).
    pub const FILTER: Self = Self(3);

    /// Tells whether it is one of these. For another the answer is
    /// [`UNKNOWN_ROLE`](ProtocolStatus::UNKNOWN_ROLE).
    #[must_use]
    pub const fn is_known(self) -> bool {
        matches!(self.0, 1..=3)
    }

    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::RESPONDER => "RESPONDER",
            Self::AUTHORIZER => "AUTHORIZER",
            Self::FILTER => "FILTER",
            _ => return None,
        })
    }
}

/// The end of a request, as far as the protocol goes (5.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProtocolStatus(pub u8);

impl ProtocolStatus {
    /// The request went well.
    pub const REQUEST_COMPLETE: Self = Self(0);
    /// Refused: another request is on this connection, and the process takes one at a time.
    pub const CANT_MPX_CONN: Self = Self(1);
    /// Refused: the process is out of some resource.
    pub const OVERLOADED: Self = Self(2);
    /// Refused: the process does not know the role.
    pub const UNKNOWN_ROLE: Self = Self(3);

    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::REQUEST_COMPLETE => "REQUEST_COMPLETE",
            Self::CANT_MPX_CONN => "CANT_MPX_CONN",
            Self::OVERLOADED => "OVERLOADED",
            Self::UNKNOWN_ROLE => "UNKNOWN_ROLE",
            _ => return None,
        })
    }
}

macro_rules! shown {
    ($($type:ident $what:literal,)*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, concat!($what, " {}"), self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}

shown! { RecordKind "type", Role "role", ProtocolStatus "protocol status", }
