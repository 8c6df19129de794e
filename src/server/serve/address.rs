//! Addresses to listen at, as the command line has them.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::fd::RawFd;
use std::path::PathBuf;

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// A descriptor that the program was started with.
    Descriptor(RawFd),
    /// All interfaces.
    Port(u16),
    Tcp(SocketAddr),
    Unix(PathBuf),
}

pub(super) const ALLOWED: &str = "expected 127.0.0.1:9000, [::1]:9000, :9000 (all interfaces), \
                                  /run/name.sock, unix:/run/name.sock or fd:3; port 0 is a free one";

impl Address {
    /// Reads one.
    ///
    /// # Errors
    ///
    /// The text is not allowed; the error says what is.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || ALLOWED.to_owned();
        if let Some(number) = text.strip_prefix("fd:") {
            let number: RawFd = number.parse().map_err(|_| wrong())?;
            // 1 and 2 are the standard output and error.
            return if number == 0 || number > 2 {
                Ok(Self::Descriptor(number))
            } else {
                Err(format!("address \"fd:{number}\": not a listener; expected fd:3 or above"))
            };
        }
        let path = text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text));
        if let Some(path) = path {
            // The length that struct sockaddr_un has it, with a NUL.
            return match path.len() {
                1..108 if path.starts_with('/') && !path.ends_with('/') => {
                    Ok(Self::Unix(path.into()))
                }
                108.. => {
                    Err("the path is too long for a Unix socket; expected 107 bytes at most".into())
                }
                _ => Err(wrong()),
            };
        }
        if let Some(port) = text.strip_prefix(':') {
            return port.parse().map(Self::Port).map_err(|_| wrong());
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        }
        let named = text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains(':') && port.parse::<u16>().is_ok()
        });
        if !named {
            return Err(wrong());
        }
        let mut found = text.to_socket_addrs().map_err(|error| format!("{error}; {ALLOWED}"))?;
        found.next().map(Self::Tcp).ok_or_else(wrong)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Descriptor(number) => write!(f, "fd:{number}"),
            Self::Port(port) => write!(f, ":{port}"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        for (text, shown) in [
            ("127.0.0.1:9000", "127.0.0.1:9000"),
            ("[::1]:0", "[::1]:0"),
            (":9000", ":9000"),
            ("/run/x.sock", "/run/x.sock"),
            ("unix:/run/x.sock", "/run/x.sock"),
            ("fd:3", "fd:3"),
            ("fd:0", "fd:0"),
            ("localhost:80", ""),
        ] {
            let address = Address::parse(text).unwrap();
            assert!(shown.is_empty() || address.to_string() == shown, "{text}: {address}");
        }
    }

    #[test]
    fn mistakes_are_reported() {
        let long = format!("/{}", "x".repeat(107));
        for text in
            ["", "9000", "::1:9000", "127.0.0.1", "x.sock", "fd:1", "fd:x", ":99999", "/x/", &long]
        {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
