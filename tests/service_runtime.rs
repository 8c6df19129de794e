//! The runtime for services: started, taken down, and started again in one process.
//!
//! Only without the httpd layers: an executable has none of httpd's symbols.
#![cfg(all(feature = "tower", not(feature = "httpd")))]

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use mod_rust::gateway::memory::TestRequest;
use mod_rust::gateway::service::service;
use mod_rust::internal::gateway::runtime;

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn from_its_start_to_its_end_and_again() {
    runtime::start().unwrap();
    runtime::start().unwrap();
    let (waiting, waits) = mpsc::channel();
    let router = || {
        let waiting = waiting.clone();
        Router::new()
            .route("/sleep", get(async || tokio::time::sleep(Duration::from_millis(1)).await))
            .route(
                "/forever",
                get(move || {
                    waiting.send(()).unwrap();
                    tokio::time::sleep(LONG)
                }),
            )
    };
    let app = service(router());
    assert!(TestRequest::get("/sleep").call(&app).is_complete());

    // The shutdown does not wait for waiting tasks.
    let request = thread::spawn(move || TestRequest::get("/forever").deadline(LONG).call(&app));
    waits.recv_timeout(Duration::from_secs(10)).unwrap();
    let (release, released) = mpsc::channel::<()>();
    runtime::handle().unwrap().spawn_blocking(move || released.recv());
    let started = Instant::now();
    runtime::shutdown(Duration::from_millis(50));
    assert!(started.elapsed() < Duration::from_secs(10), "a blocking task held it up");
    let response = request.join().unwrap();
    assert!(!response.is_complete() && response.error().is_some(), "{response:?}");
    drop(release);

    // A new generation in the same process builds its applications anew.
    assert!(TestRequest::get("/sleep").call(&service(router())).is_complete());
    runtime::shutdown(Duration::from_secs(10));
    runtime::shutdown(Duration::from_secs(10));
}
