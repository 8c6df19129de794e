//! The one table of what a machine needs.

use super::finding::Probe;

/// The purpose of a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Building a module and serving it.
    Run,
    /// The tests, beyond that.
    Test,
    /// The tests of the kit itself, beyond that of `Test`: the servers that applications run
    /// behind.
    Servers,
    /// Clients of other people for the tests of the kit, which are skipped without them.
    Clients,
    /// The benchmark, beyond that of `Run`.
    Bench,
    /// The fuzzers, beyond that of `Run`.
    Fuzz,
    /// Optional parts of the benchmark: rivals, and the programs of `--instr`.
    Rivals,
}

/// One thing that a machine has or lacks.
#[derive(Debug)]
pub(crate) struct Capability {
    /// The name in messages.
    pub(crate) name: &'static str,
    pub(crate) need: Need,
    pub(crate) probe: Probe,
    /// The packages that bring it on Debian and Ubuntu.
    pub(crate) debian: &'static [&'static str],
    /// The packages that bring it on Fedora and RHEL.
    pub(crate) fedora: &'static [&'static str],
}

/// Every capability. The first of a need that installs another one's package too comes first.
///
/// Debian's apache2-bin has the program and all modules, and unlike apache2 starts no service. What
/// does is in [`SERVICES`].
pub(crate) const CAPABILITIES: &[Capability] = &[
    Capability {
        name: "a C compiler",
        need: Need::Run,
        probe: Probe::Program("cc"),
        debian: &["gcc", "libc6-dev"],
        fedora: &["gcc", "glibc-devel"],
    },
    Capability {
        name: "httpd",
        need: Need::Run,
        probe: Probe::Httpd,
        debian: &["apache2-bin"],
        fedora: &["httpd"],
    },
    Capability {
        name: "httpd's headers",
        need: Need::Run,
        probe: Probe::Headers,
        debian: &["apache2-dev"],
        fedora: &["httpd-devel"],
    },
    Capability {
        name: "libclang",
        need: Need::Run,
        probe: Probe::Libclang,
        debian: &["libclang-dev"],
        fedora: &["clang-devel"],
    },
    Capability {
        name: "mod_ssl",
        need: Need::Test,
        probe: Probe::Module("ssl"),
        debian: &["apache2-bin"],
        fedora: &["mod_ssl"],
    },
    Capability {
        name: "mod_http2",
        need: Need::Test,
        probe: Probe::Module("http2"),
        debian: &["apache2-bin"],
        fedora: &["mod_http2"],
    },
    Capability {
        name: "curl",
        need: Need::Test,
        probe: Probe::Program("curl"),
        debian: &["curl"],
        fedora: &["curl"],
    },
    Capability {
        name: "openssl",
        need: Need::Test,
        probe: Probe::Program("openssl"),
        debian: &["openssl"],
        fedora: &["openssl"],
    },
    Capability {
        name: "nghttp",
        need: Need::Test,
        probe: Probe::Program("nghttp"),
        debian: &["nghttp2-client"],
        fedora: &["nghttp2"],
    },
    Capability {
        name: "mod_security",
        need: Need::Test,
        probe: Probe::Module("security2"),
        debian: &["libapache2-mod-security2"],
        fedora: &["mod_security"],
    },
    Capability {
        name: "kill",
        need: Need::Test,
        probe: Probe::Program("kill"),
        debian: &["procps"],
        fedora: &["util-linux"],
    },
    Capability {
        name: "nginx",
        need: Need::Servers,
        probe: Probe::Program("nginx"),
        debian: &["nginx"],
        fedora: &["nginx"],
    },
    Capability {
        name: "lighttpd",
        need: Need::Servers,
        probe: Probe::Program("lighttpd"),
        debian: &["lighttpd"],
        fedora: &["lighttpd", "lighttpd-fastcgi"],
    },
    Capability {
        name: "spawn-fcgi",
        need: Need::Servers,
        probe: Probe::Program("spawn-fcgi"),
        debian: &["spawn-fcgi"],
        fedora: &["spawn-fcgi"],
    },
    Capability {
        name: "cgi-fcgi",
        need: Need::Servers,
        probe: Probe::Program("cgi-fcgi"),
        debian: &["libfcgi-bin"],
        fedora: &["fcgi"],
    },
    Capability {
        name: "mod_fcgid",
        need: Need::Servers,
        probe: Probe::Module("fcgid"),
        debian: &["libapache2-mod-fcgid"],
        fedora: &["mod_fcgid"],
    },
    Capability {
        name: "ip",
        need: Need::Servers,
        probe: Probe::Program("ip"),
        debian: &["iproute2"],
        fedora: &["iproute"],
    },
    Capability {
        name: "Chromium",
        need: Need::Clients,
        probe: Probe::Program("chromium-headless-shell"),
        debian: &["chromium-headless-shell"],
        fedora: &["chromium-headless"],
    },
    Capability {
        name: "Python's websockets",
        need: Need::Clients,
        probe: Probe::SystemPython("websockets"),
        debian: &["python3-websockets"],
        fedora: &["python3-websockets"],
    },
    Capability {
        name: "wrk",
        need: Need::Bench,
        probe: Probe::Program("wrk"),
        debian: &["wrk"],
        fedora: &["wrk"],
    },
    Capability {
        name: "a C++ compiler",
        need: Need::Fuzz,
        probe: Probe::Program("c++"),
        debian: &["g++"],
        fedora: &["gcc-c++"],
    },
    Capability {
        name: "strace",
        need: Need::Rivals,
        probe: Probe::Program("strace"),
        debian: &["strace"],
        fedora: &["strace"],
    },
    Capability {
        name: "valgrind",
        need: Need::Rivals,
        probe: Probe::Program("valgrind"),
        debian: &["valgrind"],
        fedora: &["valgrind"],
    },
    Capability {
        name: "h2load",
        need: Need::Rivals,
        probe: Probe::Program("h2load"),
        debian: &["nghttp2-client"],
        fedora: &["nghttp2"],
    },
    Capability {
        name: "mod_lua",
        need: Need::Rivals,
        probe: Probe::Module("lua"),
        debian: &["apache2-bin"],
        fedora: &["mod_lua"],
    },
    Capability {
        name: "mod_wsgi",
        need: Need::Rivals,
        probe: Probe::Module("wsgi"),
        debian: &["libapache2-mod-wsgi-py3", "python3"],
        fedora: &["python3-mod_wsgi", "python3"],
    },
    Capability {
        name: "Python's venv",
        need: Need::Rivals,
        probe: Probe::Python("ensurepip"),
        debian: &["python3-venv", "python3-dev"],
        fedora: &["python3-devel"],
    },
    Capability {
        name: "PHP-FPM",
        need: Need::Rivals,
        probe: Probe::Program("php-fpm8.2"),
        debian: &["php8.2-fpm", "php8.2-opcache"],
        fedora: &["php-fpm"],
    },
];

/// Packages of Debian's that start a service as they are installed and at every boot from then on,
/// and its name. They are installed for their programs: neither is wanted.
pub(crate) const SERVICES: &[(&str, &str)] =
    &[("nginx", "nginx"), ("lighttpd", "lighttpd"), ("php8.2-fpm", "php8.2-fpm")];

/// Packages of Debian and Ubuntu that the benchmark uses beside those of a build, and their uses.
pub(crate) const BENCHMARK_USES: &[(&str, &str)] = &[
    ("wrk", "makes the load"),
    ("nghttp2-client", "makes the load over HTTP/2"),
    ("valgrind", "counts instructions, with --instr"),
    ("strace", "counts system calls, with --instr"),
    ("libapache2-mod-wsgi-py3", "mod_wsgi, a rival"),
    ("libapache2-mod-fcgid", "mod_fcgid, a rival"),
    ("python3-venv", "mod_wsgi and uWSGI from PyPI, with --rivals"),
    ("python3", "mod_wsgi's interpreter"),
    ("nginx", "stands in front, with --gateways"),
    ("php8.2-fpm", "PHP-FPM, a rival, with --gateways"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete() {
        for (index, row) in CAPABILITIES.iter().enumerate() {
            assert!(!row.debian.is_empty() && !row.fedora.is_empty(), "{}", row.name);
            assert!(
                CAPABILITIES[..index].iter().all(|other| other.name != row.name),
                "{} stands twice",
                row.name
            );
        }
    }

    #[test]
    fn the_benchmark_finds_its_packages_here() {
        for (package, _) in BENCHMARK_USES {
            let rows = CAPABILITIES.iter().filter(|row| row.debian.contains(package));
            assert!(
                rows.into_iter()
                    .any(|row| matches!(row.need, Need::Bench | Need::Rivals | Need::Servers)),
                "{package}"
            );
        }
    }

    #[test]
    fn services_are_known() {
        // Debian's apache2 starts a server on port 80 as it is installed, and keeps its settings.
        assert!(CAPABILITIES.iter().all(|row| !row.debian.contains(&"apache2")));
    }
}
