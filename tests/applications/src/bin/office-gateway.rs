//! The same behind any other server: `office-gateway --fastcgi 127.0.0.1:9000 --mount /office=office`.

use std::process::ExitCode;

use mod_rust::Gateway;

fn main() -> ExitCode {
    Gateway::new("office-gateway", env!("CARGO_PKG_VERSION"))
        .application("office", applications::office::factory())
        .main()
}
