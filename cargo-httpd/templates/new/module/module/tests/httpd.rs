//! The module in a real httpd. `cargo httpd test` builds it first.

use httpd_testkit::{Server, mpm_tests};

/// The configuration that is run and installed.
const CONF: &str = include_str!("../httpd.conf");

fn serves(server: &Server) {
    let open = server.get("/@NAME@");
    assert_eq!((open.status, open.text()), (200, "Good day! 3 shelves, prices in USD.\n"));
    let closed = server.get("/@NAME@-closed");
    assert_eq!((closed.status, closed.text()), (503, "Closed.\n"));
}

mpm_tests! {
    fn embedded(mpm) {
        let server = Server::builder().mpm(mpm).module("mod_@CRATE@.so").conf(CONF).start();
        serves(&server);
        server.graceful();
        serves(&server);
    }

    fn daemon(mpm) {
        let server = Server::builder()
            .mpm(mpm)
            .module("mod_@CRATE@.so")
            .conf("Define @DEFINE@")
            .conf(CONF)
            .start();
        server.group("@NAME@").wait_ready(2);
        serves(&server);
    }
}

#[test]
fn mistakes_stop_the_server() {
    let said = |old: &str, new: &str| {
        let conf = CONF.replace(old, new);
        let said = Server::builder().module("mod_@CRATE@.so").conf(&conf).configtest();
        assert!(!said.ok, "{new} is taken");
        said.output
    };
    assert!(said("shelves 3", "shelves three").contains("expected a whole number"));
    assert!(said("Currency USD", "Currency DEM").contains("expected EUR or USD"));
}
