//! Tests the hazards of Rust code inside httpd. Each test has the number of its hazard in
//! docs/testing.md, and runs a real httpd.

mod abi;
mod buckets;
mod client;
mod files;
mod filters;
mod heads;
mod hooks;
mod input;
mod lifecycle;
mod logs;
mod memory;
mod output;
mod panics;
mod smuggling;
mod subrequests;
mod support;
mod trust;
