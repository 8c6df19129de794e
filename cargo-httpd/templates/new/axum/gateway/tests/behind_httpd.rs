//! The gateway program as processes of its own, behind a real httpd that knows nothing of Rust.

use httpd_testkit::{Gateway, Server};

/// Protocols of the program, and the modules and schemes of httpd that speak them.
const PROTOCOLS: [(&str, &str, &str); 4] = [
    ("fastcgi", "proxy_fcgi", "fcgi"),
    ("scgi", "proxy_scgi", "scgi"),
    ("uwsgi", "proxy_uwsgi", "uwsgi"),
    ("http", "proxy_http", "http"),
];

#[test]
fn every_protocol_serves_the_same() {
    let mut program = Gateway::builder(env!("CARGO_BIN_EXE_@NAME@-gateway")).args(["--option", "title=Fruit"]);
    for (protocol, ..) in PROTOCOLS {
        program = program.arg(format!("--{protocol}")).arg("127.0.0.1:0");
    }
    let program = program.start();

    for (protocol, module, scheme) in PROTOCOLS {
        let address = program.addr(protocol);
        let server = Server::builder()
            .load("proxy")
            .load(module)
            .conf(&format!("ProxyPass \"/@NAME@\" \"{scheme}://{address}/@NAME@\""))
            .start();
        assert_eq!(server.get("/@NAME@/").text(), "Fruit: 2 items\n", "{protocol}");
        let receipt = server
            .request("POST", "/@NAME@/orders")
            .header("Content-Type", "application/json")
            .body(r#"{"item":"pear","count":2}"#)
            .send();
        assert_eq!(receipt.status, 201, "{protocol}");
        assert_eq!(receipt.text(), r#"{"item":"pear","count":2,"price":110}"#, "{protocol}");
    }
    program.wait_log("an order of pear");
}
