//! The slow clients: tasks of one tokio runtime, each with a connection of its own, over which it asks
//! again and again until the crowd is sent home. What it has begun it brings to its end.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::plan::{Kind, Plan};

/// The longest silence of the server.
const PATIENCE: Duration = Duration::from_secs(60);
/// The receive buffer of a client, so small that the server has to wait for the client.
const WINDOW: u32 = 16 * 1024;
/// So many come at the same time.
const COMING: usize = 64;

/// The results of the clients of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) clients: usize,
    pub(crate) served: usize,
    pub(crate) bytes: u64,
    pub(crate) failed: Vec<String>,
}

/// The state that all clients share.
pub(crate) struct Crowd {
    addr: SocketAddr,
    reads: (usize, Duration),
    sends: (usize, Duration),
    silence: Duration,
    /// The answers to bodies, as the embedded application gives them.
    digests: Vec<Vec<u8>>,
    door: Semaphore,
    there: AtomicUsize,
    over: AtomicBool,
    tallies: [Mutex<Tally>; 5],
}

/// An expected response.
enum Expected<'a> {
    Bytes(&'a [u8]),
    /// So many bytes of the probe's pattern.
    Pattern(usize),
}

impl Expected<'_> {
    const fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Pattern(length) => *length,
        }
    }

    fn is(&self, at: usize, bytes: &[u8]) -> bool {
        match self {
            Self::Bytes(all) => all.get(at..at + bytes.len()) == Some(bytes),
            Self::Pattern(_) => {
                bytes.iter().enumerate().all(|(i, byte)| usize::from(*byte) == (at + i) % 251)
            }
        }
    }
}

/// Returns the body to send: the response to one is wrong for another.
pub(crate) fn body(number: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + ((number * 7 + at * (number + 1)) % 26) as u8).collect()
}

/// The number of different bodies.
pub(crate) const BODIES: usize = 16;

impl Crowd {
    pub(crate) fn new(plan: &Plan, addr: SocketAddr, digests: Vec<Vec<u8>>) -> Self {
        Self {
            addr,
            reads: plan.reads,
            sends: plan.sends,
            silence: plan.silence,
            digests,
            door: Semaphore::new(COMING),
            there: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            tallies: plan.clients.map(|clients| Mutex::new(Tally { clients, ..Tally::default() })),
        }
    }

    /// Returns the number of clients that have arrived, or failed to.
    pub(crate) fn there(&self) -> usize {
        self.there.load(Ordering::Acquire)
    }

    /// Stops the clients from beginning anything.
    pub(crate) fn stop_all(&self) {
        self.over.store(true, Ordering::Release);
    }

    pub(crate) fn tally(&self, kind: Kind) -> Tally {
        self.tallies[kind as usize].lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    fn served(&self, kind: Kind, bytes: usize) {
        let tally =
            &mut *self.tallies[kind as usize].lock().unwrap_or_else(PoisonError::into_inner);
        tally.served += 1;
        tally.bytes += bytes as u64;
    }

    /// Runs one client.
    pub(crate) async fn live(self: Arc<Self>, kind: Kind, number: usize) {
        if let Err(error) = self.try_live(kind, number).await {
            let mut tally =
                self.tallies[kind as usize].lock().unwrap_or_else(PoisonError::into_inner);
            tally.failed.push(format!("client {number}: {error}"));
        }
    }

    async fn try_live(&self, kind: Kind, number: usize) -> io::Result<()> {
        let come = self.come(number).await;
        self.there.fetch_add(1, Ordering::AcqRel);
        let mut client = come?;
        // Lengths differ, so that a part of another's response is noticed.
        let more = number % 97;
        // They do not ask in step.
        self.idle(self.silence * (number % 100) as u32 / 100).await;
        match kind {
            Kind::Idle => {
                while !self.is_over() {
                    self.served(kind, client.hello().await?);
                    self.idle(self.silence).await;
                }
            }
            Kind::Small => self.read(&mut client, kind, 20 * 1024 + more).await?,
            Kind::Large => self.read(&mut client, kind, 2 * 1024 * 1024 + more).await?,
            Kind::Sender => {
                let number = number % BODIES;
                let body = body(number, self.sends.0);
                while !self.is_over() {
                    client.post(body.len()).await?;
                    for byte in &body {
                        sleep(self.sends.1).await;
                        client.write(&[*byte]).await?;
                    }
                    let digest = Expected::Bytes(&self.digests[number]);
                    client.response(&digest, None).await?;
                    self.served(kind, body.len());
                }
            }
            Kind::Staller => {
                while !self.is_over() {
                    client.post(100_000).await?;
                    // Every second client sends until it is refused; the others are silent.
                    while number.is_multiple_of(2) && client.is_silent(self.sends.1).await? {
                        client.write(b"x").await?;
                    }
                    let status = client.head().await?.0;
                    if status != 408 {
                        return Err(wrong(&format!("status {status} instead of 408")));
                    }
                    self.served(kind, 0);
                    client = self.connect(number).await?;
                }
            }
        }
        Ok(())
    }

    async fn read(&self, client: &mut Client, kind: Kind, length: usize) -> io::Result<()> {
        while !self.is_over() {
            client.get(&format!("/probe/bytes/{length}")).await?;
            let response = client.response(&Expected::Pattern(length), Some(self.reads)).await?;
            self.served(kind, response);
        }
        Ok(())
    }

    /// Waits, but not beyond the end.
    async fn idle(&self, how_long: Duration) {
        let piece = Duration::from_secs(1);
        let mut left = how_long;
        while !left.is_zero() && !self.is_over() {
            let now = left.min(piece);
            sleep(now).await;
            left -= now;
        }
    }

    /// Connects, and asks once: httpd has a thread wait for the first request of a connection.
    async fn come(&self, number: usize) -> io::Result<Client> {
        let _permit = self.door.acquire().await.map_err(io::Error::other)?;
        let mut client = self.connect(number).await?;
        client.hello().await?;
        Ok(client)
    }

    async fn connect(&self, number: usize) -> io::Result<Client> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(WINDOW)?;
        // Each address has ports of its own: some hosts have no more than a crowd takes.
        let source = Ipv4Addr::new(127, 0, 1, (1 + number % 200) as u8);
        socket.bind((source, 0).into())?;
        let stream = timeout(PATIENCE, socket.connect(self.addr)).await.map_err(late)??;
        stream.set_nodelay(true)?;
        Ok(Client { stream, unread: Vec::new() })
    }
}

/// A connection, and what came on it ahead of its use.
struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    /// Returns whether nothing arrives for this time.
    async fn is_silent(&mut self, time: Duration) -> io::Result<bool> {
        match timeout(time, self.some(1024)).await {
            Err(_) => Ok(true),
            Ok(bytes) => {
                self.unread = bytes?;
                Ok(false)
            }
        }
    }

    async fn hello(&mut self) -> io::Result<usize> {
        self.get("/hello").await?;
        self.response(&Expected::Bytes(b"Hello, world\n"), None).await
    }

    async fn get(&self, target: &str) -> io::Result<()> {
        self.write(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await
    }

    async fn post(&self, length: usize) -> io::Result<()> {
        let head = format!(
            "POST /probe/discard HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        );
        self.write(head.as_bytes()).await
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            timeout(PATIENCE, self.stream.writable()).await.map_err(late)??;
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads some bytes, `most` at most.
    async fn some(&mut self, most: usize) -> io::Result<Vec<u8>> {
        if !self.unread.is_empty() {
            let rest = self.unread.split_off(most.min(self.unread.len()));
            return Ok(std::mem::replace(&mut self.unread, rest));
        }
        let mut bytes = vec![0; most.min(64 * 1024)];
        loop {
            timeout(PATIENCE, self.stream.readable()).await.map_err(late)??;
            match self.stream.try_read(&mut bytes) {
                Ok(0) => return Err(io::Error::new(ErrorKind::UnexpectedEof, "closed")),
                Ok(read) => {
                    bytes.truncate(read);
                    return Ok(bytes);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the status, and the Content-Length if present.
    async fn head(&mut self) -> io::Result<(u16, Option<usize>)> {
        let mut head = Vec::new();
        let end = loop {
            head.extend(self.some(1024).await?);
            if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let rest = head.split_off(end);
        self.unread.splice(..0, rest);
        let head = String::from_utf8_lossy(&head);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        Ok((status.ok_or_else(|| wrong("no status"))?, length))
    }

    /// Reads a response, at a pace if there is one, and compares every byte of it.
    async fn response(
        &mut self,
        expected: &Expected<'_>,
        pace: Option<(usize, Duration)>,
    ) -> io::Result<usize> {
        let (status, length) = self.head().await?;
        if (status, length) != (200, Some(expected.length())) {
            return Err(wrong(&format!(
                "status {status} and length {length:?} instead of 200 and {}",
                expected.length()
            )));
        }
        let (mut done, length) = (0, expected.length());
        while done < length {
            let until = pace.map_or(length, |(bytes, _)| length.min(done + bytes));
            if let Some((_, time)) = pace {
                sleep(time).await;
            }
            while done < until {
                let bytes = self.some(until - done).await.map_err(|error| {
                    io::Error::new(error.kind(), format!("after {done} of {length} bytes: {error}"))
                })?;
                if !expected.is(done, &bytes) {
                    return Err(wrong(&format!("wrong bytes from {done} on")));
                }
                done += bytes.len();
            }
        }
        if self.unread.is_empty() { Ok(done) } else { Err(wrong("more than the response")) }
    }
}

fn late(_: tokio::time::error::Elapsed) -> io::Error {
    io::Error::new(ErrorKind::TimedOut, format!("nothing for {} s", PATIENCE.as_secs()))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
