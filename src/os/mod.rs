//! System calls of Linux, for processes that serve and for those that talk to them: sockets, epoll,
//! event counters, memory that processes share.
//!
//! Thin and without policy. All of it goes through `rustix`, whose calls are safe; the one thing
//! that cannot be is shared memory ([`SharedSlice`], [`BoardMemory`]), and descriptors that the process
//! was started with.
#![cfg(target_os = "linux")]

mod board;
mod epoll;
mod event;
#[cfg(feature = "serve")]
mod inherit;
mod process;
mod shared;
mod socket;

pub use self::board::{BoardMemory, Placed, Shape};
pub use self::epoll::{Epoll, Ready, Trigger};
pub use self::event::{Event, drain_signals, is_at_end};
#[cfg(feature = "serve")]
pub(crate) use self::inherit::inherit;
#[cfg(feature = "serve")]
pub use self::inherit::keep_on_exec;
pub use self::process::{Signal, cpu_us, exists, monotonic_us, resident_bytes, wall_us};
pub use self::shared::{SharedSlice, Zeroed, wait_while, wake_all};
pub use self::socket::{
    PeerCredentials, Polled, accept, has_hung_up, is_unix, look, peer, peer_ip, peer_name, poll,
    poll_open, receive, receive_with_descriptor, reset_on_close, send, send_vectored,
    send_with_descriptor, set_buffers, set_nodelay, set_nonblocking, shutdown, shutdown_write,
};
