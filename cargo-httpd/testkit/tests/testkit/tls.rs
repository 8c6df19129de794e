//! The listener with TLS, and HTTP/2.

use httpd_testkit::{Mpm, Server};

fn server() -> Server {
    Server::builder().mpm(Mpm::Event).tls(true).http2(true).file("htdocs/a.txt", "hello").start()
}

#[test]
fn curl_speaks_http_1_and_2_with_and_without_tls() {
    let server = server();
    for (options, url, version) in [
        (["--http1.1", "-i"], server.url("/a.txt"), "1.1"),
        (["--http1.1", "-i"], server.tls_url("/a.txt"), "1.1"),
        (["--http2", "-i"], server.tls_url("/a.txt"), "2"),
        (["--http2-prior-knowledge", "-i"], server.url("/a.txt"), "2"),
        // By Upgrade.
        (["--http2", "-i"], server.url("/a.txt"), "2"),
    ] {
        let output = server.curl(&[options[0], options[1], &url]);
        assert_eq!((output.exit, output.status), (Some(0), Some(200)), "{output:?}");
        assert_eq!(output.version.as_deref(), Some(version), "{options:?} {url}: {output:?}");
        assert!(output.text().ends_with("hello"), "{output:?}");
    }
    assert!(server.certificate().is_file());
}

#[test]
fn curl_reports_the_failure() {
    let server = Server::builder().start();
    let missing = server.curl(&["--fail", &server.url("/missing")]);
    assert_eq!((missing.exit, missing.status), (Some(22), Some(404)), "{missing:?}");
    assert!(missing.stderr.contains("404"), "{missing:?}");
    server.stop();
    let gone = server.curl(&[server.url("/")]);
    assert_eq!((gone.exit, gone.status), (Some(7), None), "{gone:?}");
}

#[test]
fn other_clients_run_too() {
    let server = server();
    let host = format!("localhost:{}", server.tls_addr().port());
    let output = server.run("openssl", &["s_client", "-connect", &host, "-alpn", "h2"]);
    // The server's first frames are binary.
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("ALPN protocol: h2"), "{output:?}");
}

#[test]
fn directives_for_the_tls_host_alone() {
    let server = Server::builder()
        .tls(true)
        .load("headers")
        .tls_conf("Header set X-Port {tls_port}\n")
        .file("htdocs/a.txt", "a")
        .start();
    assert_eq!(server.get("/a.txt").header("x-port"), None);
    let output = server.curl(&["-i", &server.tls_url("/a.txt")]);
    let wanted = format!("X-Port: {}", server.tls_addr().port());
    assert!(output.text().contains(&wanted), "{output:?}");
}
