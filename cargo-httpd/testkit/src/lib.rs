//! Tests against a real Apache httpd.
//!
//! [`Server`] is a throwaway httpd in a folder and on a port of its own, around any module: one
//! that is being written, in whatever language, or those that httpd brings. It starts and stops in
//! some ten milliseconds each, so every test can have its own, with its own configuration, and they
//! run side by side. Nothing of the system's configuration is read, and nothing is left running,
//! even when the test's process is killed.
//!
//! ```no_run
//! use httpd_testkit::{BodyEnd, Server};
//!
//! let server = Server::builder()
//!     .load("headers")
//!     .conf("Header set X-Port {port}")
//!     .file("htdocs/hello.txt", "Hello, world\n")
//!     .start();
//!
//! let response = server.get("/hello.txt");
//! assert_eq!((response.status, response.text()), (200, "Hello, world\n"));
//! assert_eq!(response.header("x-port"), Some(server.port().to_string().as_str()));
//! assert_eq!(response.end, BodyEnd::Length);
//! ```
//!
//! The end of the scope is a check too: a panic, a crash, an error of the module under test in the
//! ErrorLog, a process left behind fail the test, unless [`Builder::allow_log`] expects them. What
//! a failed test needs is in its output: configuration, command, ErrorLog.
//!
//! # The module under test
//! `.module("mod_x.so")` loads it; [`find_module`] says where it is looked for. `cargo test` builds
//! no cdylib but those of examples: build the module first, or name its folder in
//! `HTTPD_TESTKIT_MODULES`.
//!
//! # The client
//! [`Server::get`] and [`Server::request`] send one request on a connection of its own.
//! [`Server::connect`] gives the connection itself: any bytes go out, and a [`Response`] says what
//! came, trailers and interim responses included, and by [`BodyEnd`] whether the body was complete
//! or broken off. It is strict, so that what must not be on the wire is seen. [`Server::curl`] and
//! [`Server::run`] use real clients, for TLS and HTTP/2.
//!
//! # Each MPM
//! [`mpm_tests!`] makes three tests of one function. A server that asks for no MPM gets that of the
//! variable `MPM`, else event.
//!
//! # Environment
//! | variable | meaning |
//! | --- | --- |
//! | `HTTPD_TESTKIT_MODULES` | the folder with the modules under test |
//! | `HTTPD_TESTKIT_MPMS` | the MPMs for which [`mpm_tests!`] runs, as `event,worker`; all without it |
//! | `HTTPD_TESTKIT_WRAP` | a program that httpd runs under, as `valgrind`: see [`Builder::wrap`] |
//! | `HTTPD_TESTKIT_KEEP` | keeps every server root, for a look at what httpd read and wrote |
//! | `MPM` | the MPM of a server that asks for none |
//! | `HTTPD`, `APXS`, ... | which httpd: see [`httpd_config::ENV`] |
//!
//! # Needs
//! Linux with `/proc`; an httpd 2.4; the openssl program for [`Builder::tls`], curl for
//! [`Server::curl`]. As root, httpd's children run as its package's user, as they do in service.
#![deny(unsafe_code)]

mod builder;
mod client;
mod command;
mod config;
mod gateway;
mod group;
mod launch;
mod lighttpd;
mod log;
mod modules;
mod mpm;
mod nginx;
pub mod proc;
#[allow(unsafe_code, reason = "Command::pre_exec")]
mod process;
mod programs;
mod restart;
mod root;
mod running;
mod server;
mod tls;
mod wait;
mod web_server;

pub use builder::{Builder, ConfigTest};
pub use client::{
    BodyEnd, ClientError, ClientErrorKind, Connection, Head, RequestBuilder, Response,
};
pub use command::Output;
pub use gateway::{Gateway, GatewayBuilder};
pub use group::{Group, GroupProcess};
pub use httpd_config::Mpm;
pub use launch::StartError;
pub use modules::{find_module, httpd};
pub use mpm::is_wanted;
pub use programs::{find_program, is_open_program};
pub use rustix::process::Signal;
pub use server::Server;
pub use web_server::{WebServer, WebServerBuilder};
