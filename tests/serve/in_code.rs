//! Gateways in threads of this process: `Gateway::start`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mod_rust::gateway::{app_fn, service};
use mod_rust::{Body, Factory, Gateway, GatewayServer};

use crate::program::{Folder, PATIENCE};

fn gateway() -> Gateway {
    let plain = app_fn(|_, start_response| {
        start_response.start(200, [("Content-Type", "text/plain")])?;
        Ok(Body::from("plain"))
    });
    let routes = axum::Router::new().route(
        "/",
        axum::routing::get(async || {
            tokio::time::sleep(Duration::from_millis(1)).await;
            "routed"
        }),
    );
    Gateway::new("in-code", "1.0")
        .application("plain", Factory::of(plain))
        .application("routed", Factory::of(service(routes)))
        .mount("/", "plain")
        .mount("/routed", "routed")
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").expect("a head").1.to_owned()
}

#[test]
fn it_serves_until_it_is_shut_down() {
    let folder = Folder::new();
    let (log, socket) = (folder.text("access"), folder.text("socket"));
    let server = gateway()
        .listen("http", "127.0.0.1:0")
        .listen("scgi", "127.0.0.1:0")
        .listen("scgi", &socket)
        .set("log-level", "error")
        .set("threads", "2")
        .set("access-log", &log)
        .set("access-log-format", "%R %>s %{us}T")
        .start()
        .unwrap();
    let [scgi, unix, http] = server.addresses() else { panic!("{server:?}") };
    assert_eq!((get(http, "/"), get(http, "/routed")), ("plain".into(), "routed".into()));
    assert_eq!(crate::client::get(scgi, "/").unwrap().body, "plain");
    assert_eq!((unix, crate::client::get(unix, "/").unwrap().body), (&socket, "plain".into()));
    // The line follows the response.
    let end = Instant::now() + PATIENCE;
    let line = loop {
        let lines = std::fs::read_to_string(&log).unwrap();
        if let Some(line) = lines.lines().find(|line| line.starts_with("routed 200 ")) {
            break line.to_owned();
        }
        assert!(Instant::now() < end, "{lines}");
        thread::yield_now();
    };
    let duration: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!((1000..60_000_000).contains(&duration), "{line}");
    let address = http.clone();
    shut_down(server);
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    assert!(!std::path::Path::new(&socket).exists(), "the socket's file is removed");
    // Another one in the same process.
    let second =
        gateway().arguments(["--http", "127.0.0.1:0", "--log-level=error"]).start().unwrap();
    assert_eq!(get(&second.addresses()[0], "/routed"), "routed");
    shut_down(second);
}

/// One thread waits, another one ends it.
fn shut_down(server: GatewayServer) {
    let server = Arc::new(server);
    let (ended, is_over) = mpsc::channel();
    let waiting = Arc::clone(&server);
    thread::spawn(move || ended.send(waiting.wait().map_err(|error| error.to_string())));
    assert!(is_over.try_recv().is_err(), "it ended by itself");
    server.shutdown();
    assert_eq!(is_over.recv_timeout(PATIENCE).expect("the end"), Ok(()));
    assert!(server.wait().is_ok(), "there is nothing left to wait for");
}

#[test]
fn mistakes_are_errors() {
    for (gateway, expected) in [
        (gateway(), "listeners: there are none; expected Gateway::listen"),
        (gateway().listen("http", "80"), "expected 127.0.0.1:9000"),
        (gateway().listen("spdy", ":0"), "Gateway::set: unexpected argument '--spdy'"),
        (gateway().listen("http", "fd:5"), "address \"fd:5\": not for a server in threads"),
        (gateway().set("max-requests", "5"), "option \"max-requests\": not for a server"),
        (gateway().listen("http", ":0").set("threads", "0"), "0 is not in 1..=100000"),
        (
            gateway().listen("http", ":0").set("workers", "2"),
            "option \"workers\": not for a server",
        ),
        (gateway().listen("http", ":0").set("mount", "/=x"), "application \"x\": unknown"),
        (gateway().listen("http", "/nowhere/x.sock"), "--http /nowhere/x.sock: No such file"),
    ] {
        let error = gateway.start().expect_err(expected).to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[derive(serde::Deserialize)]
struct NoOptions {}

async fn late(_: NoOptions) -> mod_rust::Result<axum::Router> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(axum::Router::new().route("/", axum::routing::get(async || "late")))
}

/// A factory, and whoever starts the server, may be in a runtime.
#[test]
fn a_runtime_may_start_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let factory = Factory::service_async(late);
        let server = Gateway::new("in-code", "1.0").application("late", factory);
        let server = server.listen("http", "127.0.0.1:0").set("log-level", "error");
        let server = server.start().unwrap();
        let address = server.addresses()[0].clone();
        let body = tokio::task::spawn_blocking(move || get(&address, "/")).await.unwrap();
        assert_eq!(body, "late");
        server.shutdown();
        tokio::task::spawn_blocking(move || server.wait()).await.unwrap().unwrap();
    });
}

/// Nothing replaces this process: a request that hangs keeps its thread, and the others are served.
#[test]
fn a_request_that_takes_too_long_ends_nothing_else() {
    let (release, hold) = mpsc::channel::<()>();
    let hold = Arc::new(std::sync::Mutex::new(hold));
    let stuck = app_fn(move |_, start_response| {
        let _ = hold.lock().unwrap().recv_timeout(PATIENCE);
        start_response.start(200, [("Content-Type", "text/plain")])?;
        Ok(Body::empty())
    });
    let server = gateway().application("stuck", Factory::of(stuck)).mount("/stuck", "stuck");
    let server = server.listen("scgi", "127.0.0.1:0").set("request-timeout", "200ms");
    let server = server.set("log-level", "error").start().unwrap();
    let address = &server.addresses()[0];
    assert_eq!(crate::client::get(address, "/stuck").unwrap().status, 504);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        assert_eq!(crate::client::get(address, "/").unwrap().body, "plain");
    }
    release.send(()).unwrap();
    shut_down(server);
}
