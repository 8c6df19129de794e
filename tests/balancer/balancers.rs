//! The web servers in front, as the page configures them.

use std::time::Duration;

use httpd_testkit::{Connection, Mpm, Response, Server, WebServer};

use crate::documented::block;
use crate::load::Front;
use crate::manager;
use crate::network::Network;

const PAGE: &str = "balancer.md";

/// The web server that spreads the requests.
pub(crate) enum Balancer {
    Httpd(Box<Server>),
    Nginx(WebServer),
}

impl Balancer {
    /// Starts httpd with the block below `heading`, changed by `change`, and the module of the
    /// protocol.
    pub(crate) fn httpd(
        network: &Network,
        heading: &str,
        module: &str,
        change: impl FnOnce(String) -> String,
    ) -> Self {
        let conf = change(network.fill(&block(PAGE, heading, 0)));
        let modules = [
            "authz_host",
            "env",
            "headers",
            "rewrite",
            "slotmem_shm",
            "watchdog",
            "proxy",
            "proxy_balancer",
            "lbmethod_byrequests",
            "proxy_hcheck",
            module,
        ];
        let builder = modules.iter().fold(Server::builder(), |builder, name| builder.load(name));
        let builder = builder.mpm(Mpm::Event).children(2).threads(24).patience(PATIENCE);
        Self::Httpd(Box::new(builder.conf(&conf).start()))
    }

    /// Starts nginx with the blocks below `heading`.
    pub(crate) fn nginx(network: &Network, heading: &str) -> Self {
        let [outer, inner] = [0, 1].map(|index| network.fill(&block(PAGE, heading, index)));
        let builder = WebServer::nginx().outer_conf(&outer).conf(&inner).patience(PATIENCE);
        Self::Nginx(builder.start())
    }

    pub(crate) fn front(&self) -> &dyn Front {
        match self {
            Self::Httpd(server) => &**server,
            Self::Nginx(server) => server,
        }
    }

    /// Sends a request on its own connection, with the cookies of `cookie`, if any. A POST has a
    /// body of five bytes.
    pub(crate) fn ask(&self, method: &str, target: &str, cookie: &str) -> Response {
        let request = match self {
            Self::Httpd(server) => server.request(method, target),
            Self::Nginx(server) => server.request(method, target),
        };
        let request = if method == "POST" { request.body("hello") } else { request };
        if cookie.is_empty() { request.send() } else { request.header("Cookie", cookie).send() }
    }

    /// Opens a connection of a client.
    pub(crate) fn connect(&self) -> Connection {
        match self {
            Self::Httpd(server) => server.connect(),
            Self::Nginx(server) => server.connect(),
        }
    }

    /// Returns the name of the host that answers a client with these cookies.
    pub(crate) fn host(&self, cookie: &str) -> char {
        let response = self.ask("GET", "/shop/config", cookie);
        let note =
            response.text().split_once("\"note\": \"").and_then(|(_, rest)| rest.chars().next());
        note.filter(|_| response.status == 200).unwrap_or_else(|| panic!("{response:?}"))
    }

    /// Waits until the health check, or a request, has found that a host has gone. nginx does not
    /// tell: it finds out by requests only.
    pub(crate) fn wait_out(&self, host: char) {
        if let Self::Httpd(server) = self {
            self.front().wait_for("the loss to be noticed", &mut || {
                let members = manager::members(server);
                members.iter().any(|member| member.route == host.to_string() && !member.is_ok())
            });
        }
    }

    /// Waits until a host gets requests of new visitors again.
    pub(crate) fn wait_back(&self, host: char) {
        if let Self::Httpd(server) = self {
            self.front().wait_for("the health check", &mut || {
                manager::members(server).iter().all(manager::State::is_ok)
            });
        }
        self.front().wait_for("the host's answers", &mut || self.host("") == host);
    }

    /// Tells httpd to send no more visitors to a host, or to send some again.
    pub(crate) fn drain(&self, host: char, on: bool) {
        let Self::Httpd(server) = self else { panic!("nginx has no page for that") };
        manager::drain(server, &host.to_string(), on);
    }

    /// Returns the balancer's status of its members, for messages.
    pub(crate) fn state(&self) -> String {
        match self {
            Self::Httpd(server) => format!("{:?}", manager::members(server)),
            Self::Nginx(server) => server.error_log(),
        }
    }
}

/// Time-outs of the page are a few seconds, and come one after another.
const PATIENCE: Duration = Duration::from_secs(20);
