//! The same behind any other server: `files-gateway --fastcgi 127.0.0.1:9000 --mount /files=files`.

use std::process::ExitCode;

use mod_rust::Gateway;

fn main() -> ExitCode {
    Gateway::new("files-gateway", env!("CARGO_PKG_VERSION"))
        .application("files", applications::files::factory())
        .main()
}
