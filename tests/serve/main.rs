//! `mod_rust::serve` as a program: its command line, its processes, its signals, CGI. No web server
//! but in `nginx`: the client is here.
//!
//! The program is the example `gateway-stage`, which `cargo test` builds.
#![cfg(target_os = "linux")]

mod activation;
mod cgi;
mod client;
mod command;
mod crowds;
mod ends;
mod in_code;
mod limits;
mod logs;
mod nginx;
mod notices;
mod options;
mod processes;
mod program;
mod refusals;
mod restart;
mod upgrades;
mod user;
mod waiting;
