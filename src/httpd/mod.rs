//! Safe wrappers of what httpd and APR give to a module's own hooks and directives.
//!
//! Their lifetimes are those of a hook's call or of the configuration, and they stay on the thread
//! that got them: to keep a request or to send it elsewhere does not compile. What this rests on is
//! listed in SAFETY.md.

use std::marker::PhantomData;

/// Reads a field of a request's record, or writes to one, through the record's pointer. No
/// reference to the record is made, as httpd and its modules may write to it in each call.
macro_rules! field {
    ($request:expr, $field:ident) => {
        // SAFETY: P1, P2: the record is there while the wrapper is, and this thread alone has it.
        unsafe { (*$request.as_ptr()).$field }
    };
    ($request:expr, $($field:ident).+ = $value:expr) => {{
        let value = $value;
        // SAFETY: P1, P2: as above.
        unsafe { (*$request.as_ptr()).$($field).+ = value };
    }};
}

mod brigade;
mod cgi;
mod connection;
mod file;
mod kept;
pub mod log;
pub(crate) mod mpm;
pub(crate) mod other_child;
mod pace;
mod pattern;
mod pool;
mod read;
mod request;
mod server;
pub(crate) mod signals;
mod status;
pub(crate) mod suspend;
mod switch;
mod syslog;
mod table;
pub(crate) mod unixd;

pub use brigade::Brigade;
pub use pattern::Pattern;
pub use pool::Pool;
pub use request::Request;
pub use server::Server;
pub use status::HookStatus;
pub use table::Table;

pub(crate) use brigade::Read;
pub(crate) use cgi::{CGI_VARIABLES, CgiVariable, HeaderVariable, INHERITED};
pub(crate) use connection::ClientTimeout;
pub(crate) use kept::KeptBuckets;
pub(crate) use pool::{PoolRef, ProcessPool, SharedKey};
pub(crate) use read::ReadError;
pub(crate) use request::{Progress, SoFar};

/// The mark of a wrapper that is bound to exactly the lifetime `'a` (invariant) and to its thread,
/// neither `Send` nor `Sync` (P2).
pub(crate) type Invariant<'a> = PhantomData<(fn(&'a ()) -> &'a (), *mut ())>;
