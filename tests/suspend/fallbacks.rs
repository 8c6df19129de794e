//! Requests that cannot be suspended: they wait on their thread, with the same answer.

use crate::support::{begin, busy, start, wait_until_waiting, waiting, waits};

#[test]
fn http_2_subrequests_and_internal_redirects() {
    let server = start(
        waits(8)
            .tls(true)
            .http2(true)
            .load("rewrite")
            .load("include")
            .conf(
                "ErrorDocument 404 /waits/wait/41\n\
                 AddOutputFilter INCLUDES .shtml\n\
                 <Directory {htdocs}>\nOptions +Includes +FollowSymLinks\nRewriteEngine On\n\
                 RewriteRule ^rewritten$ /waits/wait/42\n</Directory>",
            )
            .file("htdocs/page.shtml", "[<!--#include virtual=\"/waits/wait/300\" -->]\n"),
    );
    assert_eq!(server.get("/page.shtml").text(), "[waited 300 ms\n]\n");
    assert_eq!(server.get("/rewritten").text(), "waited 42 ms\n");
    let response = server.get("/no-such-page");
    assert_eq!((response.status, response.text()), (200, "waited 41 ms\n"));
    for url in [server.tls_url("/waits/wait/300"), server.tls_url("/waits/drip/3/20/10")] {
        let output = server.curl(&["--http2", "-w", " over %{http_version}", &url]);
        assert!(output.text().ends_with(" over 2"), "{}", output.text());
    }
    wait_until_waiting(&server, 0);
}

/// Two hundred descriptors are for other things, and each wait takes two: with 230, fifteen
/// connections can wait without a thread.
#[test]
fn beyond_the_limit_of_descriptors_requests_wait_on_threads() {
    let server = start(waits(20).wrap(&["prlimit", "--nofile=230"]).conf("ListenBacklog 100"));
    let mut connections: Vec<_> = (0..22).map(|_| begin(&server, "/waits/wait/3000")).collect();
    server.wait_for("the limit", || waiting(&server) >= 13 && busy(&server) > 22 - 15);
    assert!(waiting(&server) <= 15);
    for connection in &mut connections {
        assert_eq!(connection.read_response().text(), "waited 3000 ms\n");
    }
}
