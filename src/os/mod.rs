//! System calls of Linux, for processes that serve and for those that talk to them: sockets, epoll,
//! event counters, memory that processes share.
//!
//! Thin and without policy. All of it goes through `rustix`, whose calls are safe. Unsafe are only
//! shared memory (`BoardMemory`) and descriptors that the process was started with.
#![cfg(target_os = "linux")]

#[cfg(feature = "httpd")]
mod board;
mod epoll;
mod event;
#[cfg(feature = "serve")]
mod inherit;
mod process;
mod shared;
mod socket;

#[cfg(feature = "httpd")]
pub(crate) use self::board::{BoardMemory, Placed, Shape};
#[cfg(feature = "httpd")]
pub(crate) use self::epoll::Awaits;
pub(crate) use self::epoll::{Epoll, Ready, Trigger, timespec};
pub use self::event::Event;
#[cfg(feature = "httpd")]
pub(crate) use self::event::SIGNAL_RECORD;
pub(crate) use self::event::{drain_signals, is_at_end};
#[cfg(feature = "serve")]
pub(crate) use self::inherit::inherit;
#[cfg(feature = "serve")]
pub(crate) use self::inherit::keep_on_exec;
#[cfg(feature = "serve")]
pub(crate) use self::process::raise_descriptors;
pub use self::process::{Signal, monotonic_us};
pub(crate) use self::process::{cpu_us, exists, resident_bytes, wall_us};
pub(crate) use self::shared::{wait_while, wake_all};
#[cfg(any(test, feature = "serve"))]
pub(crate) use self::socket::receive_with_descriptor;
pub use self::socket::{PeerCredentials, peer};
pub(crate) use self::socket::{
    Polled, abort, accept, has_hung_up, is_unix, look, peer_ip, peer_name, poll, poll_open,
    receive, reset_on_close, send, send_vectored, send_with_descriptor, set_buffers, set_nodelay,
    set_nonblocking, shutdown, shutdown_write,
};
