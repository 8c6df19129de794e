//! The servers that the tests start, and what they look at most.

use httpd_testkit::{Builder, Connection, Mpm, Response, Server};

/// A server with one child of so many threads, the module of the tests at `/waits`, and mod_status.
pub(crate) fn waits(threads: usize) -> Builder {
    Server::builder()
        .module("mod_waits.so")
        .mpm(Mpm::Event)
        .children(1)
        .threads(threads)
        .load("status")
        .conf("AsyncRequestWorkerFactor 1000")
        .conf("RustAppAlias /waits waits")
        .conf("<Location /server-status>\nSetHandler server-status\n</Location>")
}

/// Starts it, and has the child make its test at first use.
pub(crate) fn start(builder: Builder) -> Server {
    let server = builder.start();
    assert_eq!(server.get("/waits/wait/100").text(), "waited 100 ms\n");
    server.wait_log("RUST0044");
    // Its client may have the answer before it is over.
    wait_until_waiting(&server, 0);
    server
}

/// Sends the head of a GET on a connection of its own.
pub(crate) fn begin(server: &Server, target: &str) -> Connection {
    let mut connection = server.connect();
    connection.write(get(target));
    connection
}

/// Returns the head of a GET.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// Returns the number of requests that wait without a thread, in all modules.
pub(crate) fn waiting(server: &Server) -> usize {
    count_of(&server.get("/server-status?auto"))
}

/// Returns the number of requests that wait, by a page of the server's status.
pub(crate) fn count_of(page: &Response) -> usize {
    let lines = page.text().lines().filter(|line| line.contains("]Waiting["));
    let counts: Vec<usize> =
        lines.map(|line| line.rsplit(' ').next().unwrap_or_default().parse().unwrap()).collect();
    assert!(!counts.is_empty(), "no number of waiting requests: {}", page.text());
    counts.iter().sum()
}

/// Returns the number of threads that work on a request, this one among them.
pub(crate) fn busy(server: &Server) -> usize {
    let page = server.get("/server-status?auto");
    let line = page.text().lines().find_map(|line| line.strip_prefix("BusyWorkers: "));
    line.and_then(|count| count.parse().ok()).expect("the number of busy workers")
}

/// Waits until so many requests wait without a thread.
#[track_caller]
pub(crate) fn wait_until_waiting(server: &Server, count: usize) {
    server.wait_for("the requests that wait", || waiting(server) == count);
}
