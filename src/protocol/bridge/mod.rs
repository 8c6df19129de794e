//! The bridge: what an httpd child and a daemon process say to each other (docs/bridge.md).
//!
//! Frames with a header of eight bytes over a Unix stream socket, one request at a time, both
//! directions at once. This is the codec: bytes in, borrowed messages out, and messages onto a
//! caller's `Vec`. It does no I/O and allocates nothing but that `Vec`'s room. [`BridgeFlow`] says
//! which frame may come when. The child's side is `daemon`, the daemon process's is
//! `server::daemon_process`.
//!
//! ```
//! use mod_rust::internal::protocol::bridge::{FrameLimits, Message, Peer, Timing, put_end, split};
//!
//! let mut out = Vec::new();
//! put_end(&mut out, false, &Timing { queue_us: 5, ..Timing::default() });
//! let frame = split(&out, Peer::Daemon, &FrameLimits::default())?.expect("a whole frame");
//! let Message::End(end) = frame.message()? else { panic!("{frame:?}") };
//! assert_eq!(end.timing.queue_us, 5);
//! assert_eq!(split(&out[..20], Peer::Daemon, &FrameLimits::default())?, None);
//! # Ok::<(), mod_rust::internal::protocol::bridge::FrameError>(())
//! ```

mod code;
mod encode;
mod error;
mod flow;
mod frame;
mod hello;
mod kind;
mod length;
mod message;
mod pairs;
mod reader;
mod request;
mod response;
#[cfg(test)]
mod tests;

pub use code::{InputFailure, RefusalReason, Timing, error_code, error_kind, level, level_code};
pub use encode::{
    FieldsEncoder, put_body, put_control, put_file, put_input, put_input_end, put_input_failed,
    put_input_stop, put_reply,
};
pub use error::{EncodeError, FrameError, Problem};
pub use flow::{BridgeFlow, FlowError};
pub use frame::{Frame, FrameLimits, Header, put_header, split};
pub use hello::{Hello, MAGIC, TOKEN, put_hello};
pub use kind::{HEADER, HELLO, Kind, Peer, VERSION, flags};
pub use length::{BodyLength, LengthError};
pub use message::Message;
pub use pairs::{PairBlock, Pairs, PairsIter};
pub use request::{RequestEncoder, RequestFacts, RequestHead, stamp};
pub use response::{
    End, Failed, File, HeadEncoder, LogFrame, Redirect, Refused, ResponseHead, StatusFrame,
    put_continue, put_end, put_failed, put_log, put_redirect, put_refused,
};
