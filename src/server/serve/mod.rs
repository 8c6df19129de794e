//! A whole program around applications: the command line, the listeners, the processes, the
//! signals.
//!
//! [`Gateway`] is what a program's `main` makes; [`serve()`] is the same for one application. A
//! program that listens itself has a master process, which binds and supervises, and worker
//! processes, which run the drivers. A CGI program, and a FastCGI program that inherits its socket,
//! are one process each: the web server has the supervision. [`GatewayServer`] serves in threads of
//! another program.

mod address;
mod applications;
mod backoff;
mod command;
mod config;
mod config_file;
mod control;
mod descriptors;
mod drivers;
mod gateway;
mod inherited;
mod listen;
mod logs;
mod master;
mod place;
mod privileges;
mod process;
mod program;
mod server;
mod signals;
mod sources;
mod systemd;
mod worker_process;

pub use self::gateway::{Gateway, serve};
pub use self::server::GatewayServer;
