//! Drivers: what accepts connections, runs applications on worker threads, and drains.

pub mod bridge;
#[cfg(all(target_os = "linux", feature = "http-server"))]
#[forbid(unsafe_code)]
pub mod http;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
mod lookout;
pub mod os;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
mod place;
#[cfg(all(target_os = "linux", feature = "serve"))]
#[forbid(unsafe_code)]
pub mod site;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
mod table;
#[cfg(target_os = "linux")]
#[forbid(unsafe_code)]
mod turns;
