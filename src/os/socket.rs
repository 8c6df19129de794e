//! Unix stream sockets that do not block. None of these calls raises SIGPIPE.

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::{DupFlags, Errno};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown,
    SocketFlags, sockopt,
};

use super::epoll::timespec;

/// The process at the other end of a Unix socket, as the kernel noted it when it was connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The effective user id.
    pub uid: u32,
    /// The process id; 0 for a process that this one's pid namespace does not have.
    pub pid: i32,
}

impl fmt::Display for PeerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { pid: 0, uid } => write!(f, "a process of user {uid} in another pid namespace"),
            Self { pid, uid } => write!(f, "process {pid} of user {uid}"),
        }
    }
}

/// The result of [`poll`] for a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Polled {
    /// There is something to read, or the end.
    pub readable: bool,
    /// There is room to write, or writing would fail at once.
    pub writable: bool,
    /// The other end has closed, or will send no more.
    pub hung_up: bool,
    /// The other end has closed: there is nobody to take what is sent.
    pub closed: bool,
}

/// Returns the next connection of a listening socket, if there is one. It does not block and is
/// closed on exec.
///
/// # Errors
///
/// Those of `accept4(2)`; a connection that was given up meanwhile is passed over.
pub(crate) fn accept(listener: impl AsFd) -> io::Result<Option<OwnedFd>> {
    loop {
        match rustix::net::accept_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok(socket) => return Ok(Some(socket)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR | Errno::CONNABORTED) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Returns the process that connected.
///
/// # Errors
///
/// Those of `getsockopt(2)`.
pub fn peer(socket: impl AsFd) -> io::Result<PeerCredentials> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // `rustix` takes it for granted that the process id is not 0.
    // SAFETY: P21: both point to what the option has, of the size that is given.
    let status = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    if length as usize != size_of::<libc::ucred>() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(PeerCredentials { uid: credentials.uid, pid: credentials.pid })
}

/// Reads what is there: `Some(0)` at the end, `None` when there is nothing yet. Whatever the
/// socket's mode, it does not block.
///
/// # Errors
///
/// Those of `recv(2)`.
pub(crate) fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    would_block(retry(|| {
        rustix::net::recv(&socket, &mut *buffer, RecvFlags::DONTWAIT).map(|(read, _)| read)
    }))
}

/// Reads like [`receive`], but leaves the bytes in the socket.
///
/// # Errors
///
/// Those of `recv(2)`.
pub(crate) fn look(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    would_block(retry(|| {
        let flags = RecvFlags::DONTWAIT | RecvFlags::PEEK;
        rustix::net::recv(&socket, &mut *buffer, flags).map(|(read, _)| read)
    }))
}

/// Reads like [`receive`], and returns a descriptor that came along, if one did.
///
/// # Errors
///
/// Those of `recvmsg(2)`.
#[cfg(any(test, feature = "serve"))]
pub(crate) fn receive_with_descriptor(
    socket: impl AsFd,
    buffer: &mut [u8],
) -> io::Result<Option<(usize, Option<OwnedFd>)>> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage};

    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let read = would_block(retry(|| {
        let mut slices = [io::IoSliceMut::new(buffer)];
        rustix::net::recvmsg(&socket, &mut slices, &mut control, flags).map(|message| message.bytes)
    }))?;
    let mut descriptor = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            // Those beyond the first are closed.
            descriptors.for_each(|fd| {
                descriptor.get_or_insert(fd);
            });
        }
    }
    Ok(read.map(|read| (read, descriptor)))
}

/// Writes as much as there is room for: `None` when there is none.
///
/// # Errors
///
/// Those of `send(2)`.
pub(crate) fn send(socket: impl AsFd, data: &[u8]) -> io::Result<Option<usize>> {
    would_block(retry(|| rustix::net::send(&socket, data, FLAGS)))
}

/// Sends like [`send`], from several pieces: 1,024 of them at most.
///
/// # Errors
///
/// Those of `sendmsg(2)`.
pub(crate) fn send_vectored(
    socket: impl AsFd,
    pieces: &[IoSlice<'_>],
) -> io::Result<Option<usize>> {
    if let [piece] = pieces {
        return send(socket, piece);
    }
    let pieces = &pieces[..pieces.len().min(1024)];
    would_block(retry(|| {
        rustix::net::sendmsg(&socket, pieces, &mut SendAncillaryBuffer::default(), FLAGS)
    }))
}

/// Sends like [`send`]; `descriptor` goes along with the first byte.
///
/// # Errors
///
/// Those of `sendmsg(2)`.
pub(crate) fn send_with_descriptor(
    socket: impl AsFd,
    data: &[u8],
    descriptor: BorrowedFd<'_>,
) -> io::Result<Option<usize>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let descriptors = [descriptor];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("there is no room for a descriptor's message"));
    }
    would_block(retry(|| rustix::net::sendmsg(&socket, &[IoSlice::new(data)], &mut control, FLAGS)))
}

const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// Waits until `socket` can be written to, or read from if `read`, or until `waker` can be read.
/// The second part of the answer says whether that is so.
///
/// # Errors
///
/// Those of `ppoll(2)`.
pub(crate) fn poll(
    socket: impl AsFd,
    wanted: (bool, bool),
    waker: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> io::Result<(Polled, bool)> {
    poll_for(socket, PollFlags::RDHUP, wanted, waker, timeout)
}

/// Waits like [`poll()`], for a peer that may close its sending side and still wants an answer:
/// that it sends no more is nothing to wake for, unless `socket` is to be read.
///
/// # Errors
///
/// Those of `ppoll(2)`.
pub(crate) fn poll_open(
    socket: impl AsFd,
    wanted: (bool, bool),
    waker: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> io::Result<(Polled, bool)> {
    poll_for(socket, PollFlags::empty(), wanted, waker, timeout)
}

fn poll_for(
    socket: impl AsFd,
    mut wanted: PollFlags,
    (read, write): (bool, bool),
    waker: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> io::Result<(Polled, bool)> {
    wanted.set(PollFlags::IN, read);
    wanted.set(PollFlags::OUT, write);
    let socket = socket.as_fd();
    let count = 1 + usize::from(waker.is_some());
    let mut fds = [
        PollFd::from_borrowed_fd(socket, wanted),
        PollFd::from_borrowed_fd(waker.unwrap_or(socket), PollFlags::IN),
    ];
    let timeout = timeout.map(timespec);
    match rustix::event::poll(&mut fds[..count], timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let [socket, woken] = fds.map(|fd| fd.revents());
    let over = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    let polled = Polled {
        readable: socket.intersects(PollFlags::IN | over),
        writable: socket.intersects(PollFlags::OUT | over),
        hung_up: socket.intersects(PollFlags::RDHUP | over),
        closed: socket.intersects(over),
    };
    Ok((polled, waker.is_some() && !woken.is_empty()))
}

/// Returns whether the other end has closed or sends no more. One system call.
pub(crate) fn has_hung_up(socket: impl AsFd) -> bool {
    poll(socket, (false, false), None, Some(Duration::ZERO)).is_ok_and(|(polled, _)| polled.hung_up)
}

/// Breaks a connection off in both directions: whoever reads or writes at either end finds out.
pub(crate) fn shutdown(socket: impl AsFd) {
    // It may be broken already.
    let _ = rustix::net::shutdown(socket, Shutdown::Both);
}

/// Sends no more: the other end reads the end, and can go on sending.
pub(crate) fn shutdown_write(socket: impl AsFd) {
    let _ = rustix::net::shutdown(socket, Shutdown::Write);
}

/// Makes the closing of a TCP connection a reset: the other end sees that something went wrong. A
/// Unix socket knows no such thing.
pub(crate) fn reset_on_close(socket: impl AsFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// Breaks a connection off so that its other end sees that something went wrong, while other threads
/// have the descriptor. Afterwards that is a socket without a peer. The other end of a Unix socket
/// sees a reset only if something of what it sent is unread.
pub(crate) fn abort(socket: impl AsFd) {
    let socket = socket.as_fd();
    if sockopt::socket_domain(socket) != Ok(AddressFamily::UNIX) {
        // Ends the connection with a reset, whoever has it.
        let _ = rustix::net::connect_unspec(socket);
        return;
    }
    // Threads that wait for input come back, and have the socket no more.
    let _ = rustix::net::shutdown(socket, Shutdown::Read);
    let Ok((dead, _)) = std::os::unix::net::UnixStream::pair() else { return };
    // SAFETY: the descriptor is borrowed, so that it stays open during the call. ManuallyDrop leaves
    // the closing to its owner, for whom it is a socket as before.
    let mut own = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(socket.as_raw_fd()) });
    let _ = rustix::io::dup3(dead, &mut own, DupFlags::CLOEXEC);
}

/// Sends small pieces at once (TCP_NODELAY). What a listening TCP socket is told holds for its
/// connections; other sockets do not care.
pub(crate) fn set_nodelay(socket: impl AsFd) {
    let _ = sockopt::set_tcp_nodelay(socket, true);
}

/// Returns the IP address of the peer, if the socket is one of IP.
pub(crate) fn peer_ip(socket: impl AsFd) -> Option<IpAddr> {
    let address = SocketAddr::try_from(rustix::net::getpeername(socket).ok()??).ok()?;
    Some(address.ip().to_canonical())
}

/// Returns the peer's name for a log line: an address and a port, or the process and user of a Unix
/// socket's peer.
pub(crate) fn peer_name(socket: impl AsFd) -> String {
    let address = rustix::net::getpeername(&socket).ok().flatten();
    if let Some(address) = address.and_then(|address| SocketAddr::try_from(address).ok()) {
        return address.to_string();
    }
    match peer(socket) {
        Ok(peer) => peer.to_string(),
        Err(_) => "a peer that has gone".to_owned(),
    }
}

/// Returns whether it is a Unix socket.
pub(crate) fn is_unix(socket: impl AsFd) -> bool {
    sockopt::socket_domain(socket).is_ok_and(|domain| domain == AddressFamily::UNIX)
}

/// Asks for other sizes of the kernel's buffers than the system's. It may give less.
pub(crate) fn set_buffers(socket: impl AsFd, receive: Option<u64>, send: Option<u64>) {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX >> 33);
    if let Some(bytes) = receive {
        let _ = sockopt::set_socket_recv_buffer_size(&socket, size(bytes));
    }
    if let Some(bytes) = send {
        let _ = sockopt::set_socket_send_buffer_size(&socket, size(bytes));
    }
}

/// Makes a descriptor one that does not block.
///
/// # Errors
///
/// Those of `ioctl(2)`.
pub(crate) fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

fn would_block<T>(result: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_goes_along() {
        let (here, there) = UnixStream::pair().unwrap();
        let path = std::env::temp_dir().join(format!("mod_rust-fd-{}", std::process::id()));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(b"what is in it").unwrap();
        assert_eq!(send_with_descriptor(&here, b"frame", file.as_fd()).unwrap(), Some(5));
        let mut buffer = [0; 16];
        let (read, descriptor) = receive_with_descriptor(&there, &mut buffer).unwrap().unwrap();
        assert_eq!(&buffer[..read], b"frame");
        let mut file = File::from(descriptor.expect("a descriptor"));
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "what is in it");
        assert!(receive_with_descriptor(&there, &mut buffer).unwrap().is_none());
    }

    #[test]
    fn says_who_is_there_and_who_has_gone() {
        let (here, there) = UnixStream::pair().unwrap();
        assert_eq!(peer(&here).unwrap().pid, std::process::id().cast_signed());
        assert_eq!(receive(&here, &mut [0; 4]).unwrap(), None);
        assert!(!has_hung_up(&here));
        drop(there);
        assert!(has_hung_up(&here));
        assert_eq!(receive(&here, &mut [0; 4]).unwrap(), Some(0));
        assert!(send(&here, b"x").is_err());
    }

    const SOCKET: &str = "MOD_RUST_TEST_SOCKET";

    /// Listens in a pid namespace of its own, which the test below runs it in.
    #[test]
    fn inside_a_pid_namespace() {
        let Ok(path) = std::env::var(SOCKET) else { return };
        let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        let who = peer(&socket).unwrap();
        assert_eq!(peer_name(&socket), who.to_string());
        socket.write_all(format!("{who}, {}", who.pid).as_bytes()).unwrap();
    }

    #[test]
    fn a_peer_of_another_pid_namespace_has_no_id() {
        let path = std::env::temp_dir().join(format!("mod_rust-peer-{}", std::process::id()));
        let mut inner = std::process::Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "os::socket::tests::inside_a_pid_namespace"])
            .env(SOCKET, &path)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut socket = loop {
            match UnixStream::connect(&path) {
                Ok(socket) => break Some(socket),
                // Not every user may make a namespace.
                Err(_) if inner.try_wait().unwrap().is_some() => break None,
                Err(_) => std::thread::yield_now(),
            }
        };
        if let Some(socket) = &mut socket {
            let mut text = String::new();
            socket.read_to_string(&mut text).unwrap();
            let user = rustix::process::geteuid().as_raw();
            assert_eq!(text, format!("a process of user {user} in another pid namespace, 0"));
            assert!(inner.wait().unwrap().success());
        }
        let _ = std::fs::remove_file(&path);
        assert!(socket.is_some() || !rustix::process::geteuid().is_root());
    }
}
