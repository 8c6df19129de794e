//! Starting, serving, configuring.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use httpd_testkit::{BodyEnd, Mpm, Server, mpm_tests, proc};

mpm_tests! {
    fn serves_files(mpm) {
        let server = Server::builder().mpm(mpm).file("htdocs/a/b.txt", "hello\n").start();
        assert_eq!(server.mpm(), mpm);
        let response = server.get("/a/b.txt");
        assert_eq!((response.status, response.text()), (200, "hello\n"));
        assert_eq!(response.header("content-type"), Some("text/plain"));
        assert_eq!(response.end, BodyEnd::Length);
        let head = server.request("HEAD", "/a/b.txt").send();
        assert_eq!((head.header("Content-Length"), head.body.len()), (Some("6"), 0));
        assert_eq!(server.get("/missing").status, 404);
        assert!(server.wait_access_log("/missing").contains(" 404 "));
    }

    fn has_as_many_children_as_asked(mpm) {
        let server = Server::builder().mpm(mpm).children(3).threads(2).start();
        server.wait_for("three children", || server.children_pids().len() == 3);
        assert_eq!(proc::threads(server.pid()).unwrap(), 1);
        let threads = |pid| proc::threads(pid).unwrap_or_default();
        let enough = if mpm == Mpm::Prefork { 1 } else { 3 };
        server.wait_for("worker threads", || {
            server.children_pids().into_iter().all(|pid| threads(pid) >= enough)
        });
        let child = server.children_pids()[0];
        assert!(proc::rss_kib(child).unwrap() > 500);
        assert!(proc::title(child).unwrap().contains("-DFOREGROUND"));
    }
}

#[test]
fn says_what_runs() {
    let server = Server::builder()
        .load("mod_status")
        .conf("ExtendedStatus On\n<Location \"/server-status\">\nSetHandler server-status\n</Location>")
        .start();
    let response = server.get("/server-status?auto");
    assert_eq!(response.status, 200);
    let mpm = server.mpm().to_string();
    let text = response.text();
    assert!(text.contains(&format!("ServerMPM: {mpm}")), "{text}");
}

#[test]
fn modules_are_found_by_any_of_their_names() {
    for name in ["headers", "mod_headers", "mod_headers.so", "headers_module"] {
        let conf = "Header set X-Test \"on {port}\"";
        let builder = Server::builder().load(name).load("headers").conf(conf);
        let server = builder.file("htdocs/a.txt", "a").start();
        let wanted = format!("on {}", server.port());
        assert_eq!(server.get("/a.txt").header("x-test"), Some(wanted.as_str()), "{name}");
    }
    // Compiled in everywhere: nothing to load.
    assert!(Server::builder().load("so").configtest().ok);
    let error = Server::builder().load("no_such").try_start().unwrap_err().to_string();
    assert!(error.contains("no module mod_no_such"), "{error}");
}

#[test]
fn a_module_by_path_logs_more() {
    let folder = httpd_testkit::httpd().unwrap().modules_dir();
    let path = folder.join("mod_rewrite.so");
    let rules = "RewriteEngine On\nRewriteRule \"^/a$\" \"/b.txt\"";
    let server = Server::builder()
        .module(path.to_str().unwrap())
        .conf(rules)
        .file("htdocs/b.txt", "b")
        .start();
    assert_eq!(server.get("/a").text(), "b");
    assert!(server.wait_log("[rewrite:trace1]").contains("/b.txt"));
}

#[test]
fn htaccess_and_overrides() {
    let server = Server::builder()
        .load("headers")
        .conf("<Location \"/secret\">\nRequire all denied\n</Location>")
        .conf("KeepAlive Off")
        .file("htdocs/.htaccess", "Header set X-From htaccess\n")
        .file("htdocs/a.txt", "a")
        .start();
    let response = server.connect().request("GET", "/a.txt").send();
    assert_eq!(response.header("x-from"), Some("htaccess"));
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(server.get("/secret").status, 403);
}

#[test]
fn programs_run_with_the_environment_of_the_server() {
    let server = Server::builder()
        .load("cgid")
        .load("env")
        .conf("PassEnv TESTKIT_GREETING\nAddHandler cgi-script .cgi")
        .conf("<Directory \"{htdocs}\">\nOptions +ExecCGI\n</Directory>")
        .program(
            "htdocs/x.cgi",
            "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\n\
             echo \"$TESTKIT_GREETING $REQUEST_METHOD\"; cat\n",
        )
        .env("TESTKIT_GREETING", "good day")
        .start();
    let response = server.request("POST", "/x.cgi").chunks(["one ", "two"]).send();
    assert_eq!(response.text(), "good day POST\none two");
    // A program that has ended by the time httpd reads it makes a known length.
    assert!(response.end.is_complete(), "{:?}", response.end);
}

#[test]
fn one_connection_serves_many_requests() {
    let server = Server::builder().file("htdocs/a.txt", "a").start();
    let mut connection = server.connect();
    for _ in 0..3 {
        assert_eq!(connection.request("GET", "/a.txt").send().text(), "a");
        assert!(connection.is_idle());
    }
    connection.write("GET /a.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(connection.read_response().text(), "a");
    assert!(connection.is_closed());
}

#[test]
fn an_aborted_client_is_seen_by_the_server() {
    let server = Server::builder().file("htdocs/big", vec![0; 64 << 20]).start();
    let mut connection = server.connect();
    connection.write("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(connection.read_head().header("content-length"), Some("67108864"));
    connection.reset();
    // %X: X where the connection was aborted.
    let line = server.wait_access_log("/big");
    assert!(line.contains(" X "), "{line}");
}

#[test]
fn configtest_reports_the_mistake() {
    let good = Server::builder().tls(true).http2(true).load("headers").configtest();
    assert!(good.ok && good.output.contains("Syntax OK"), "{}", good.output);
    let bad = Server::builder().conf("NoSuchDirective On").configtest();
    assert!(!bad.ok && bad.output.contains("NoSuchDirective"), "{}", bad.output);
    let modules = Server::builder().load("headers").httpd(&["-M"]);
    assert_eq!(modules.exit, Some(0));
    assert!(modules.text().contains("headers_module (shared)"), "{}", modules.text());
}

#[test]
fn a_failed_start_is_explained() {
    let error = Server::builder().conf("NoSuchDirective On").try_start().unwrap_err().to_string();
    for part in ["ended instead of serving", "-DFOREGROUND", "ServerName localhost", "Syntax error"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("Listen {}", taken.local_addr().unwrap());
    let error = Server::builder().conf(&listen).try_start().unwrap_err().to_string();
    assert!(error.contains("AH00072"), "{error}");
    let error = Server::builder().module("mod_none.so").try_start().unwrap_err().to_string();
    assert!(error.contains("HTTPD_TESTKIT_MODULES"), "{error}");
}

#[test]
fn the_quietest_log_still_reports_readiness() {
    let server = Server::builder().log_level("emerg").start();
    server.graceful();
    assert_eq!(server.get("/").status, 404);
}

#[test]
fn servers_run_side_by_side() {
    std::thread::scope(|scope| {
        for n in 0..6 {
            scope.spawn(move || {
                let text = n.to_string();
                let server = Server::builder().file("htdocs/n.txt", &text).start();
                assert_eq!(server.get("/n.txt").text(), text);
            });
        }
    });
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let server = std::thread::spawn(|| Server::builder().file("htdocs/a.txt", "a").start());
    let server = server.join().unwrap();
    assert_eq!(server.get("/a.txt").text(), "a");
}

#[test]
fn a_wrapper_runs_httpd() {
    let server = Server::builder().wrap(&["env", "TESTKIT_WRAPPED=yes"]).start();
    assert!(server.patience() > Duration::from_secs(60));
    let environ = std::fs::read(format!("/proc/{}/environ", server.pid())).unwrap();
    assert!(String::from_utf8_lossy(&environ).contains("TESTKIT_WRAPPED=yes"));
}

/// Prints how long a start and a stop take. The bound is far above what is usual, as machines
/// differ: it catches a time-out or a sleep that crept in.
#[test]
fn a_start_and_a_stop_take_no_time() {
    // The search for httpd is made once in a process.
    drop(Server::builder().mpm(Mpm::Event).start());
    let begin = Instant::now();
    let server = Server::builder().mpm(Mpm::Event).start();
    let started = begin.elapsed();
    server.stop();
    let stopped = begin.elapsed();
    println!("start {started:?}, start and stop {stopped:?}");
    assert!(stopped < Duration::from_secs(5), "start {started:?}, start and stop {stopped:?}");
}
