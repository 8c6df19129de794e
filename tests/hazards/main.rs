//! What Rust code inside httpd must live through. Each test is named after its hazard's number in
//! docs/testing.md, and holds it against a real httpd.

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
