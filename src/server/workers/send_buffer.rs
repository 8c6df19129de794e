//! The kernel's room for what goes out on a Unix socket.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::os;

/// The send buffer of a connection with a large response, in bytes. The kernel takes it twice, as
/// half is for its own structures, and gives less where `net.core.wmem_max` says so.
///
/// A Unix socket has 208 KiB by default, and who writes wakes when three quarters of that are read.
/// For a response of 1 MiB that is 7 times, which together cost about as much as to copy it.
const WIDE: u64 = 256 * 1024;

/// Whether the room of a connection was made wide.
#[derive(Debug)]
pub(crate) struct SendBuffer {
    is_final: AtomicBool,
}

impl SendBuffer {
    /// The system's, or what has been set.
    pub(crate) const fn new(is_set: bool) -> Self {
        Self { is_final: AtomicBool::new(is_set) }
    }

    /// Makes room for a response that `socket` has no room for: whether there may be some now. On
    /// TCP the kernel sees to it itself.
    pub(crate) fn widen(&self, socket: impl AsFd) -> bool {
        if self.is_final.load(Ordering::Relaxed) || self.is_final.swap(true, Ordering::Relaxed) {
            return false;
        }
        let is_unix = os::is_unix(&socket);
        if is_unix {
            os::set_buffers(socket, None, Some(WIDE));
        }
        is_unix
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::socket_send_buffer_size;
    use std::os::unix::net::UnixStream;

    #[test]
    fn once_and_on_unix_sockets_only() {
        let (socket, _other) = UnixStream::pair().unwrap();
        let before = socket_send_buffer_size(&socket).unwrap();
        let room = SendBuffer::new(false);
        assert!(room.widen(&socket) && !room.widen(&socket));
        assert!(socket_send_buffer_size(&socket).unwrap() > before);
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let before = socket_send_buffer_size(&tcp).unwrap();
        assert!(!SendBuffer::new(false).widen(&tcp));
        assert_eq!(socket_send_buffer_size(&tcp).unwrap(), before);
    }

    #[test]
    fn a_set_buffer_size_stays() {
        let (socket, _other) = UnixStream::pair().unwrap();
        assert!(!SendBuffer::new(true).widen(&socket));
    }
}
