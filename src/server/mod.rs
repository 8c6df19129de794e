//! Drivers: what accepts connections, runs applications on worker threads, and drains.

#[cfg(all(target_os = "linux", feature = "cgi"))]
pub(crate) mod cgi;
pub(crate) mod daemon_process;
#[cfg(all(target_os = "linux", feature = "fastcgi"))]
pub(crate) mod fastcgi;
#[cfg(all(target_os = "linux", feature = "http-server"))]
pub(crate) mod http;
#[cfg(all(target_os = "linux", feature = "scgi"))]
pub(crate) mod scgi;
#[cfg(all(target_os = "linux", feature = "serve"))]
pub(crate) mod serve;
#[cfg(all(target_os = "linux", feature = "serve"))]
pub(crate) mod site;
#[cfg(all(target_os = "linux", any(feature = "fastcgi", feature = "scgi", feature = "uwsgi")))]
pub(crate) mod stream;
#[cfg(all(target_os = "linux", feature = "uwsgi"))]
pub(crate) mod uwsgi;
#[cfg(target_os = "linux")]
pub(crate) mod workers;
