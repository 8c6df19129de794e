//! Applications of poem, salvo, warp and tonic, as docs/frameworks.md makes them.

use std::process::Command;

use httpd_testkit::{Mpm, Server};

const FRAMEWORKS: [&str; 3] = ["poem", "salvo", "warp"];

/// Starts an httpd that mounts each framework's application at its name.
fn start(is_daemon: bool) -> Server {
    let mut conf = String::from("Protocols h2c http/1.1\n");
    let group = if is_daemon {
        conf.push_str("RustDaemonProcess frameworks threads=4\n");
        " process-group=frameworks"
    } else {
        ""
    };
    for name in FRAMEWORKS.iter().chain(&["grpc"]) {
        conf.push_str(&format!("RustAppAlias /{name} {name}{group}\n"));
    }
    let builder = Server::builder().mpm(Mpm::Event).load("http2");
    builder.module("mod_frameworks.so").conf(&conf).start()
}

#[test]
fn embedded() {
    each_framework_answers(&start(false));
}

#[test]
fn daemon() {
    each_framework_answers(&start(true));
}

fn each_framework_answers(server: &Server) {
    let body = b"0123456789abcdef".repeat(64 << 10);
    for name in FRAMEWORKS {
        let response = server.get(&format!("/{name}/hello/world"));
        assert_eq!((response.status, response.text()), (200, &*format!("{name}: world")));
        assert_eq!(server.get(&format!("/{name}/nothing")).status, 404, "{name}");

        let response = server.request("POST", &format!("/{name}/echo")).body(body.clone()).send();
        assert_eq!(response.status, 200, "{name}: {response:?}");
        assert!(response.body == body, "{name} returned {} bytes", response.body.len());
    }
    grpc_health_is_serving(server);
}

/// Calls `grpc.health.v1.Health/Check` with an empty message.
fn grpc_health_is_serving(server: &Server) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let message = folder.path().join("message");
    std::fs::write(&message, [0; 5]).expect("the message is written");
    let mut nghttp = Command::new("nghttp");
    nghttp.args(["--verbose", "--timeout=60", "--header=te: trailers"]);
    nghttp.args(["--header=content-type: application/grpc", "--data"]).arg(&message);
    nghttp.arg(format!("http://{}/grpc/grpc.health.v1.Health/Check", server.addr()));
    let output = nghttp.output().expect("nghttp is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A message of two bytes: field 1 (status) is 1 (SERVING).
    let serving = b"\0\0\0\0\x02\x08\x01";
    assert!(output.stdout.windows(7).any(|bytes| bytes == serving), "{text}");
    assert!(text.contains("grpc-status: 0"), "{text}");
}
