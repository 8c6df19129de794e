//! A raw HTTP/1.1 client that hides nothing: what came over the wire, and how the body ended.
//!
//! Called by tests, on their own threads. It is strict where lenient clients guess: a bare line
//! feed, two lengths or a folded header are errors, since a server must not send them.

mod connection;
mod error;
mod head;
mod request;
mod response;
mod wire;

pub use connection::Connection;
pub use error::{ClientError, ClientErrorKind};
pub use head::Head;
pub use request::RequestBuilder;
pub use response::{BodyEnd, Response};
