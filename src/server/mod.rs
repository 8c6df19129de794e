//! Drivers: what accepts connections, runs applications on worker threads, and drains.

pub mod bridge;
#[cfg(all(target_os = "linux", feature = "cgi"))]
#[forbid(unsafe_code)]
pub mod cgi;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
mod crew;
#[cfg(all(target_os = "linux", any(feature = "fastcgi", feature = "scgi", feature = "uwsgi")))]
#[forbid(unsafe_code)]
// With all of them the lints see every part.
#[cfg_attr(
    not(all(feature = "fastcgi", feature = "scgi", feature = "uwsgi")),
    allow(dead_code, unused_imports, reason = "each protocol needs a part of it")
)]
pub mod engine;
#[cfg(all(target_os = "linux", feature = "fastcgi"))]
#[forbid(unsafe_code)]
pub mod fastcgi;
#[cfg(all(target_os = "linux", feature = "http-server"))]
#[forbid(unsafe_code)]
pub mod http;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
mod lookout;
pub mod os;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
pub(crate) mod place;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
mod room;
#[cfg(all(target_os = "linux", feature = "scgi"))]
#[forbid(unsafe_code)]
pub mod scgi;
#[cfg(all(target_os = "linux", feature = "serve"))]
#[forbid(unsafe_code)]
pub mod serve;
#[cfg(all(target_os = "linux", feature = "serve"))]
#[forbid(unsafe_code)]
pub mod site;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
mod table;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
mod turns;
#[cfg(all(target_os = "linux", feature = "uwsgi"))]
#[forbid(unsafe_code)]
pub mod uwsgi;
