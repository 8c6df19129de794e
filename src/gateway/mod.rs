//! The application contract: the ideas of PEP 3333 in Rust, the same behind every server.
//!
//! An [`Application`] gets an [`Environ`] (with its [`Input`] and its [`Errors`] stream) and
//! [`StartResponse`], and returns a [`Body`]. A [`Factory`] builds it from its [`Options`]. The
//! module has no sockets, FFI or threads.

mod application;
mod body;
pub(crate) mod code;
mod connection_fields;
#[cfg_attr(
    not(any(feature = "httpd", feature = "serve")),
    allow(dead_code, reason = "only a server uses it")
)]
pub(crate) mod ending;
mod environ;
mod error;
mod errors;
pub(crate) mod escape;
pub(crate) mod exchange;
mod factory;
mod file;
pub(crate) mod header;
pub(crate) mod input;
#[cfg(feature = "tracing-subscriber")]
mod log_layer;
#[cfg_attr(
    not(any(feature = "httpd", feature = "serve")),
    allow(dead_code, reason = "only a server uses it")
)]
pub(crate) mod logger;
pub mod memory;
pub mod middleware;
mod options;
pub(crate) mod panic;
pub(crate) mod percent;
pub(crate) mod run;
#[cfg(feature = "tower")]
pub mod service;
mod start_response;
mod status;
#[cfg_attr(not(feature = "tower"), allow(dead_code, reason = "only services are tasks"))]
mod task;
pub mod validate;

pub use application::{Application, app_fn};
pub use body::{Body, BodyStream, Pace};
pub use code::Level;
pub use environ::Environ;
pub use error::{Error, ErrorKind, Result};
pub use errors::Errors;
pub use factory::Factory;
pub use file::FileBody;
pub use input::Input;
#[cfg(feature = "tracing-subscriber")]
pub use log_layer::{LogLayer, log_layer};
pub use logger::start_logging;
pub use options::Options;
#[cfg(feature = "tower")]
pub use service::service;
pub use start_response::{EachHeader, Respond, StartResponse, Writer};
pub use status::{IntoStatus, Status};

// The server's side of the contract.
pub(crate) use code::Code;
pub(crate) use environ::GATEWAY_VERSION;
pub(crate) use exchange::{Exchange, Interest, SharedVariables, Variables, Woken};
#[cfg(feature = "http-server")]
pub(crate) use exchange::{park_thread, thread_waker};
pub(crate) use input::{Fill, InputSource};
pub(crate) use run::{Awaited, Outcome, Progress, Suspend, Suspended, start};
