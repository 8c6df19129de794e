//! `@NAME@-gateway`: `@FUNCTION@` behind any server, by FastCGI, SCGI, uwsgi, CGI or HTTP.
//! `@NAME@-gateway --help` lists the options.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mod_rust::{Factory, Gateway};

fn main() -> ExitCode {
    Gateway::new("@NAME@-gateway", env!("CARGO_PKG_VERSION"))
        .applications([("@NAME@", @FACTORY@)])
        .mount("/@NAME@", "@NAME@")
        .main()
}
