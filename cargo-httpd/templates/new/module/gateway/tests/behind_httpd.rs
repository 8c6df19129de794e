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
    let mut program = Gateway::builder(env!("CARGO_BIN_EXE_@NAME@-gateway"))
        .args(["--option", "@NAME@:greeting=Good day"])
        .args(["--mount", "/@NAME@=@NAME@", "--mount", "/@NAME@/closed=@NAME@-closed"]);
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
        let open = server.get("/@NAME@");
        let wanted = (200, "Good day! 1 shelves, prices in EUR.\n");
        assert_eq!((open.status, open.text()), wanted, "{protocol}");
        assert_eq!(server.get("/@NAME@/closed").status, 503, "{protocol}");
    }
}
