//! The same behind any other server: `starwars-gateway --fastcgi 127.0.0.1:9000 --mount /starwars=starwars`.

use std::process::ExitCode;

use mod_rust::Gateway;

fn main() -> ExitCode {
    Gateway::new("starwars-gateway", env!("CARGO_PKG_VERSION"))
        .application("starwars", applications::starwars::factory())
        .main()
}
