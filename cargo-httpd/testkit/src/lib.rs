//! Part of mod_rust.
#![deny(unsafe_code)]

mod builder;
mod client;
mod command;
mod config;
mod launch;
mod log;
mod modules;
mod mpm;
pub mod proc;
#[allow(unsafe_code)]
mod process;
mod restart;
mod root;
mod server;
mod tls;
mod wait;

pub use builder::{Builder, ConfigTest};
pub use client::{
    BodyEnd, ClientError, ClientErrorKind, Connection, Head, RequestBuilder, Response,
};
pub use command::Output;
pub use httpd_config::Mpm;
pub use launch::StartError;
pub use modules::{find_module, httpd};
pub use mpm::is_wanted;
pub use rustix::process::Signal;
pub use server::Server;
