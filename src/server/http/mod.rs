//! HTTP/1.1 and HTTP/2 on hyper: for development, and behind a reverse proxy.
//!
//! One thread has all connections (tokio, hyper); as many as the site's `threads` run applications.
//! A thread that waits, for a body, a slow client or a future, gives its permit back.
#![cfg(target_os = "linux")]

mod body;
mod connection;
mod connection_tasks;
mod deadlines;
mod exchange;
mod executor;
mod forwarded;
mod forwarded_field;
mod host;
mod input;
mod options;
mod path;
mod sink;
mod variables;

pub(crate) use self::connection::{HttpListener, run};
pub(crate) use self::forwarded::{ProxyHeaders, TrustedProxies};
pub(crate) use self::options::HttpOptions;

#[cfg(test)]
mod tests;
