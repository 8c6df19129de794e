//! The application contract: PEP 3333's ideas in Rust, the same behind every server.
//!
//! An [`Application`] gets an [`Environ`] (with its [`Input`] and its [`Errors`] stream) and
//! [`StartResponse`], and returns a [`Body`]. A server implements [`Exchange`] and [`InputSource`]
//! and calls [`run()`], which keeps the rules. No sockets, no FFI, no threads here.

mod application;
mod body;
mod code;
mod environ;
mod error;
mod errors;
mod exchange;
mod factory;
mod file;
pub mod header;
mod input;
pub mod memory;
pub mod middleware;
mod options;
pub mod panic;
pub(crate) mod percent;
mod run;
#[cfg(feature = "tower")]
pub mod service;
mod start_response;
mod status;
pub mod validate;

pub use application::{Application, app_fn};
pub use body::{Body, BodyStream, Pace};
#[doc(hidden)]
pub use code::{Code, Level};
pub use environ::{Environ, GATEWAY_VERSION};
pub use error::{Error, ErrorKind, Result};
pub use errors::Errors;
pub use exchange::{Exchange, Interest, SharedVariables, Variables, Woken};
#[cfg(feature = "http-server")]
pub(crate) use exchange::{park_thread, thread_waker};
pub use factory::Factory;
pub use file::FileBody;
pub use input::{Fill, Input, InputSource};
pub use options::Options;
pub use run::{Outcome, run};
#[cfg(feature = "tower")]
pub use service::service;
pub use start_response::{EachHeader, Respond, StartResponse, Writer};
pub use status::{IntoStatus, Status};
