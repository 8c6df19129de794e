//! Crowds of clients beside a fast one: slow readers, streams without a window, clients that leave.
//!
//! `MOD_RUST_CROWD=10000 cargo test --features servers --test serve -- --ignored --nocapture crowds`
//! makes each crowd as large as that, where descriptors allow it, and prints figures.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use httpd_testkit::{WebServer, proc};
use rustix::net::sockopt::set_socket_recv_buffer_size;

use crate::options::Protocol::{self, FastCgi, Http1, Http2, Scgi, Uwsgi};
use crate::options::{Held, PREFACE, Sent};
use crate::program::{Folder, PATIENCE, Program};

/// More than had threads before their responses were parked.
const SLOW: usize = 600;

/// Returns the size of the crowds of the tests that are ignored.
fn crowd() -> usize {
    std::env::var("MOD_RUST_CROWD").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

/// A program on a Unix socket, whose buffers are small.
struct Crowded {
    protocol: Protocol,
    program: Program,
    folder: Folder,
}

impl Crowded {
    fn start(protocol: Protocol, options: &[&str]) -> Self {
        let folder = Folder::new();
        let (name, socket) = (format!("--{}", protocol.option()), folder.text("socket"));
        let listens = [&name, &*socket, "--max-connections", "30000", "--queue-size", "40000"];
        let program = Program::start(&[&listens, options].concat());
        Self { protocol, program, folder }
    }

    fn connect(&self) -> UnixStream {
        let client = UnixStream::connect(self.folder.path("socket")).expect("a listener");
        client.set_read_timeout(Some(PATIENCE)).expect("a socket");
        client
    }

    fn send(&self, path: &str) -> UnixStream {
        let mut client = self.connect();
        client.write_all(&self.protocol.request(path, Sent::Whole)).expect("the program reads");
        client
    }

    /// Returns the time of a request that is answered at once.
    fn fast(&self) -> Duration {
        let begun = Instant::now();
        let read = self.send("/echo").read(&mut [0; 1024]);
        assert!(read.as_ref().is_ok_and(|&read| read > 0), "{:?}: {read:?}", self.protocol);
        begun.elapsed()
    }

    fn worker(&self) -> i32 {
        let master = self.program.pid().cast_signed();
        let workers = proc::children(master).expect("the master runs");
        let [worker] = workers[..] else { panic!("{workers:?}") };
        worker
    }

    /// Returns the descriptors of the worker process.
    fn descriptors(&self) -> usize {
        proc::fds(self.worker()).expect("the worker runs").len()
    }

    /// Returns the threads and the MiB of the worker process.
    fn size(&self) -> (usize, u64) {
        let worker = self.worker();
        let rss_kib = proc::rss_kib(worker).expect("the worker runs");
        (proc::threads(worker).expect("the worker runs"), rss_kib / 1024)
    }
}

/// Opens a crowd of clients that read nothing of 16 MiB each, and has fast ones served.
fn slow_readers(protocol: Protocol, count: usize) {
    let crowded = Crowded::start(protocol, &["--send-timeout", "600s"]);
    let before = crowded.fast();
    let begun = Instant::now();
    let held: Vec<_> = (0..count).map(|_| crowded.send("/bulk")).collect();
    let opened = begun.elapsed();
    let mut times: Vec<_> = (0..100).map(|_| crowded.fast()).collect();
    let all = begun.elapsed();
    times.sort();
    let (threads, mib) = crowded.size();
    println!(
        "{protocol:?}: {count} slow readers, opened in {opened:.1?}; a fast request before: \
         {before:.1?}; 100 beside them: median {:.1?}, worst {:.1?}, all after {all:.1?}; \
         {threads} threads, {mib} MiB",
        times[50], times[99]
    );
    assert!(threads <= 15 + 1024 + 10, "{protocol:?}: {threads} threads");
    // The connection of a response that was given up is closed at once.
    let descriptors = crowded.descriptors();
    assert!(descriptors <= threads + 200, "{protocol:?}: {descriptors} descriptors");
    drop(held);
    crowded.program.stop();
}

#[test]
fn slow_readers_leave_threads_for_others() {
    for protocol in [FastCgi, Scgi, Uwsgi, Http1] {
        slow_readers(protocol, SLOW);
    }
}

#[test]
#[ignore = "takes gigabytes"]
fn thousands_of_slow_readers_leave_threads_for_others() {
    for protocol in [FastCgi, Scgi, Uwsgi, Http1] {
        slow_readers(protocol, crowd());
    }
}

/// Opens connections of 200 streams each, without a window for a response.
#[test]
fn streams_without_a_window_leave_threads_for_others() {
    let crowded = Crowded::start(Http2, &["--send-timeout", "600s"]);
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    let no_window = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    let request = Http2.request("/bulk", Sent::Whole);
    let headers = &request[PREFACE.len() + 9..];
    let mut bytes = [PREFACE, &no_window].concat();
    for stream in (1..400u16).step_by(2) {
        let at = bytes.len();
        bytes.extend(headers);
        bytes[at + 7..at + 9].copy_from_slice(&stream.to_be_bytes());
    }
    let open = |_| {
        let mut client = crowded.connect();
        client.write_all(&bytes).expect("the program reads");
        client
    };
    let held: Vec<_> = (0..6).map(open).collect();
    let times: Vec<_> = (0..20).map(|_| crowded.fast()).collect();
    let (threads, mib) = crowded.size();
    let worst = times.iter().max().expect("twenty");
    println!("6 x 200 streams without a window: worst {worst:.1?}, {threads} threads, {mib} MiB");
    // A hundred streams of a connection are served at once.
    assert!(threads <= 6 * 100 + 15 + 10, "{threads} threads");
    assert!(mib < 300, "{mib} MiB");
    drop(held);
    crowded.program.stop();
}

/// Has a crowd of clients leave while all threads are busy: their requests are not run.
fn clients_that_leave(protocol: Protocol, count: usize) {
    let held = Held::new();
    let options = ["--option", &held.option, "--threads", "1"];
    let crowded = Crowded::start(protocol, &options);
    let first = crowded.send("/wait");
    let begun = Instant::now();
    while held.trace().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{protocol:?}: the first request does not run");
        std::thread::yield_now();
    }
    let descriptors = crowded.descriptors();
    for batch in 0..count.div_ceil(500) {
        let clients: Vec<_> =
            (batch * 500..count.min(batch * 500 + 500)).map(|_| crowded.send("/wait")).collect();
        // Those that the program has not accepted are not counted yet.
        while crowded.descriptors() < descriptors + clients.len() {
            assert!(begun.elapsed() < PATIENCE, "{protocol:?}: connections are not accepted");
            std::thread::yield_now();
        }
        drop(clients);
        // They have left when the program has closed their connections.
        while crowded.descriptors() > descriptors {
            assert!(begun.elapsed() < PATIENCE, "{protocol:?}: connections stay open");
            std::thread::yield_now();
        }
    }
    let left = begun.elapsed();
    held.release();
    drop(first);
    crowded.fast();
    println!("{protocol:?}: {count} clients left within {left:.1?}; run: {}", held.trace());
    assert_eq!(held.trace(), "+-", "{protocol:?}");
    crowded.program.stop();
}

#[test]
fn requests_of_clients_that_left_are_not_run() {
    for protocol in [FastCgi, Scgi, Uwsgi, Http1] {
        clients_that_leave(protocol, 300);
    }
}

#[test]
#[ignore = "takes a minute"]
fn thousands_of_requests_of_clients_that_left_are_not_run() {
    for protocol in [FastCgi, Scgi, Uwsgi, Http1] {
        clients_that_leave(protocol, 3 * crowd());
    }
}

/// Sends a GET to nginx.
fn get(server: SocketAddr, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(server).expect("nginx listens");
    // The system would take several MiB for a client that does not read.
    set_socket_recv_buffer_size(&client, 16 * 1024).expect("a socket");
    client.set_read_timeout(Some(PATIENCE)).expect("a socket");
    write!(client, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    client
}

/// Has clients behind nginx, as docs/servers/nginx.md configures it, read nothing of 16 MiB each.
#[test]
#[ignore = "takes a dozen seconds until the system's buffers are full"]
fn slow_clients_behind_nginx_leave_threads_for_others() {
    // nginx is another user, who may not use the folder of the socket.
    let crowded = Crowded::start(FastCgi, &["--fastcgi", "127.0.0.1:0"]);
    let lines = &crowded.program.seen;
    let port = lines.iter().find_map(|line| line.split_once("listening: fastcgi 127.0.0.1:"));
    let (_, port) = port.expect("a listener of TCP");
    let location = format!(
        "location / {{ include fastcgi_params; fastcgi_pass 127.0.0.1:{port}; \
         fastcgi_buffering off; fastcgi_buffer_size 8k; }}"
    );
    let nginx = WebServer::nginx().conf(&location).start();
    let mut held: Vec<_> = (0..SLOW).map(|_| get(nginx.addr(), "/bulk")).collect();
    for client in &mut held {
        let mut status = [0; 12];
        client.read_exact(&mut status).expect("nginx answers");
        assert_eq!(&status, b"HTTP/1.1 200");
    }
    let mut worst = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        let mut answer = String::new();
        get(nginx.addr(), "/echo").read_to_string(&mut answer).expect("nginx answers");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        worst = worst.max(begun.elapsed());
    }
    let (threads, mib) = crowded.size();
    println!("{SLOW} slow clients behind nginx: worst {worst:.1?}, {threads} threads, {mib} MiB");
    drop(held);
    drop(nginx);
    crowded.program.stop();
}
