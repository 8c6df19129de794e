//! A small httpd of its own around one module: its folder, its configuration, its process.
//!
//! `run` starts one, `conf` prints its configuration. The tests' throwaway servers are the test
//! kit's.

mod conf;
pub(crate) mod loopback;
mod outline;
mod process;
mod root;

pub(crate) use conf::{Conf, DaemonGroup, Logs, MIME_TYPES, Parts, on_loopback, plain, short};
pub(crate) use outline::Outline;
pub(crate) use process::{Server, configtest};
pub(crate) use root::ServerRoot;
