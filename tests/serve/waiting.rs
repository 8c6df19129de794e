//! Requests of a service that wait: they hold memory and no thread, with every protocol.
//!
//! `MOD_RUST_CROWD=10000 cargo test --features servers --test serve -- --ignored --nocapture waiting`
//! makes the crowds as large as that, where descriptors allow it, and prints figures.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use httpd_testkit::proc;

use crate::options::Protocol::{self, FastCgi, Http1, Http2, Scgi, Uwsgi};
use crate::options::{LISTENING, PREFACE, Sent, each, read_until};
use crate::program::{Folder, PATIENCE, Program, Signal, asynchronous};

/// Threads that run requests.
const THREADS: usize = 4;
/// The threads of a worker process beside them: the runtime's, the first one, and HTTP's.
const OTHERS: usize = 12;
/// A second, with patience for a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// A program of a service on a Unix socket.
struct Waiting {
    protocol: Protocol,
    program: Program,
    folder: Folder,
}

impl Waiting {
    fn start(protocol: Protocol) -> Self {
        Self::with(protocol, &[])
    }

    fn with(protocol: Protocol, options: &[&str]) -> Self {
        let folder = Folder::new();
        let (name, socket) = (format!("--{}", protocol.option()), folder.text("socket"));
        let threads = THREADS.to_string();
        let log = folder.text("access");
        let listens = [
            &name,
            &*socket,
            "--threads",
            &threads,
            "--max-connections",
            "30000",
            "--queue-size",
            "40000",
        ];
        let logs = ["--access-log", &log];
        let program = Program::start_at(&asynchronous(), &[&listens[..], &logs, options].concat());
        Self { protocol, program, folder }
    }

    fn send(&self, path: &str, sent: Sent) -> UnixStream {
        let mut client = UnixStream::connect(self.folder.path("socket")).expect("a listener");
        client.set_read_timeout(Some(PATIENCE)).expect("a socket");
        client.write_all(&self.protocol.request(path, sent)).expect("the program reads");
        client
    }

    /// Returns the text of a response that ends with `end`.
    fn text(&self, path: &str, end: &str) -> String {
        let mut bytes = Vec::new();
        read_until(&mut self.send(path, Sent::Whole), &mut bytes, end.as_bytes());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until so many requests wait, and so many were dropped.
    fn wait_for(&self, now: usize, dropped: usize, patience: Duration) {
        let begun = Instant::now();
        let expected = format!("now {now}, dropped {dropped};");
        loop {
            let seen = self.text("/seen", ";");
            if seen.contains(&expected) {
                return;
            }
            let case = self.protocol;
            assert!(begun.elapsed() < patience, "{case:?}: not {expected}, but {seen}");
            std::thread::yield_now();
        }
    }

    fn worker(&self) -> i32 {
        let master = self.program.pid().cast_signed();
        let workers = proc::children(master).expect("the master runs");
        let [worker] = workers[..] else { panic!("{workers:?}") };
        worker
    }

    #[track_caller]
    fn assert_few_threads(&self) {
        let threads = proc::threads(self.worker()).expect("the worker runs");
        assert!(threads <= THREADS + OTHERS, "{:?}: {threads} threads", self.protocol);
    }

    /// Ends the program. Returns its access log.
    fn stop(self) -> String {
        self.program.stop();
        std::fs::read_to_string(self.folder.path("access")).expect("an access log")
    }

    fn rss_kib(&self) -> u64 {
        proc::rss_kib(self.worker()).expect("the worker runs")
    }
}

/// Reads a response up to the `end` of its body.
fn ends_with(client: &mut UnixStream, end: impl AsRef<[u8]>) {
    read_until(client, &mut Vec::new(), end.as_ref());
}

/// Has a crowd wait on four threads, beside requests that are answered at once.
fn crowd(protocol: Protocol, count: usize) {
    let waiting = Waiting::start(protocol);
    waiting.wait_for(0, 0, PATIENCE);
    let before = waiting.rss_kib();
    let begun = Instant::now();
    let mut clients: Vec<_> = (0..count).map(|_| waiting.send("/wait", Sent::Whole)).collect();
    let sent = begun.elapsed();
    waiting.wait_for(count, 0, PATIENCE);
    let begun = begun.elapsed();
    waiting.assert_few_threads();
    let each = (waiting.rss_kib() - before) as f64 / count as f64;
    let text = format!(
        "{protocol:?}: {count} requests wait, with {each:.1} KiB each; sent within {sent:.1?}, waiting within {begun:.1?}"
    );
    assert!(each < 48.0, "{protocol:?}: {each} KiB for each request");
    waiting.text("/free", "freed");
    let freed = Instant::now();
    clients.iter_mut().for_each(|client| ends_with(client, "waited"));
    println!("{text}; all answered within {:.1?}", freed.elapsed());
    waiting.wait_for(0, 0, PATIENCE);
    waiting.stop();
}

#[test]
fn waiting_requests_hold_no_thread() {
    each(LISTENING, |protocol| crowd(protocol, 500));
}

#[test]
fn the_runtime_has_the_threads_that_it_is_given() {
    let waiting = Waiting::with(FastCgi, &["--runtime-threads", "5"]);
    waiting.wait_for(0, 0, PATIENCE);
    let threads = std::fs::read_dir(format!("/proc/{}/task", waiting.worker())).expect("it runs");
    let name = |path: std::path::PathBuf| std::fs::read_to_string(path.join("comm"));
    let names = threads.filter_map(|thread| name(thread.ok()?.path()).ok());
    assert_eq!(names.filter(|name| name.trim_end() == "mod_rust-rt").count(), 5);
    waiting.stop();
}

#[test]
#[ignore = "takes thousands of descriptors"]
fn thousands_of_waiting_requests_hold_no_thread() {
    let count = std::env::var("MOD_RUST_CROWD").ok().and_then(|text| text.parse().ok());
    let count = count.unwrap_or(10_000);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let hard = limit.maximum;
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: hard, maximum: hard },
    )
    .expect("a limit of descriptors");
    for &protocol in LISTENING {
        crowd(protocol, count);
    }
}

/// The requests of one connection wait without a thread too, and one that is given up ends alone.
#[test]
fn waiting_streams_hold_no_thread() {
    const COUNT: usize = 100;
    each(&[FastCgi, Http2], |protocol| {
        let waiting = Waiting::start(protocol);
        let mut client = waiting.send("/wait", Sent::Whole);
        let request = protocol.request("/wait", Sent::Whole);
        for number in 1..COUNT as u16 {
            let bytes = match protocol {
                FastCgi => with_id(request.clone(), number + 1),
                _ => {
                    let mut headers = request[PREFACE.len() + 9..].to_vec();
                    headers[7..9].copy_from_slice(&(2 * number + 1).to_be_bytes());
                    headers
                }
            };
            client.write_all(&bytes).expect("the program reads");
        }
        waiting.wait_for(COUNT, 0, PATIENCE);
        waiting.assert_few_threads();
        // ABORT_REQUEST, or RST_STREAM with CANCEL.
        let abort: &[u8] = match protocol {
            FastCgi => &[1, 2, 0, 5, 0, 0, 0, 0],
            _ => &[0, 0, 4, 3, 0, 0, 0, 0, 5, 0, 0, 0, 8],
        };
        client.write_all(abort).expect("the program reads");
        waiting.wait_for(COUNT - 1, 1, SOON);
        waiting.text("/free", "freed");
        waiting.wait_for(0, 1, PATIENCE);
        let mut bytes = Vec::new();
        while bytes.windows(6).filter(|window| window == b"waited").count() < COUNT - 1 {
            let mut piece = [0; 4096];
            let read = client.read(&mut piece).expect("answers");
            assert_ne!(read, 0, "{protocol:?}: {}", bytes.escape_ascii());
            bytes.extend(&piece[..read]);
        }
        waiting.stop();
    });
}

/// Gives the records of a FastCGI request this id.
fn with_id(mut records: Vec<u8>, id: u16) -> Vec<u8> {
    let mut at = 0;
    while at < records.len() {
        records[at + 2..at + 4].copy_from_slice(&id.to_be_bytes());
        let length = u16::from_be_bytes([records[at + 4], records[at + 5]]);
        at += 8 + usize::from(length) + usize::from(records[at + 6]);
    }
    records
}

#[test]
fn request_bodies_that_come_slowly_hold_no_thread() {
    const COUNT: usize = 100;
    each(LISTENING, |protocol| {
        let waiting = Waiting::start(protocol);
        let whole = protocol.request("/echo", Sent::Body);
        let head = protocol.request("/echo", Sent::NoBody).len();
        let mut clients: Vec<_> = (0..COUNT).map(|_| waiting.send("/echo", Sent::NoBody)).collect();
        waiting.wait_for(COUNT, 0, PATIENCE);
        waiting.assert_few_threads();
        for at in head..whole.len() {
            for client in &mut clients {
                client.write_all(&whole[at..at + 1]).expect("the program reads");
            }
        }
        clients.iter_mut().for_each(|client| ends_with(client, "abc"));
        waiting.stop();
    });
}

/// nginx sends no more of a body once it has the head of the response.
#[test]
fn a_response_to_nginx_begins_behind_the_body() {
    let waiting = Waiting::start(FastCgi);
    let mut request = FastCgi.request("/both", Sent::NoBody);
    let end_of_params = request.split_off(request.len() - 8);
    let software = b"\x0f\x05SERVER_SOFTWAREnginx";
    request.extend([1, 4, 0, 1, 0, software.len() as u8, 0, 0]);
    request.extend([&software[..], &end_of_params, &[1, 5, 0, 1, 0, 1, 0, 0], b"a"].concat());
    let mut client = UnixStream::connect(waiting.folder.path("socket")).expect("a listener");
    client.write_all(&request).expect("the program reads");
    waiting.wait_for(1, 0, PATIENCE);
    client.set_read_timeout(Some(Duration::from_millis(300))).expect("a socket");
    let early = client.read(&mut [0; 1024]);
    assert!(early.is_err(), "a response began: {early:?}");
    client.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let rest = [&[1, 5, 0, 1, 0, 2, 0, 0][..], b"bc", &[1, 5, 0, 1, 0, 0, 0, 0]].concat();
    client.write_all(&rest).expect("the program reads");
    ends_with(&mut client, "bc");
    waiting.stop();
}

#[test]
fn streams_to_slow_readers_hold_no_thread() {
    const COUNT: usize = 60;
    const SIZE: usize = 256 << 16;
    each(&[FastCgi, Scgi, Uwsgi, Http1], |protocol| {
        let waiting = Waiting::start(protocol);
        let mut clients: Vec<_> = (0..COUNT).map(|_| waiting.send("/bulk", Sent::Whole)).collect();
        waiting.wait_for(0, 0, PATIENCE);
        waiting.assert_few_threads();
        for client in clients.iter_mut().take(5) {
            let (mut size, mut piece) = (0, vec![0; 1 << 20]);
            while size < SIZE {
                let read = client.read(&mut piece).expect("a response");
                assert_ne!(read, 0, "{protocol:?}: {size} bytes of {SIZE}");
                size += piece[..read].iter().filter(|&&byte| byte == b'x').count();
            }
            assert_eq!(size, SIZE, "{protocol:?}");
        }
        waiting.assert_few_threads();
        drop(clients);
        waiting.stop();
    });
}

/// The future of a request is dropped within a second when its client leaves.
#[test]
fn a_client_that_leaves_takes_its_future_along() {
    const COUNT: usize = 20;
    each(LISTENING, |protocol| {
        for (path, sent) in [("/wait", Sent::Whole), ("/echo", Sent::NoBody)] {
            let waiting = Waiting::start(protocol);
            let clients: Vec<_> = (0..COUNT).map(|_| waiting.send(path, sent)).collect();
            waiting.wait_for(COUNT, 0, PATIENCE);
            drop(clients);
            waiting.wait_for(0, COUNT, SOON);
            let log = waiting.stop();
            let lines = log.lines().filter(|line| line.contains(path)).count();
            assert_eq!(lines, COUNT, "{protocol:?} {path}: {log}");
        }
    });
}

#[test]
fn a_drain_finishes_requests_that_wait() {
    each(LISTENING, |protocol| {
        let waiting = Waiting::start(protocol);
        let mut clients: Vec<_> = (0..50).map(|_| waiting.send("/naps", Sent::Whole)).collect();
        waiting.wait_for(50, 0, PATIENCE);
        waiting.program.signal(Signal::TERM);
        clients.iter_mut().for_each(|client| ends_with(client, "rested"));
        let ended = waiting.program.end();
        assert!(ended.status.success(), "{protocol:?}: {}", ended.stderr);
    });
}

/// The timer answers for a request that waits for too long, and its future is dropped.
#[test]
fn the_time_of_a_waiting_request_has_a_bound() {
    each(LISTENING, |protocol| {
        let waiting = Waiting::with(protocol, &["--request-timeout", "300ms"]);
        let mut clients: Vec<_> = (0..10).map(|_| waiting.send("/wait", Sent::Whole)).collect();
        clients.iter_mut().for_each(|client| ends_with(client, "Gateway Timeout"));
        waiting.wait_for(0, 10, SOON);
        let log = waiting.stop();
        assert_eq!(log.lines().filter(|line| line.contains("/wait")).count(), 10, "{log}");
    });
}

/// A panic and an error after a wait cost the request, and nothing else.
#[test]
fn panics_and_errors_after_a_wait_end_one_request() {
    each(LISTENING, |protocol| {
        let waiting = Waiting::start(protocol);
        for _ in 0..2 * THREADS {
            ends_with(&mut waiting.send("/bust", Sent::Whole), "Internal Server Error");
            // Before a reset of a stream or a connection, what was sent may be lost.
            let mut client = waiting.send("/late", Sent::Whole);
            match protocol {
                Scgi | Uwsgi => drop(client.read_to_end(&mut Vec::new())),
                Http2 => ends_with(&mut client, [0, 0, 4, 3, 0, 0, 0, 0, 1]),
                _ => ends_with(&mut client, "some"),
            }
        }
        waiting.text("/free", "freed");
        waiting.text("/wait", "waited");
        let log = waiting.stop();
        let lines = |part: &str| log.lines().filter(|line| line.contains(part)).count();
        assert_eq!((lines("/bust"), lines("/late")), (2 * THREADS, 2 * THREADS), "{protocol:?}");
    });
}
