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
    assert_eq!(waiting(&server), 0);
}

/// Without a descriptor for another wait, the thread waits as before.
#[test]
fn at_the_limit_of_descriptors() {
    let server = start(waits(4).module("mod_quirks.so").conf("RustAppAlias /quirks quirks"));
    // Two hundred are for other things: this leaves none.
    assert_eq!(server.get("/waits/wait/1").status, 200);
    let mut connection = begin(&server, "/waits/wait/300");
    wait_until_waiting(&server, 1);
    assert_eq!(busy(&server), 1);
    assert_eq!(connection.read_response().text(), "waited 300 ms\n");
}
