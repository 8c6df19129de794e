//! Restarts of a program behind nginx, which keeps connections to it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use httpd_testkit::WebServer;

use crate::program::{Folder, PATIENCE, Program, Signal, stage};

/// The number of restarts of the program. `MOD_RUST_RESTARTS` sets another number.
const RESTARTS: u32 = 5;

/// Asks nginx for a path and returns the answer, its head too.
fn get(server: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(server).expect("nginx listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("nginx reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("nginx answers");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A program whose name is also the last segment of a URL, over every protocol. nginx lets clients in
/// below two paths only.
#[test]
fn a_program_named_like_its_mount_is_no_way_around_an_access_rule() {
    let folder = Folder::new();
    let path = folder.path("shop");
    std::os::unix::fs::symlink(stage(), &path).unwrap();
    let protocols = ["fastcgi", "scgi", "uwsgi"];
    let mut arguments = vec!["--mount", "/=stage", "--mount", "/shop=stage"];
    let options = protocols.map(|protocol| format!("--{protocol}"));
    arguments.extend(options.iter().flat_map(|option| [&**option, "127.0.0.1:0"]));
    let program = Program::start_at(&path, &arguments);
    for protocol in protocols {
        let pass = format!("{protocol}_pass {}", program.address(protocol));
        let name = if protocol == "fastcgi" { "$fastcgi_script_name" } else { "$uri" };
        let pass = format!(
            "include {protocol}_params; {protocol}_param SCRIPT_NAME {name}; \
             {protocol}_param PATH_INFO \"\"; {pass};"
        );
        let conf = format!(
            "location / {{ deny all; }} location /shop {{ {pass} }} location /public/ {{ {pass} }}"
        );
        let nginx = WebServer::nginx().conf(&conf).start();
        let answer = get(nginx.addr(), "/");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{protocol}: {answer}");
        for (url, mount, rest) in [
            ("/shop", "/shop", None),
            ("/shop/a", "/shop", Some("/a")),
            ("/public/shop", "", Some("/public/shop")),
            ("/public/shop/a", "", Some("/public/shop/a")),
        ] {
            let answer = get(nginx.addr(), url);
            let has = |line: String| answer.contains(&line);
            let case = format!("{protocol} {url}: {answer}");
            assert!(has(format!("\nSCRIPT_NAME={mount}\n")), "{case}");
            match rest {
                Some(rest) => assert!(has(format!("\nPATH_INFO={rest}\n")), "{case}"),
                None => assert!(!has("\nPATH_INFO=".into()), "{case}"),
            }
        }
    }
    program.stop();
}

/// Sends a POST, which nginx never repeats, and returns the first line of the answer.
fn post(server: SocketAddr) -> String {
    let mut stream = TcpStream::connect(server).expect("nginx listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let request = "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                   Content-Length: 5\r\n\r\nhello";
    stream.write_all(request.as_bytes()).expect("nginx reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("nginx answers");
    let answer = String::from_utf8_lossy(&answer);
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn no_post_is_lost_over_kept_fastcgi_connections() {
    let location = "include fastcgi_params; fastcgi_pass program; \
                    fastcgi_keep_conn on; fastcgi_buffering off;";
    no_post_is_lost("fastcgi", location);
}

#[test]
fn no_post_is_lost_over_kept_http_connections() {
    let location = "proxy_pass http://program; proxy_http_version 1.1; \
                    proxy_set_header Connection \"\"; proxy_buffering off;";
    no_post_is_lost("http", location);
}

/// Restarts a program behind nginx, which sends POSTs over kept connections. A POST over a connection
/// that is closed at that moment would be a 502.
fn no_post_is_lost(protocol: &str, location: &str) {
    let option = format!("--{protocol}");
    let mut program = Program::start(&[&option, "127.0.0.1:0", "--graceful-timeout", "60s"]);
    let upstream =
        format!("upstream program {{ server {}; keepalive 16; }}", program.address(protocol));
    let location = format!("location / {{ {location} }}");
    let nginx = WebServer::nginx().outer_conf(&upstream).conf(&location).start();
    let restarts = std::env::var("MOD_RUST_RESTARTS").ok().and_then(|text| text.parse().ok());
    let (is_over, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    let answers = thread::scope(|scope| {
        let clients: Vec<_> = (0..24u64)
            .map(|client| {
                let (is_over, asked, nginx) = (&is_over, &asked, &nginx);
                scope.spawn(move || {
                    let mut wrong = Vec::new();
                    while !is_over.load(Ordering::Relaxed) {
                        let status = post(nginx.addr());
                        let number = asked.fetch_add(1, Ordering::Relaxed);
                        // Connections are idle for as long as the program waits, a little less, or more.
                        let pause = (client + u64::from(number)) * 37 % 160;
                        thread::sleep(Duration::from_millis(pause));
                        if !status.contains(" 200 ") {
                            wrong.push(status);
                        }
                    }
                    wrong
                })
            })
            .collect();
        for _ in 0..restarts.unwrap_or(RESTARTS) {
            let before = asked.load(Ordering::Relaxed);
            program.signal(Signal::HUP);
            program.wait_for("ready: ");
            while asked.load(Ordering::Relaxed) < before + 400 {
                thread::yield_now();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let answers: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        answers.concat()
    });
    let asked = asked.into_inner();
    assert!(answers.is_empty(), "{} of {asked}: {answers:?}", answers.len());
    println!("{asked} requests");
    program.stop();
}
