//! A chat over WebSocket and a live page over server-sent events, with axum.
//!
//! ```text
//! LoadModule live_module modules/mod_live.so
//! RustAppAlias /live live
//! ```
//!
//! Open `/live/` in two browsers. All of one process share a chat: with several httpd children, use
//! one, or the program of the same application, `live-gateway`.
#![forbid(unsafe_code)]

#[path = "live/chat.rs"]
mod chat;

use mod_rust::Factory;

mod_rust::module! {
    /// `LoadModule live_module …/mod_live.so`
    pub static live_module: "mod_live.c";
    applications = { "live" => Factory::service(chat::router()) };
}
