//! A test, step by step, with httpd's own modules: `cargo run -p httpd-testkit --example
//! first_test`.

use httpd_testkit::{BodyEnd, Server, proc};

fn main() {
    // A server with two modules of httpd's own, a page that is made by one of them, and TLS.
    let server = Server::builder()
        .load("include")
        .load("headers")
        .conf("AddType text/html .shtml\nAddOutputFilter INCLUDES .shtml\n")
        .conf("<Directory \"{htdocs}\">\n    Options +Includes\n</Directory>\n")
        .conf("Header set X-Port {port}\n")
        .file("htdocs/page.shtml", "<p><!--#echo var=\"REQUEST_METHOD\" --></p>\n")
        .file("htdocs/small.txt", "small\n")
        .tls(true)
        .start();
    println!("{} runs with the MPM {}", server.url("/"), server.mpm());

    // One request on a connection of its own.
    let page = server.get("/page.shtml");
    assert_eq!((page.status, page.text()), (200, "<p>GET</p>\n"));
    assert_eq!(page.end, BodyEnd::Chunked);
    println!("{page:?}\n");

    // Two requests at once on one connection.
    let mut connection = server.connect();
    connection.write("GET /small.txt HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2));
    assert_eq!(connection.read_response().text(), "small\n");
    assert_eq!(connection.read_response().text(), "small\n");
    drop(connection);

    // The same through TLS with a real client.
    let output = server.curl(&[server.tls_url("/small.txt")]);
    assert_eq!((output.status, output.text()), (Some(200), "small\n"));

    // Another configuration, in force without a restart of the parent.
    let config = server.config().replace("Header set X-Port", "Header set X-New-Port");
    server.write_config(&config);
    server.graceful();
    assert!(server.get("/small.txt").header("x-new-port").is_some());

    let resident = proc::rss_kib(server.pid()).expect("a parent that runs");
    println!("httpd's parent has {resident} KiB in memory; it has answered:");
    println!("{}", server.access_log());
    // Here it stops, and its logs are checked.
}
