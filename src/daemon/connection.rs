//! One connection to a daemon process, as an httpd child keeps it: frames in, frames out.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use crate::os;
use crate::protocol::bridge::{Frame, FrameError, FrameLimits, HEADER, Header, Kind, Peer};

/// The bytes that are read at once at first. A small response needs no more, and kept connections
/// should keep no memory.
const READ_SIZE: usize = 16 * 1024;

/// The bytes that are read at once when there were more.
const LARGE_READ_SIZE: usize = 128 * 1024;

/// The time for which a read blocks. Most answers come within it, at the cost of one system call.
/// The kernel rounds it up to its next tick or two.
const BLOCK: Duration = Duration::from_millis(1);

/// The largest number of descriptors that wait for their frames.
const MOST_DESCRIPTORS: usize = 4;

/// A connection to one process of a group.
pub(super) struct BridgeConnection {
    socket: OwnedFd,
    /// The process at the other end: its slot's incarnation.
    pub(super) incarnation: u32,
    /// HELLO has not been sent yet.
    pub(super) is_new: bool,
    input: BytesMut,
    /// The BODY that has come in part: its header, with the length that is still to come.
    body: Option<Header>,
    /// The bytes that the next read asks for: all of an answer as large as the last one, and more
    /// once a read has brought as much as there was room for.
    read_size: usize,
    /// The bytes that have come since the connection was last at rest.
    received: usize,
    descriptors: VecDeque<OwnedFd>,
}

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Something; there may be a frame now.
    Some,
    /// Nothing in the time that a read takes at most.
    Nothing,
    /// The other end has closed.
    End,
}

impl BridgeConnection {
    /// Connects to the socket at `path`. It does not block: a queue of connections that is full
    /// is an error (`WouldBlock`).
    pub(super) fn open(path: &Path, incarnation: u32, buffers: Buffers) -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        if let Some(bytes) = buffers.send {
            rustix::net::sockopt::set_socket_send_buffer_size(&socket, bytes)?;
        }
        if let Some(bytes) = buffers.receive {
            rustix::net::sockopt::set_socket_recv_buffer_size(&socket, bytes)?;
        }
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::io::ioctl_fionbio(&socket, false)?;
        rustix::net::sockopt::set_socket_timeout(
            &socket,
            rustix::net::sockopt::Timeout::Recv,
            Some(BLOCK),
        )?;
        Ok(Self {
            socket,
            incarnation,
            is_new: true,
            input: BytesMut::new(),
            body: None,
            read_size: READ_SIZE,
            received: 0,
            descriptors: VecDeque::new(),
        })
    }

    /// Returns the socket.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Lets go of memory that no part of an answer is in.
    pub(super) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    /// Lets go of memory that a small answer does not need, at the end of an answer. The next one is
    /// taken to be as large.
    pub(super) fn shrink(&mut self) {
        if self.read_size > READ_SIZE {
            self.input = BytesMut::new();
        }
        let expected = std::mem::take(&mut self.received).next_multiple_of(READ_SIZE);
        self.read_size = expected.clamp(READ_SIZE, LARGE_READ_SIZE);
    }

    /// Returns whether nothing is left over from the request before.
    pub(super) fn is_at_rest(&self) -> bool {
        self.input.is_empty() && self.body.is_none() && self.descriptors.is_empty()
    }

    /// Sends as much of `pieces` as there is room for, without waiting.
    pub(super) fn send(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(os::send_vectored(&self.socket, pieces)?.unwrap_or(0))
    }

    /// Sends all of `data`, and waits for room where there is none. For what is small.
    pub(super) fn send_all(&self, mut data: &[u8], timeout: Duration) -> io::Result<()> {
        while !data.is_empty() {
            match rustix::net::send(&self.socket, data, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => data = &data[sent..],
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let (polled, _) = os::poll(&self.socket, (false, true), None, Some(timeout))?;
                    if !polled.writable {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Returns the next frame, if it has come in whole: its header and its payload.
    ///
    /// A BODY comes as several where it has come in part, so that nothing is copied to have it in
    /// one piece. The last of them has its flags.
    pub(super) fn next_frame(&mut self) -> Result<Option<(Header, Bytes)>, FrameError> {
        if let Some(body) = self.body.take() {
            return Ok(self.part(body));
        }
        let Some(bytes) = self.input.first_chunk::<HEADER>() else { return Ok(None) };
        let header = Header::decode(bytes, Peer::Daemon, &FrameLimits::default())?;
        let length = header.length as usize;
        if self.input.len() < HEADER + length && header.kind != Kind::Body {
            // Room for all of it, so that it is not copied when it has come.
            self.input.reserve(HEADER + length - self.input.len());
            return Ok(None);
        }
        self.input.advance(HEADER);
        if header.kind == Kind::Body {
            return Ok(self.part(header));
        }
        Ok(Some((header, self.input.split_to(length).freeze())))
    }

    /// Returns what has come of a BODY, as a BODY of its own.
    fn part(&mut self, mut header: Header) -> Option<(Header, Bytes)> {
        let length = header.length as usize;
        if self.input.len() < length {
            let here = self.input.len() as u32;
            self.body = Some(Header { length: header.length - here, ..header });
            if here == 0 {
                return None;
            }
            (header.flags, header.length) = (0, here);
        }
        Some((header, self.input.split_to(header.length as usize).freeze()))
    }

    /// Returns the descriptor that came with the frame that was taken last.
    pub(super) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    /// Reads what has come. Waits for it a moment, if `wait`.
    pub(super) fn receive(&mut self, wait: bool) -> io::Result<Received> {
        if self.input.capacity() - self.input.len() < self.read_size / 8 {
            self.input.reserve(self.read_size);
        }
        let spare = self.input.spare_capacity_mut();
        let mut slice = libc::iovec { iov_base: spare.as_mut_ptr().cast(), iov_len: spare.len() };
        let mut control = Control { bytes: MaybeUninit::uninit() };
        // SAFETY: a message header of zeroes is an empty one.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_iov = &raw mut slice;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = size_of::<Control>();
        let flags = libc::MSG_CMSG_CLOEXEC | if wait { 0 } else { libc::MSG_DONTWAIT };
        let read = loop {
            // SAFETY: P15: the header names memory that is there for the time of the call.
            let read = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, flags) };
            if let Ok(read) = usize::try_from(read) {
                break read;
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(Received::Nothing),
                _ => return Err(error),
            }
        };
        self.take_descriptors(&message);
        self.received += read;
        if read == slice.iov_len {
            self.read_size = LARGE_READ_SIZE;
        }
        // SAFETY: P15: the kernel has filled that much of the spare room.
        unsafe { self.input.set_len(self.input.len() + read) };
        Ok(if read == 0 { Received::End } else { Received::Some })
    }

    fn take_descriptors(&mut self, message: &libc::msghdr) {
        // SAFETY: P15: the kernel has filled the control messages in.
        let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
        // SAFETY: P15: not null, and within the control buffer.
        while let Some(this) = unsafe { header.as_ref() } {
            if this.cmsg_level == libc::SOL_SOCKET && this.cmsg_type == libc::SCM_RIGHTS {
                let count = (this.cmsg_len - CMSG_DATA) / size_of::<libc::c_int>();
                // SAFETY: P15: the header is one of the message's own.
                let data = unsafe { libc::CMSG_DATA(header) }.cast::<libc::c_int>();
                for index in 0..count {
                    // SAFETY: P15: the message says that there are so many.
                    let place = unsafe { data.add(index) };
                    // SAFETY: P15; the buffer need not be aligned.
                    let number = unsafe { place.read_unaligned() };
                    // SAFETY: P15: a new descriptor that nobody else has.
                    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
                    if self.descriptors.len() < MOST_DESCRIPTORS {
                        self.descriptors.push_back(descriptor);
                    }
                }
            }
            // SAFETY: P15: the header is one of the message's own.
            header = unsafe { libc::CMSG_NXTHDR(message, header) };
        }
    }
}

/// The sizes of a socket's buffers, where they are not the system's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Buffers {
    pub(super) send: Option<usize>,
    pub(super) receive: Option<usize>,
}

/// Room for control messages, aligned as their header is.
#[repr(C, align(8))]
struct Control {
    bytes: MaybeUninit<[u8; 64]>,
}

const CMSG_DATA: usize = {
    // SAFETY: it computes a length.
    unsafe { libc::CMSG_LEN(0) as usize }
};

/// Returns a whole frame of a header and a payload, as the codec reads them.
pub(super) fn frame<'a>(header: Header, payload: &'a [u8]) -> Frame<'a> {
    Frame { kind: header.kind, flags: header.flags, payload, size: HEADER + payload.len() }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::protocol::bridge::{flags, put_body};

    #[test]
    fn a_body_in_part_is_several_bodies() {
        let folder = std::env::temp_dir().join(format!("mod_rust-body-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut connection = BridgeConnection::open(&path, 1, Buffers::default()).unwrap();
        let (mut daemon, _) = listener.accept().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let mut frame = Vec::new();
        put_body(&mut frame, 10, true);
        frame.extend_from_slice(b"0123456789");
        let mut take = |sent: &[u8]| {
            daemon.write_all(sent).unwrap();
            assert_eq!(connection.receive(true).unwrap(), Received::Some);
            let next = connection.next_frame().unwrap();
            let taken = next.map(|(header, data)| (data.to_vec(), header.length, header.flags));
            (taken, connection.is_at_rest())
        };
        assert_eq!(take(&frame[..5]), (None, false));
        assert_eq!(take(&frame[5..HEADER]), (None, false));
        assert_eq!(take(&frame[HEADER..][..4]), (Some((b"0123".to_vec(), 4, 0)), false));
        let rest = Some((b"456789".to_vec(), 6, flags::FLUSH));
        assert_eq!(take(&frame[HEADER + 4..]), (rest, true));
        let whole = Some((b"0123456789".to_vec(), 10, flags::FLUSH));
        assert_eq!(take(&frame), (whole, true));
    }
}
