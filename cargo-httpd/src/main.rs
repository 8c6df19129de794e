//! `cargo httpd`: runs, tests and measures Rust web applications inside a real Apache httpd.
//!
//! A user or CI calls it, as `cargo httpd COMMAND` or as `cargo-httpd COMMAND`. It builds nothing
//! that needs httpd's headers before [`ensure`] has made sure of them, and never links the kit
//! itself. One file a subcommand in [`commands`]; what they share stands beside it.
#![forbid(unsafe_code)]

mod ahead;
mod alias;
mod asan;
mod beside;
mod builder;
mod built_module;
mod cargo;
mod cargo_args;
mod cli;
mod columns;
mod commands;
mod control;
mod deb;
mod ensure;
mod events;
mod fill;
mod product;
mod progress;
mod project;
mod scaffold;
mod server;
mod setup;
mod steps;
mod system;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::parse();
    alias::explain_shadowing();
    match cli.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::say(&format!("error: {error:#}"));
            let interrupted = error.downcast_ref::<events::Interrupted>();
            interrupted.map_or(ExitCode::FAILURE, |interrupted| interrupted.status().into())
        }
    }
}
