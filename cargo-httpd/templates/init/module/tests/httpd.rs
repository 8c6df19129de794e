//! The module in a real httpd. `cargo httpd test` builds it first.

use httpd_testkit::Server;

/// The configuration that is run and installed.
const CONF: &str = include_str!("../httpd.conf");

#[test]
fn embedded() {
    let server = Server::builder().module("mod_@CRATE@.so").conf(CONF).start();
    assert!(server.get("/@NAME@").status < 500);
}

#[test]
fn daemon() {
    let server =
        Server::builder().module("mod_@CRATE@.so").conf("Define @DEFINE@").conf(CONF).start();
    server.group("@NAME@").wait_ready(2);
    assert!(server.get("/@NAME@").status < 500);
}
