//! Ports of the loopback addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};

use anyhow::{Result, anyhow};

/// Makes sure that nobody listens on `port`, and says which port it is: for 0, a free one. The flag
/// is true if there is an IPv6 loopback address too.
pub(crate) fn free_port(port: u16) -> Result<(u16, bool)> {
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow!(
                "port {port}: in use; stop the process that listens there, or choose another with --port"
            )
        }
        io::ErrorKind::PermissionDenied => {
            anyhow!("port {port}: for root only; choose one above 1023 with --port")
        }
        _ => anyhow!("port {port}: not usable: {error}; choose another with --port"),
    };
    let port = bind(Ipv4Addr::LOCALHOST.into(), port).map_err(refused)?;
    match bind(Ipv6Addr::LOCALHOST.into(), port) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(refused(error)),
        other => Ok((port, other.is_ok())),
    }
}

/// True if this machine has the IPv6 loopback address.
pub(crate) fn has_ipv6() -> bool {
    bind(Ipv6Addr::LOCALHOST.into(), 0).is_ok()
}

fn bind(ip: IpAddr, port: u16) -> io::Result<u16> {
    Ok(TcpListener::bind((ip, port))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = free_port(port).unwrap_err().to_string();
        assert!(error.starts_with(&format!("port {port}: in use;")), "{error}");
    }

    #[test]
    fn zero_is_a_free_one() {
        let (port, ipv6) = free_port(0).unwrap();
        assert_ne!(port, 0);
        assert_eq!(ipv6, has_ipv6());
    }
}
