//! The same behind any other server: `books-gateway --fastcgi 127.0.0.1:9000 --mount /books=books`.

use std::process::ExitCode;

use mod_rust::Gateway;

fn main() -> ExitCode {
    Gateway::new("books-gateway", env!("CARGO_PKG_VERSION"))
        .application("books", applications::books::factory())
        .main()
}
