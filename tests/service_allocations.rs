//! Counts the allocations of a service; a C handler allocates only from httpd's pools.
//!
//! The test runs only without the httpd layers, because an executable has none of httpd's symbols.
#![cfg(all(feature = "tower", not(feature = "httpd")))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use mod_rust::gateway::{
    Application, Body, Environ, FileBody, Level, Result, StartResponse, Status, service,
};
use mod_rust::internal::gateway::{
    Exchange, Fill, InputSource, Outcome, SharedVariables, Variables, run,
};

thread_local! {
    static ALLOCATIONS: Cell<u32> = const { Cell::new(0) };
}

/// Counts what this thread allocates.
struct Counting;

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// An exchange that allocates nothing itself.
struct Bare {
    shared: Arc<Nothing>,
    sent: Cell<usize>,
}

struct Nothing;

impl SharedVariables for Nothing {
    fn get(&self, _key: &[u8]) -> Option<Vec<u8>> {
        None
    }
    fn each(&self, _visit: &mut dyn FnMut(&[u8], &[u8])) {}
}

impl Variables for Bare {
    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        Some(match key {
            b"REQUEST_METHOD" => b"GET",
            b"SCRIPT_NAME" => b"/hello",
            b"SERVER_PROTOCOL" => b"HTTP/1.1",
            _ => return None,
        })
    }
    fn each(&self, _visit: &mut dyn FnMut(&[u8], &[u8])) {}
    fn header(&self, _name: &[u8]) -> Option<&[u8]> {
        None
    }
    fn each_header(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        visit(b"Host", b"localhost");
    }
    fn raw_target(&self) -> &[u8] {
        b"/hello"
    }
}

impl Exchange for Bare {
    fn begin(&self, status: Status<'_>) {
        assert_eq!(status.code(), StatusCode::OK);
    }
    fn put_header(&self, _name: &[u8], _value: &[u8]) {}
    fn commit(&self, length: Option<u64>) {
        assert_eq!(length, Some(13));
    }
    fn write(&self, data: Bytes) -> Result<()> {
        self.sent.set(self.sent.get() + data.len());
        Ok(())
    }
    fn conditions(&self, _file: &FileBody) -> Option<StatusCode> {
        None
    }
    fn file(&self, _file: FileBody) -> Result<()> {
        unreachable!("nothing here sends a file")
    }
    fn flush(&self) -> Result<()> {
        unreachable!("one piece needs no flush")
    }
    fn finish(&self, _trailers: Option<HeaderMap>) -> Result<()> {
        Ok(())
    }
    fn logs(&self, _level: Level) -> bool {
        true
    }
    fn log(&self, _level: Level, message: &str) {
        unreachable!("{message}")
    }
    fn share(&self) -> Arc<dyn SharedVariables> {
        self.shared.clone()
    }
}

struct NoInput;

impl InputSource for NoInput {
    fn length(&self) -> Option<u64> {
        Some(0)
    }
    fn fill(&mut self, _wait: bool) -> Result<Fill<'_>> {
        Ok(Fill::End)
    }
    fn consume(&mut self, _amount: usize) {}
}

/// Allocations of one request, once everything is warm.
fn allocations(application: &dyn Application) -> u32 {
    let exchange = Bare { shared: Arc::new(Nothing), sent: Cell::new(0) };
    for _ in 0..10 {
        assert!(matches!(run(application, &exchange, &mut NoInput), Outcome::Complete));
    }
    let before = ALLOCATIONS.get();
    let outcome = run(application, &exchange, &mut NoInput);
    let made = ALLOCATIONS.get() - before;
    assert!(matches!(outcome, Outcome::Complete));
    assert_eq!(exchange.sent.get(), 11 * 13);
    made
}

#[test]
fn an_application_of_ones_own_costs_none() {
    fn hello<'x>(_environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
        start_response.start(200, [("Content-Type", "text/plain")])?;
        Ok(Body::from("Hello, world\n"))
    }
    assert_eq!(allocations(&hello), 0);
}

/// axum itself makes fifteen, polled directly with one header in the request.
#[test]
fn an_axum_hello_costs_few() {
    let router = Router::new().route("/", get(async || "Hello, world\n"));
    let made = allocations(&service(router));
    assert!(made <= 18, "{made} allocations for a hello");
}
