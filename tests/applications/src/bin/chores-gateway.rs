//! The same behind any other server: `chores-gateway --fastcgi 127.0.0.1:9000 --mount /chores=chores`.

use std::process::ExitCode;

use mod_rust::Gateway;

fn main() -> ExitCode {
    Gateway::new("chores-gateway", env!("CARGO_PKG_VERSION"))
        .application("chores", applications::chores::factory())
        .main()
}
