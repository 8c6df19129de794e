//! The module in a real httpd. `cargo httpd test` builds it first.

use httpd_testkit::{Server, mpm_tests};

/// The configuration that is run and installed.
const CONF: &str = include_str!("../httpd.conf");

mpm_tests! {
    fn embedded(mpm) {
        let server = Server::builder().mpm(mpm).module("mod_@CRATE@.so").conf(CONF).start();
        let answer = server.get("/@NAME@/Jo");
        assert_eq!((answer.status, answer.text()), (200, "Hello, Jo\n"));
        assert_eq!(server.get("/").status, 404);
        server.graceful();
        assert_eq!(server.get("/@NAME@").text(), "Hello, world\n");
    }

    fn daemon(mpm) {
        let server = Server::builder()
            .mpm(mpm)
            .module("mod_@CRATE@.so")
            .conf("Define @DEFINE@")
            .conf(CONF)
            .start();
        server.group("@NAME@").wait_ready(2);
        assert_eq!(server.get("/@NAME@/Jo").text(), "Hello, Jo\n");
    }
}
