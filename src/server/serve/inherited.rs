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
    /// Returns an error if the variables of socket activation are malformed.
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
            return Err("option \"--cgi\": no web server has started the program; expected \
                        GATEWAY_INTERFACE and REQUEST_METHOD in the environment"
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
        if !config.own_listeners.is_empty() {
            return Ok(Task::Listen(config.own_listeners.clone()));
        }
        let flags: Vec<_> =
            PROTOCOLS.iter().map(|protocol| format!("--{} ADDR", protocol.name())).collect();
        Err(format!(
            "nothing to serve; expected a listener ({}), or a start by a web server (CGI, FastCGI) \
             or systemd (LISTEN_FDS)",
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
mod tests {
    use super::*;
    use crate::gateway::{Body, Factory, app_fn};
    use crate::server::serve::command;
    use crate::server::serve::gateway::Gateway;

    fn decide(inherited: &Inherited, arguments: &[&str]) -> Result<Task, String> {
        let gateway = Gateway::new("shop", "1")
            .application("shop", Factory::of(app_fn(|_, _| Ok(Body::empty()))));
        let arguments = ["shop"].iter().chain(arguments).map(Into::into).collect();
        inherited.decide(&command::parse(&gateway, arguments, None).unwrap())
    }

    #[test]
    fn nothing_is_an_error() {
        let error = decide(&Inherited::default(), &[]).unwrap_err();
        assert!(error.starts_with("nothing to serve; expected a listener ("), "{error}");
        assert!(is_cgi_interface(OsStr::new("CGI/1.1")));
        assert!(!is_cgi_interface(OsStr::new("FCGI")));
    }

    /// A program with listeners of its own still serves what a web server or systemd hands over.
    #[test]
    #[cfg(feature = "fastcgi")]
    fn the_code_is_the_weakest() {
        let gateway = Gateway::new("shop", "1")
            .application("shop", Factory::of(app_fn(|_, _| Ok(Body::empty()))))
            .listen("fastcgi", ":1");
        let config = command::parse(&gateway, vec!["shop".into()], None).unwrap();
        let inherited = Inherited { is_fastcgi: true, ..Inherited::default() };
        assert_eq!(inherited.decide(&config), Ok(Task::Inherited));
        let wanted = Wanted { protocol: Mode::FastCgi, address: Address::Port(1) };
        assert_eq!(Inherited::default().decide(&config), Ok(Task::Listen(vec![wanted])));
    }

    #[test]
    #[cfg(feature = "cgi")]
    fn cgi() {
        let inherited = Inherited { is_cgi: true, ..Inherited::default() };
        assert_eq!(decide(&inherited, &[]), Ok(Task::Cgi));
        assert_eq!(decide(&inherited, &["--cgi"]), Ok(Task::Cgi));
        let error = decide(&Inherited::default(), &["--cgi"]).unwrap_err();
        assert!(error.contains("GATEWAY_INTERFACE"), "{error}");
    }

    #[test]
    #[cfg(feature = "fastcgi")]
    fn sockets_of_others() {
        let inherited = Inherited { is_fastcgi: true, ..Inherited::default() };
        assert_eq!(decide(&inherited, &[]), Ok(Task::Inherited));
        let of = |name: &str| Inherited { sockets: vec![(3, name.into())], ..Inherited::default() };
        let wanted = Wanted { protocol: Mode::FastCgi, address: Address::Descriptor(3) };
        for name in ["fastcgi", "fastcgi-admin"] {
            assert_eq!(decide(&of(name), &[]), Ok(Task::Listen(vec![wanted.clone()])), "{name}");
        }
        assert_eq!(decide(&of("unknown"), &["--fastcgi", "fd:3"]), Ok(Task::Listen(vec![wanted])));
        let error = decide(&of("shop.socket"), &[]).unwrap_err();
        assert!(error.contains("descriptor 3 is named \"shop.socket\""), "{error}");
    }
}
