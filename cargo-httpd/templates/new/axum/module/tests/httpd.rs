//! The module in a real httpd. `cargo httpd test` builds it first.

use httpd_testkit::{Server, mpm_tests};

/// The configuration that is run and installed.
const CONF: &str = include_str!("../httpd.conf");

fn serves(server: &Server) {
    let front = server.get("/@NAME@");
    assert_eq!((front.status, front.text()), (200, "Fruit and vegetables: 2 items\n"));
    let receipt = server
        .request("POST", "/@NAME@/orders")
        .header("Content-Type", "application/json")
        .body(r#"{"item":"apple","count":3}"#)
        .send();
    assert_eq!((receipt.status, receipt.header("content-type")), (201, Some("application/json")));
    assert_eq!(receipt.text(), r#"{"item":"apple","count":3,"price":120}"#);
    server.wait_log("an order of apple");
    assert_eq!(server.get("/@NAME@/items/plum").status, 404);
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
fn a_wrong_option_is_refused() {
    let conf = CONF.replace("at-most 20", "at-most many");
    let said = Server::builder().module("mod_@CRATE@.so").conf(&conf).configtest();
    assert!(!said.ok && said.output.contains("expected a whole number"), "{}", said.output);
}
