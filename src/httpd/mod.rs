//! Safe wrappers of what httpd and APR give to a module.
//!
//! Their lifetimes are those of a hook's call or of the configuration, and they stay on the thread
//! that got them: to keep a request or to send it elsewhere does not compile. What this rests on is
//! listed in SAFETY.md.

mod brigade;
mod cgi;
mod connection;
mod file;
pub mod log;
pub mod mpm;
pub mod other_child;
mod pattern;
mod pool;
mod read;
mod request;
mod server;
pub mod signals;
mod status;
mod table;
pub mod unixd;

pub use brigade::{Brigade, Read};
pub use connection::ClientTimeout;
pub use file::OpenFile;
pub use pattern::Pattern;
pub use pool::{Kept, Pool};
pub use read::ReadError;
pub(crate) use request::Progress;
pub use request::Request;
pub use server::Server;
pub use status::HookStatus;
pub use table::Table;
