//! The peers of the benchmark: one table, one row a peer.

use crate::endpoint::Endpoint::{
    self, Crowd, Echo, Eight, Environ, File, Headers, Hello, Http2, Many, One, Stream, Tls,
};

/// The C handler whose URLs are claimed before the file walk, as mod_rust's mounts are: every ratio
/// and every bar is against it.
pub(crate) const LIMIT: &str = "c-mount";
/// The C handler as a plain module has it, reached by `SetHandler` for a URL with a file behind it.
pub(crate) const PLAIN: &str = "c-handler";
/// A peer of the benchmark.
pub(crate) const OURS: &str = "mod_rust";
/// The same applications in a process group.
pub(crate) const DAEMON: &str = "mod_rust-daemon";
/// httpd without any of these modules.
pub(crate) const BARE: &str = "static";

/// One way to get an answer out of httpd.
pub(crate) struct Peer {
    /// Its name on the command line and in the JSON.
    pub(crate) name: &'static str,
    /// Its name in the tables.
    pub(crate) title: &'static str,
    /// Modules of the installed httpd that it needs, without `mod_`.
    pub(crate) modules: &'static [&'static str],
    /// The module that this project builds for it, and its symbol.
    pub(crate) own: Option<(Product, &'static str)>,
    /// The process behind httpd.
    pub(crate) backend: Option<Backend>,
    /// The web server's directives: a file in the checkout, or nothing if there is no web server.
    pub(crate) conf: &'static str,
    /// The endpoints that it can answer.
    pub(crate) endpoints: &'static [Endpoint],
    /// The package of Debian and Ubuntu that brings its modules.
    pub(crate) package: &'static str,
    /// False if callgrind's own start would swamp it: a process for each request.
    pub(crate) callgrind: bool,
    /// True if `--smoke` runs it.
    pub(crate) smoke: bool,
    /// True if the application runs in a process of its own, whoever starts that.
    pub(crate) outside: bool,
    /// Seconds of warm-up, where one is not enough.
    pub(crate) warm_up_s: u32,
}

/// Something built from the checkout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Product {
    /// `benches/c_handler`, by the C compiler.
    CHandler,
    /// `benches/cgi`, by the C compiler.
    Cgi,
    /// `benches/axum-backend`, by cargo.
    AxumBackend,
    /// Its FastCGI twin.
    FcgiBackend,
    /// The same, where httpd's children can run it.
    FcgiProgram,
    /// Its SCGI twin.
    ScgiBackend,
    /// Its twin of mod_rust's own servers.
    GatewayBackend,
    /// Its twin with the crate `fastcgi`.
    FastCgiBackend,
    /// Its twin with the crate `outer_cgi`.
    OuterBackend,
    /// PHP-FPM's program, which is not built here.
    PhpFpm,
    /// uWSGI's program, which is not built here.
    Uwsgi,
    /// `examples/bench.rs`, by cargo.
    Module,
}

/// A process behind httpd, and how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// HTTP over TCP.
    AxumTcp,
    /// HTTP over a Unix socket.
    AxumUnix,
    /// FastCGI over a Unix socket.
    FcgiUnix,
    /// SCGI over a Unix socket.
    ScgiUnix,
    /// uwsgi over a Unix socket.
    UwsgiUnix,
    /// mod_rust's servers over a Unix socket.
    GatewayFastCgi,
    GatewayScgi,
    GatewayUwsgi,
    GatewayHttp,
    /// The same over TCP, for clients that speak to them without a web server.
    GatewayFastCgiTcp,
    GatewayHttpTcp,
    /// FastCGI over a Unix socket, by the crate `fastcgi`.
    FastCgiCrate,
    /// The same by the crate `outer_cgi`.
    OuterCgi,
    /// The same by PHP-FPM.
    PhpFpm,
}

impl Peer {
    /// Returns the products that it needs.
    pub(crate) fn products(&self) -> Vec<Product> {
        let own = self.own.map(|(product, _)| product);
        let backend = self.backend.map(|backend| match backend {
            Backend::AxumTcp | Backend::AxumUnix => Product::AxumBackend,
            Backend::FcgiUnix => Product::FcgiBackend,
            Backend::ScgiUnix => Product::ScgiBackend,
            Backend::UwsgiUnix => Product::Uwsgi,
            Backend::GatewayFastCgi
            | Backend::GatewayScgi
            | Backend::GatewayUwsgi
            | Backend::GatewayHttp
            | Backend::GatewayFastCgiTcp
            | Backend::GatewayHttpTcp => Product::GatewayBackend,
            Backend::FastCgiCrate => Product::FastCgiBackend,
            Backend::OuterCgi => Product::OuterBackend,
            Backend::PhpFpm => Product::PhpFpm,
        });
        let cgi = self.modules.contains(&"cgid").then_some(Product::Cgi);
        let fcgi = self.modules.contains(&"fcgid").then_some(Product::FcgiProgram);
        [own, backend, cgi, fcgi].into_iter().flatten().collect()
    }

    /// True if the program serves its clients without a web server.
    pub(crate) fn is_alone(&self) -> bool {
        self.conf.is_empty()
    }

    /// True if nginx stands in front, and not httpd.
    pub(crate) fn is_behind_nginx(&self) -> bool {
        self.conf.starts_with("benches/conf/nginx/")
    }

    /// True for what the daemon mode is compared with: the others' applications out of process.
    pub(crate) fn is_outside_rival(&self) -> bool {
        self.outside && !self.is_essential()
    }

    /// True for the peers of this project: one of them that fails is a failure of the benchmark.
    pub(crate) fn is_essential(&self) -> bool {
        self.own.is_some()
    }
}

const C_ANSWERS: &[Endpoint] = &[Hello, Echo, Stream, Environ];
/// Of those whose slowest requests are compared, too.
const OUTSIDE: &[Endpoint] = &[Hello, Crowd, Echo, Stream, Environ];
const BACKENDS: &[Endpoint] = &[Hello, Headers, One, Eight, Crowd, Many, Tls, Http2, Echo, Stream];
/// Of the C handler, with which all others are compared.
const REFERENCES: &[Endpoint] =
    &[Hello, Headers, File, One, Eight, Crowd, Many, Tls, Http2, Echo, Stream, Environ];
const HTTPD: &str = "apache2";

/// Every peer, in the order of the tables.
pub(crate) const PEERS: &[Peer] = &[
    Peer {
        name: LIMIT,
        title: "C handler that claims its URLs (the limit)",
        modules: &[],
        own: Some((Product::CHandler, "c_handler_module")),
        backend: None,
        conf: "benches/conf/c-mount.conf",
        endpoints: REFERENCES,
        package: HTTPD,
        callgrind: true,
        smoke: true,
        outside: false,
        warm_up_s: 1,
    },
    Peer {
        name: PLAIN,
        title: "C handler by SetHandler",
        modules: &[],
        own: Some((Product::CHandler, "c_handler_module")),
        backend: None,
        conf: "benches/conf/c-handler.conf",
        endpoints: C_ANSWERS,
        package: HTTPD,
        callgrind: true,
        smoke: true,
        outside: false,
        warm_up_s: 1,
    },
    Peer {
        name: OURS,
        title: "mod_rust embedded",
        modules: &[],
        own: Some((Product::Module, "bench_module")),
        backend: None,
        conf: "examples/bench.conf",
        endpoints: &Endpoint::ALL,
        package: HTTPD,
        callgrind: true,
        smoke: true,
        outside: false,
        warm_up_s: 1,
    },
    Peer {
        name: DAEMON,
        title: "mod_rust daemon, 2 processes x 15 threads",
        modules: &[],
        own: Some((Product::Module, "bench_module")),
        backend: None,
        conf: "benches/conf/mod_rust-daemon.conf",
        endpoints: &Endpoint::ALL,
        package: HTTPD,
        callgrind: true,
        smoke: true,
        outside: true,
        warm_up_s: 1,
    },
    Peer {
        name: "wsgi-embedded",
        title: "mod_wsgi embedded",
        modules: &["wsgi"],
        own: None,
        backend: None,
        conf: "benches/conf/wsgi-embedded.conf",
        endpoints: C_ANSWERS,
        package: "libapache2-mod-wsgi-py3",
        callgrind: true,
        smoke: false,
        outside: false,
        warm_up_s: 1,
    },
    Peer {
        name: "wsgi-daemon",
        title: "mod_wsgi daemon, 2 processes x 15 threads",
        modules: &["wsgi"],
        own: None,
        backend: None,
        conf: "benches/conf/wsgi-daemon.conf",
        endpoints: OUTSIDE,
        package: "libapache2-mod-wsgi-py3",
        callgrind: true,
        smoke: false,
        outside: true,
        warm_up_s: 1,
    },
    Peer {
        name: "proxy-http-tcp",
        title: "mod_proxy_http to axum, TCP",
        modules: &["proxy", "proxy_http"],
        own: None,
        backend: Some(Backend::AxumTcp),
        conf: "benches/conf/proxy-http-tcp.conf",
        endpoints: BACKENDS,
        package: HTTPD,
        callgrind: true,
        smoke: false,
        outside: true,
        warm_up_s: 1,
    },
    Peer {
        name: "proxy-http-unix",
        title: "mod_proxy_http to axum, Unix socket",
        modules: &["proxy", "proxy_http"],
        own: None,
        backend: Some(Backend::AxumUnix),
        conf: "benches/conf/proxy-http-unix.conf",
        endpoints: BACKENDS,
        package: HTTPD,
        callgrind: true,
        smoke: false,
        outside: true,
        warm_up_s: 1,
    },
    Peer {
        name: "proxy-fcgi",
        title: "mod_proxy_fcgi to tokio-fastcgi, Unix socket",
        modules: &["proxy", "proxy_fcgi", "env"],
        own: None,
        backend: Some(Backend::FcgiUnix),
        conf: "benches/conf/proxy-fcgi.conf",
        endpoints: OUTSIDE,
        package: HTTPD,
        callgrind: true,
        smoke: false,
        outside: true,
        warm_up_s: 1,
    },
    Peer {
        name: "proxy-scgi",
        title: "mod_proxy_scgi to Rust, Unix socket",
        modules: &["proxy", "proxy_scgi", "env"],
        own: None,
        backend: Some(Backend::ScgiUnix),
        conf: "benches/conf/proxy-scgi.conf",
        endpoints: OUTSIDE,
        package: HTTPD,
        callgrind: true,
        smoke: false,
        outside: true,
        warm_up_s: 1,
    },
    Peer {
        name: "proxy-uwsgi",
        title: "mod_proxy_uwsgi to uWSGI, 2 processes x 15 threads",
        modules: &["proxy", "proxy_uwsgi"],
        own: None,
        backend: Some(Backend::UwsgiUnix),
        conf: "benches/conf/proxy-uwsgi.conf",
        endpoints: OUTSIDE,
        package: HTTPD,
        callgrind: true,
        smoke: false,
        outside: true,
        warm_up_s: 1,
    },
    Peer {
        name: "fcgid",
        title: "mod_fcgid to tokio-fastcgi",
        modules: &["fcgid", "alias", "env"],
        own: None,
        backend: None,
        conf: "benches/conf/fcgid.conf",
        endpoints: OUTSIDE,
        package: "libapache2-mod-fcgid",
        callgrind: true,
        smoke: false,
        outside: true,
        // It starts its processes one by one, as requests find none free.
        warm_up_s: 4,
    },
    Peer {
        name: "lua",
        title: "mod_lua, LuaScope thread",
        modules: &["lua"],
        own: None,
        backend: None,
        conf: "benches/conf/lua.conf",
        endpoints: &[Hello, Echo, Stream],
        package: HTTPD,
        callgrind: true,
        smoke: false,
        outside: false,
        warm_up_s: 1,
    },
    Peer {
        name: "cgid",
        title: "mod_cgid, static C program",
        modules: &["cgid", "alias", "env"],
        own: None,
        backend: None,
        conf: "benches/conf/cgid.conf",
        endpoints: OUTSIDE,
        package: HTTPD,
        callgrind: false,
        smoke: false,
        outside: true,
        warm_up_s: 1,
    },
    Peer {
        name: BARE,
        title: "static file",
        modules: &[],
        own: None,
        backend: None,
        conf: "benches/conf/static.conf",
        endpoints: &[Hello, File, Stream],
        package: HTTPD,
        callgrind: true,
        smoke: true,
        outside: false,
        warm_up_s: 1,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_the_special_ones_are_there() {
        let mut names: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
        for special in [LIMIT, PLAIN, OURS, DAEMON, BARE] {
            assert!(names.contains(&special), "{special}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PEERS.len());
    }

    #[test]
    fn the_limit_answers_all_that_others_are_compared_with() {
        let limit = PEERS.iter().find(|peer| peer.name == LIMIT).unwrap();
        for peer in PEERS {
            for endpoint in peer.endpoints {
                assert!(limit.endpoints.contains(&endpoint.reference()), "{}", peer.name);
            }
        }
    }

    #[test]
    fn every_peer_has_its_configuration() {
        let checkout = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        for peer in PEERS {
            let conf = std::path::Path::new(checkout).join(peer.conf);
            assert!(conf.is_file(), "{}", conf.display());
        }
    }
}
