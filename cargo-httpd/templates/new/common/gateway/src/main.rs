//! `@NAME@-gateway`: the applications of `@CRATE@` behind any server, by FastCGI, SCGI, uwsgi, CGI
//! or HTTP. `@NAME@-gateway --help` lists the options.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mod_rust::Gateway;

fn main() -> ExitCode {
    Gateway::new("@NAME@-gateway", env!("CARGO_PKG_VERSION"))
        .applications(@CRATE@::applications())
        .mount("/@NAME@", "@NAME@")
        .main()
}
