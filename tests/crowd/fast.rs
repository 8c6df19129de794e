//! The fast clients: threads that ask for the same thirteen bytes in three ways, one after the other,
//! and write down how long each took.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// From whom: the process group, the same application in httpd's child, a file.
pub(crate) const TARGETS: [&str; 3] = ["/hello", "/embedded", "/hello.txt"];
pub(crate) const SHOWN: [&str; 3] = ["process group", "embedded", "file"];

const CLIENTS: usize = 2;
/// The pause between two rounds. The clients measure, and must not add load.
const PAUSE: Duration = Duration::from_millis(3);

/// The results for each target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// In microseconds, in order.
    times: [Vec<u64>; 3],
    pub(crate) failed: Vec<String>,
}

impl Seen {
    /// Returns the time that this many thousandths of the requests did not exceed, in microseconds.
    pub(crate) fn quantile(&self, target: usize, thousandths: usize) -> u64 {
        let times = &self.times[target];
        let at = (times.len() * thousandths / 1000).min(times.len().saturating_sub(1));
        times.get(at).copied().unwrap_or(0)
    }

    pub(crate) fn count(&self, target: usize) -> usize {
        self.times[target].len()
    }
}

/// Asks until `over`.
pub(crate) fn ask(addr: SocketAddr, over: &AtomicBool) -> Seen {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| ask_alone(addr, over))).collect();
        let mut all = Seen::default();
        for client in clients {
            let seen = client.join().expect("a fast client");
            all.failed.extend(seen.failed);
            for (all, times) in all.times.iter_mut().zip(seen.times) {
                all.extend(times);
            }
        }
        all.times.iter_mut().for_each(|times| times.sort_unstable());
        all
    })
}

fn ask_alone(addr: SocketAddr, over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut connections = [const { None }; 3];
    while !over.load(Ordering::Acquire) {
        for (at, target) in TARGETS.iter().enumerate() {
            match get(addr, &mut connections[at], target) {
                Ok(time) => seen.times[at].push(time.as_micros() as u64),
                Err(error) => {
                    connections[at] = None;
                    seen.failed.push(format!("{target}: {error}"));
                }
            }
        }
        thread::sleep(PAUSE);
    }
    seen
}

fn get(
    addr: SocketAddr,
    connection: &mut Option<BufReader<TcpStream>>,
    target: &str,
) -> io::Result<Duration> {
    let connection = match connection {
        Some(connection) => connection,
        none => {
            let stream = TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            none.insert(BufReader::new(stream))
        }
    };
    let begin = Instant::now();
    let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.get_mut().write_all(request.as_bytes())?;
    let mut line = String::new();
    connection.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200 ") {
        return Err(io::Error::other(format!("answered with {line:?}")));
    }
    while line != "\r\n" {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut body = [0; 13];
    connection.read_exact(&mut body)?;
    if &body != b"Hello, world\n" {
        return Err(io::Error::other("a wrong body"));
    }
    Ok(begin.elapsed())
}
