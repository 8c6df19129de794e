//! Projects as a new user makes them: `cargo httpd new` in a folder outside the repository, and
//! then every command in it, with the real httpd.
//!
//! They share one target folder, so that the kit is built once; one of them builds at a time.

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "tests/tool.rs uses the rest")]
mod common;
mod container;
mod init;
mod layouts;
mod machine;
mod made;
mod names;
mod questions;
mod system;
mod templates;
