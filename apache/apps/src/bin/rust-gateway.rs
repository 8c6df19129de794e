//! The stock applications behind any server: FastCGI, SCGI, uwsgi, CGI, HTTP.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use mod_rust::Gateway;

/// Mounted as the stock module has them (apache/httpd.conf).
fn main() -> ExitCode {
    Gateway::new("rust-gateway", env!("CARGO_PKG_VERSION"))
        .applications(mod_rust_apps::applications())
        .mount("/", "front")
        .mount("/hello", "hello")
        .mount("/probe", "probe")
        .main()
}
