//! The peers of `--waiting`: the same axum application in each, or the nearest thing to it.

use super::wire::Protocol;
use crate::endpoint::Endpoint::{self, Awaiting, Axum, Hello, Sleeping};
use crate::peer::{Backend, Peer, Product};

/// Names that the bars have.
pub(crate) const EMBEDDED: &str = "mod_rust";
pub(crate) const DAEMON: &str = "mod_rust-daemon";
pub(crate) const HTTP: &str = "gateway-http";
pub(crate) const FASTCGI: &str = "gateway-fastcgi";
pub(crate) const WSTUNNEL: &str = "proxy-wstunnel";
pub(crate) const ON: &str = "async-on";
pub(crate) const OFF: &str = "async-off";

/// A peer, and the tables that it stands in.
pub(crate) struct Part {
    pub(crate) peer: Peer,
    /// The protocol of the requests that wait, if it takes part.
    pub(crate) crowd: Option<Protocol>,
    /// True if it has thousands of WebSockets and event streams.
    pub(crate) live: bool,
    /// True if it echoes over WebSocket.
    pub(crate) echo: bool,
    /// True if it is measured with wrk, for the cost of a suspension.
    pub(crate) rounds: bool,
}

const HTTPD: Part = Part {
    peer: Peer {
        name: "",
        title: "",
        modules: &[],
        own: None,
        backend: None,
        conf: "",
        endpoints: &[Hello],
        package: "apache2",
        callgrind: true,
        smoke: false,
        outside: false,
        warm_up_s: 1,
    },
    crowd: Some(Protocol::Http),
    live: false,
    echo: false,
    rounds: false,
};

/// Returns httpd with the benchmark's module.
const fn module(name: &'static str, title: &'static str, conf: &'static str) -> Part {
    let own = Some((Product::Module, "bench_module"));
    Part { peer: Peer { name, title, own, conf, smoke: true, ..HTTPD.peer }, ..HTTPD }
}

/// Returns the same for rounds with wrk.
const fn rounds(name: &'static str, title: &'static str, conf: &'static str) -> Part {
    let peer = Peer { endpoints: ENDPOINTS, ..module(name, title, conf).peer };
    Part { peer, crowd: None, rounds: true, ..HTTPD }
}

/// Returns a program, with what stands in front of it.
const fn program(
    name: &'static str,
    title: &'static str,
    backend: Backend,
    conf: &'static str,
    modules: &'static [&'static str],
) -> Part {
    let backend = Some(backend);
    Part { peer: Peer { name, title, backend, conf, modules, ..HTTPD.peer }, ..HTTPD }
}

/// Returns a gateway program without a web server.
const fn gateway(name: &'static str, title: &'static str, backend: Backend) -> Part {
    let part = program(name, title, backend, "", &[]);
    Part { peer: Peer { smoke: true, ..part.peer }, ..part }
}

/// Every one of them, in the order of the tables.
pub(crate) static PARTS: &[Part] = &[
    Part {
        live: true,
        echo: true,
        ..module(EMBEDDED, "mod_rust embedded, 50 threads", "examples/bench.conf")
    },
    Part {
        live: true,
        echo: true,
        ..module(
            DAEMON,
            "mod_rust daemon, one process of 4 threads",
            "benches/conf/waiting-daemon.conf",
        )
    },
    Part {
        live: true,
        echo: true,
        ..gateway(HTTP, "mod_rust program, HTTP, 4 threads", Backend::GatewayHttpTcp)
    },
    Part {
        crowd: Some(Protocol::FastCgi),
        ..gateway(FASTCGI, "mod_rust program, FastCGI, 4 threads", Backend::GatewayFastCgiTcp)
    },
    Part { echo: true, ..program("axum", "axum alone, 2 threads", Backend::AxumTcp, "", &[]) },
    Part {
        live: true,
        ..program(
            "nginx-axum",
            "nginx to axum",
            Backend::AxumTcp,
            "benches/conf/nginx/waiting.conf",
            &[],
        )
    },
    program(
        "proxy-http",
        "mod_proxy_http to axum, 50 threads",
        Backend::AxumTcp,
        "benches/conf/proxy-http-tcp.conf",
        &["proxy", "proxy_http"],
    ),
    Part {
        peer: Peer {
            name: "wsgi",
            title: "mod_wsgi embedded, 50 threads",
            modules: &["wsgi"],
            conf: "benches/conf/wsgi-embedded.conf",
            package: "libapache2-mod-wsgi-py3",
            ..HTTPD.peer
        },
        ..HTTPD
    },
    Part {
        crowd: None,
        echo: true,
        ..program(
            WSTUNNEL,
            "mod_proxy_wstunnel to axum",
            Backend::AxumTcp,
            "benches/conf/waiting-wstunnel.conf",
            &["proxy", "proxy_http", "proxy_wstunnel"],
        )
    },
    rounds(ON, "mod_rust embedded, RustAsync On", "benches/conf/async-on.conf"),
    rounds(OFF, "mod_rust embedded, RustAsync Off", "benches/conf/async-off.conf"),
];

/// The endpoints of the rounds with wrk.
pub(crate) const ENDPOINTS: &[Endpoint] = &[Axum, Awaiting, Sleeping];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own_and_a_configuration() {
        let checkout = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        for (index, part) in PARTS.iter().enumerate() {
            let peer = &part.peer;
            assert!(peer.is_alone() || checkout.join(peer.conf).is_file(), "{}", peer.conf);
            assert!(PARTS[..index].iter().all(|other| other.peer.name != peer.name));
            assert!(part.crowd.is_some() || part.echo || part.rounds, "{}", peer.name);
        }
    }
}
