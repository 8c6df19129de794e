//! nginx and lighttpd, started by the kit.

use httpd_testkit::{BodyEnd, WebServer, proc};

#[test]
fn nginx_serves_and_leaves_nothing() {
    let nginx = WebServer::nginx()
        .outer_conf("limit_rate 0;")
        .conf("location = /port { return 200 \"{port}\\n\"; }")
        .file("htdocs/a.txt", "a text\n")
        .start();
    let response = nginx.get("/a.txt");
    assert_eq!((response.status, response.text()), (200, "a text\n"), "{response:?}");
    assert_eq!(response.header("content-type"), Some("text/plain"));
    assert_eq!(response.end, BodyEnd::Length);
    assert_eq!(nginx.get("/port").text(), format!("{}\n", nginx.port()));
    let pid = nginx.pid();
    assert!(!proc::in_session(pid).unwrap().is_empty());
    nginx.stop();
    assert!(proc::in_session(pid).unwrap().is_empty());
}

#[test]
fn lighttpd_serves_and_runs_programs() {
    let lighttpd = WebServer::lighttpd()
        .conf("server.modules += ( \"mod_cgi\" )\ncgi.assign = ( \".cgi\" => \"\" )")
        .program(
            "htdocs/a.cgi",
            "#!/bin/sh\nprintf 'Status: 203\\r\\n\\r\\n%s' \"$QUERY_STRING\"\n",
        )
        .start();
    let response = lighttpd.get("/a.cgi?q=1");
    assert_eq!((response.status, response.text()), (203, "q=1"), "{response:?}");
    lighttpd.stop();
}

#[test]
fn a_bad_configuration_is_reported() {
    let error = WebServer::nginx().conf("no_such_directive;").try_start().unwrap_err();
    assert!(error.to_string().contains("unknown directive \"no_such_directive\""), "{error}");
    let error = WebServer::lighttpd()
        .conf("server.modules += ( \"mod_no_such\" )")
        .try_start()
        .unwrap_err();
    assert!(error.to_string().contains("lighttpd ended instead of serving"), "{error}");
}
