//! `@NAME@-gateway`: the applications of `@CRATE@` behind any server, by FastCGI, SCGI, uwsgi, CGI
//! or HTTP. `@NAME@-gateway --help` lists the options.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mod_rust::Gateway;

fn main() -> ExitCode {
    let mut gateway = Gateway::new("@NAME@-gateway", env!("CARGO_PKG_VERSION"));
    for (name, factory) in @CRATE@::applications() {
        gateway = gateway.application(name, factory);
    }
    gateway.mount("/@NAME@", "@NAME@").main()
}
