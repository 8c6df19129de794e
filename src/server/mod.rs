//! Drivers: what accepts connections, runs applications on worker threads, and drains.

#[cfg(all(target_os = "linux", feature = "cgi"))]
pub mod cgi;
pub mod daemon_process;
#[cfg(all(target_os = "linux", feature = "fastcgi"))]
pub mod fastcgi;
#[cfg(all(target_os = "linux", feature = "http-server"))]
pub mod http;
#[cfg(all(target_os = "linux", feature = "scgi"))]
pub mod scgi;
#[cfg(all(target_os = "linux", feature = "serve"))]
pub mod serve;
#[cfg(all(target_os = "linux", feature = "serve"))]
pub mod site;
#[cfg(all(target_os = "linux", any(feature = "fastcgi", feature = "scgi", feature = "uwsgi")))]
// With all of them the lints see every part.
#[cfg_attr(
    not(all(feature = "fastcgi", feature = "scgi", feature = "uwsgi")),
    allow(dead_code, unused_imports, reason = "each protocol needs a part of it")
)]
pub mod stream;
#[cfg(all(target_os = "linux", feature = "uwsgi"))]
pub mod uwsgi;
#[cfg(target_os = "linux")]
pub(crate) mod workers;
