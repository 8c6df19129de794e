//! The kit itself, on the httpd of this machine with nothing but its own modules.

mod checks;
mod client;
mod restarts;
mod server;
mod tls;
mod web_servers;
