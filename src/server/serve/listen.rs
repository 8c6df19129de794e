//! Listening sockets: bound, or inherited.

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, getsockname, listen, socket_with,
    sockopt,
};

use super::address::Address;
use super::config::{ProgramConfig, Wanted};
use super::place::{self, OwnFile, Place};
use crate::os;
use crate::server::site::Mode;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) protocol: Mode,
    pub(super) socket: OwnedFd,
    /// Its address, for people.
    pub(super) name: String,
    /// Removed when this is dropped.
    pub(super) file: Option<OwnFile>,
}

impl Bound {
    /// Binds what the command line names.
    ///
    /// # Errors
    ///
    /// An address cannot be listened at; the text names it and says why.
    pub(super) fn bind(wanted: &Wanted, config: &ProgramConfig) -> Result<Self, String> {
        let Wanted { protocol, address } = wanted;
        let told = |error: io::Error| format!("--{} {address}: {error}", protocol.name());
        let (socket, file) = match address {
            Address::Descriptor(0) => (stdin().map_err(told)?, None),
            Address::Descriptor(number) => (os::inherit(*number).map_err(told)?, None),
            Address::Tcp(address) => (tcp(*address, config.backlog).map_err(told)?, None),
            Address::Port(port) => (all_interfaces(*port, config.backlog).map_err(told)?, None),
            Address::Unix(path) => {
                let (socket, file) = unix(path, config).map_err(told)?;
                (socket, Some(file))
            }
        };
        Self::of(*protocol, socket, file).map_err(told)
    }

    /// Takes over a socket that somebody else has bound.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not a stream socket that listens.
    pub(super) fn adopt(protocol: Mode, socket: OwnedFd) -> io::Result<Self> {
        Self::of(protocol, socket, None)
    }

    fn of(protocol: Mode, socket: OwnedFd, file: Option<OwnFile>) -> io::Result<Self> {
        if !is_listening(&socket) {
            let text = "it is not a socket that listens for connections";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        os::set_nonblocking(&socket)?;
        let name = name(&socket);
        Ok(Self { protocol, socket, name, file })
    }
}

/// Whether `fd` is a stream socket that listens.
pub(super) fn is_listening(fd: impl AsFd) -> bool {
    sockopt::socket_acceptconn(&fd) == Ok(true)
        && sockopt::socket_type(&fd) == Ok(SocketType::STREAM)
}

/// The standard input, which FCGI_LISTENSOCK_FILENO is.
///
/// # Errors
///
/// Returns an error if it is not open.
pub(super) fn stdin() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

fn name(socket: &OwnedFd) -> String {
    let Ok(address) = getsockname(socket) else { return "?".into() };
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        return address.to_string();
    }
    let path = SocketAddrUnix::try_from(address).ok().and_then(|address| {
        Some(Path::new(OsStr::from_bytes(address.path()?.to_bytes())).display().to_string())
    });
    path.unwrap_or_else(|| "unix".into())
}

fn tcp(address: SocketAddr, backlog: i32) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind(&socket, &address)?;
    listen(&socket, backlog)?;
    Ok(socket)
}

/// IPv6 and IPv4 on one socket; IPv4 alone where there is no IPv6.
fn all_interfaces(port: u16, backlog: i32) -> io::Result<OwnedFd> {
    match tcp((Ipv6Addr::UNSPECIFIED, port).into(), backlog) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            tcp((Ipv4Addr::UNSPECIFIED, port).into(), backlog)
        }
        bound => bound,
    }
}

fn unix(path: &Path, config: &ProgramConfig) -> io::Result<(OwnedFd, OwnFile)> {
    let place = Place::find(path)?;
    remove_stale(&place, path)?;
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    // Nobody can connect before `listen`, whatever the mode was up to here.
    let file = place.own_socket(|file| {
        if let Some(privileges) = &config.privileges {
            privileges.give(file)?;
        }
        config.socket_mode.map_or(Ok(()), |mode| place::set_mode(file, mode))
    })?;
    listen(&socket, config.backlog)?;
    Ok((socket, file))
}

/// Removes a socket that nobody listens at any more.
fn remove_stale(place: &Place, path: &Path) -> io::Result<()> {
    let status = match place.status() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        status => status?,
    };
    if !place::is_socket(&status) {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the path exists and is not a socket",
        ));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => place.remove(),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::connect;

    use super::*;
    use crate::gateway::{Body, Factory, app_fn};
    use crate::server::serve::command;
    use crate::server::serve::gateway::Gateway;

    /// Linux refuses a connection to a Unix socket beyond the backlog and one more.
    #[test]
    fn the_backlog_is_an_option() {
        let folder = tempfile::tempdir().unwrap();
        let gateway = Gateway::new("shop", "1")
            .application("shop", Factory::of(app_fn(|_, _| Ok(Body::empty()))));
        for (count, accepted) in [("1", 2), ("3", 4)] {
            let arguments = ["shop", "--backlog", count].map(Into::into).into();
            let config = command::parse(&gateway, arguments, None).unwrap();
            let path = folder.path().join(count);
            let wanted = Wanted { protocol: Mode::Scgi, address: Address::Unix(path.clone()) };
            let _listener = Bound::bind(&wanted, &config).unwrap();
            let mut clients = Vec::new();
            let refused = loop {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let kind = SocketType::STREAM;
                let client = socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
                match connect(&client, &SocketAddrUnix::new(&path).unwrap()) {
                    Ok(()) => clients.push(client),
                    Err(error) => break error,
                }
            };
            assert_eq!((clients.len(), refused), (accepted, rustix::io::Errno::AGAIN), "{count}");
        }
    }
}
