//! A server on a free port, asked over plain sockets.

mod bodies;
mod life;
mod overload;
mod refusals;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::connection::{HttpListener, run};
use super::options::HttpOptions;
use crate::gateway::{Application, Level};
use crate::os::Event;
use crate::server::site::{
    AccessLog, HeadBudget, Limits, Log, Mount, Mounts, ProcessInfo, Site, Timeouts,
};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; its end is a drain.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) drain: Arc<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn of(application: impl Application) -> Self {
        Self::with(application, Limits { threads: 2, ..Limits::default() }, Timeouts::default())
    }

    pub(super) fn with(application: impl Application, limits: Limits, timeouts: Timeouts) -> Self {
        Self::start(application, limits, timeouts, HttpOptions::default())
    }

    pub(super) fn start(
        application: impl Application,
        limits: Limits,
        timeouts: Timeouts,
        options: HttpOptions,
    ) -> Self {
        let logs = (Log::to_stderr(Level::Error), None);
        Self::logged(application, (limits, timeouts), logs, options)
    }

    /// Starts a server with these logs.
    pub(super) fn logged(
        application: impl Application,
        (limits, timeouts): (Limits, Timeouts),
        (log, access): (Log, Option<AccessLog>),
        options: HttpOptions,
    ) -> Self {
        let application: Arc<dyn Application> = Arc::new(application);
        let site = Site {
            mounts: Mounts::new([Mount { path: "/".into(), name: "app".into(), application }]),
            facts: ProcessInfo::new(limits.threads, false, false),
            log: Arc::new(log),
            access: access.map(Arc::new),
            recycling: None,
            running: None,
            limits,
            timeouts,
            heads: HeadBudget::new(&limits),
        };
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let drain = Arc::new(Event::new().unwrap());
        let rung = drain.clone();
        let thread = thread::spawn(move || {
            let listener = HttpListener { socket: socket.into(), name: "test".into() };
            run(Arc::new(site), vec![listener], options, &rung).unwrap();
        });
        Self { address, drain, thread: Some(thread) }
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends `request` on its own connection and returns the whole response.
    pub(super) fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Waits for the end of a drain that was asked for.
    pub(super) fn end(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.drain.ring();
        if let Some(thread) = self.thread.take()
            && !thread::panicking()
        {
            thread.join().unwrap();
        }
    }
}

/// Reads one head.
pub(super) fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Reads exactly `text`.
pub(super) fn expect(stream: &mut TcpStream, text: &str) {
    let mut read = vec![0; text.len()];
    stream.read_exact(&mut read).unwrap();
    assert_eq!(String::from_utf8_lossy(&read), text);
}
