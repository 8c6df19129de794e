//! The task of the program, where the command line does not say it.

use std::ffi::OsStr;
use std::os::fd::RawFd;

use super::address::Address;
use super::config::{PROTOCOLS, ProgramConfig, Wanted};
use super::{listen, systemd};
use crate::server::site::Mode;

/// The sockets, variables and standard streams that the program inherited.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    /// GATEWAY_INTERFACE and REQUEST_METHOD are there, and descriptor 0 is not a listening socket.
    is_cgi: bool,
    /// Descriptor 0 is a listening socket (FCGI_LISTENSOCK_FILENO).
    is_fastcgi: bool,
    /// Sockets of systemd's, with their names.
    sockets: Vec<(RawFd, String)>,
}

/// The task of the program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Serve the one request of the environment.
    Cgi,
    /// Serve FastCGI on descriptor 0.
    Inherited,
    /// Listen, with a master and workers.
    Listen(Vec<Wanted>),
}

impl Inherited {
    /// Looks.
    ///
    /// # Errors
    ///
    /// When the variables of socket activation make no sense.
    pub(super) fn look() -> Result<Self, String> {
        let is_fastcgi = listen::is_listening(std::io::stdin());
        let interface = std::env::var_os("GATEWAY_INTERFACE");
        let has_request = interface.as_deref().is_some_and(is_cgi_interface)
            && std::env::var_os("REQUEST_METHOD").is_some();
        Ok(Self { is_cgi: has_request && !is_fastcgi, is_fastcgi, sockets: systemd::sockets()? })
    }

    /// Whether a web server has started the program for one request. Its command line may be made
    /// of the client's query then (RFC 3875, 4.4), and is not looked at.
    pub(super) const fn is_cgi(&self) -> bool {
        self.is_cgi
    }

    /// The task of the program.
    ///
    /// # Errors
    ///
    /// Nothing says it; what is allowed.
    pub(super) fn decide(&self, config: &ProgramConfig) -> Result<Task, String> {
        if self.is_cgi && config.listeners.is_empty() {
            return if cfg!(feature = "cgi") {
                Ok(Task::Cgi)
            } else {
                Err("started as a CGI program, but built without the feature \"cgi\"".into())
            };
        }
        if config.cgi {
            return Err("--cgi: no web server has started the program: GATEWAY_INTERFACE and \
                        REQUEST_METHOD are not set"
                .into());
        }
        if !config.listeners.is_empty() {
            return Ok(Task::Listen(config.listeners.clone()));
        }
        if !self.sockets.is_empty() {
            let wanted = self.sockets.iter().map(|(number, name)| activated(*number, name));
            return wanted.collect::<Result<_, _>>().map(Task::Listen);
        }
        if self.is_fastcgi {
            return if cfg!(feature = "fastcgi") {
                Ok(Task::Inherited)
            } else {
                Err("descriptor 0 is a listening socket, but the program was built without the \
                     feature \"fastcgi\""
                    .into())
            };
        }
        let flags: Vec<_> =
            PROTOCOLS.iter().map(|protocol| format!("--{} ADDR", protocol.name())).collect();
        Err(format!(
            "there is nothing to serve: name a listener ({}), or have a web server start the \
             program (CGI, FastCGI), or systemd (LISTEN_FDS)",
            flags.join(", ")
        ))
    }
}

/// `CGI/1.1`; others have other interfaces.
fn is_cgi_interface(text: &OsStr) -> bool {
    text.as_encoded_bytes().starts_with(b"CGI/")
}

/// The protocol of a socket of systemd's is its name (`FileDescriptorName=`), up to a `-`.
fn activated(number: RawFd, name: &str) -> Result<Wanted, String> {
    let first = name.split(['-', '.', '_']).next().unwrap_or_default();
    let protocol: Option<&Mode> = PROTOCOLS.iter().find(|protocol| protocol.name() == first);
    let protocol = *protocol.ok_or_else(|| {
        let names: Vec<_> = PROTOCOLS.iter().map(|protocol| protocol.name()).collect();
        format!(
            "socket activation: descriptor {number} is named \"{name}\"; name it {} \
             (FileDescriptorName=), or write its protocol, as in --{} fd:{number}",
            names.join(", "),
            names.first().unwrap_or(&"fastcgi")
        )
    })?;
    Ok(Wanted { protocol, address: Address::Descriptor(number) })
}

#[cfg(test)]
#[path = "inherited_tests.rs"]
mod tests;
