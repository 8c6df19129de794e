//! The chat of `live.rs` as a program: `live-gateway --http 127.0.0.1:8080 --mount /live=live`.
#![forbid(unsafe_code)]

#[path = "live/chat.rs"]
mod chat;

use std::process::ExitCode;

use mod_rust::{Factory, Gateway};

fn main() -> ExitCode {
    Gateway::new("live-gateway", env!("CARGO_PKG_VERSION"))
        .application("live", Factory::service(chat::router()))
        .main()
}
