//! A process that serves, and a log that can be waited for.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::gateway::{Application, Level};
use crate::os::Event;
use crate::server::site::{HeadBudget, Limits, Log, Mount, Mounts, ProcessInfo, Site, Timeouts};
use crate::server::stream::{AnyProtocol, StreamListener, run};

/// Nothing takes as long as this, unless it hangs.
pub(in crate::server) const LONG: Duration = Duration::from_secs(30);

/// The protocols that are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::server) enum Protocol {
    #[cfg(feature = "fastcgi")]
    FastCgi,
    #[cfg(feature = "scgi")]
    Scgi,
    #[cfg(feature = "uwsgi")]
    Uwsgi,
}

impl Protocol {
    fn implementation(self) -> AnyProtocol {
        match self {
            #[cfg(feature = "fastcgi")]
            Self::FastCgi => &crate::server::fastcgi::FastCgi,
            #[cfg(feature = "scgi")]
            Self::Scgi => &crate::server::scgi::Scgi,
            #[cfg(feature = "uwsgi")]
            Self::Uwsgi => &crate::server::uwsgi::Uwsgi,
        }
    }

    pub(in crate::server) fn name(self) -> &'static str {
        self.implementation().name()
    }
}

/// A process: it listens on TCP and on a Unix socket for each protocol.
pub(in crate::server) struct TestProcess {
    doors: Vec<(Protocol, u16, PathBuf)>,
    folder: PathBuf,
    drain: Event,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl TestProcess {
    pub(in crate::server) fn open(app: impl Application) -> Self {
        Self::open_with(app, |_, _| {})
    }

    /// With other limits and times than usual.
    pub(in crate::server) fn open_with(
        app: impl Application,
        change: impl FnOnce(&mut Limits, &mut Timeouts),
    ) -> Self {
        Self::open_for(app, change, &[])
    }

    /// For peers of these addresses only.
    pub(in crate::server) fn open_for(
        app: impl Application,
        change: impl FnOnce(&mut Limits, &mut Timeouts),
        allowed: &[&str],
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("mod_rust-engine-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (mut limits, mut timeouts) =
            (Limits { threads: 4, ..Limits::default() }, Timeouts::default());
        change(&mut limits, &mut timeouts);
        let mount =
            Mount { path: String::new(), name: "app".into(), application: Arc::new(app) as _ };
        let site = Site {
            mounts: Mounts::new([mount]),
            facts: ProcessInfo::new(limits.threads, false, false),
            log: Arc::new(Log::to_file(
                File::options().create(true).append(true).open(folder.join("log")).unwrap(),
                Level::Debug,
            )),
            access: None,
            recycling: None,
            running: None,
            limits,
            timeouts,
            heads: HeadBudget::new(&limits),
        };
        let mut doors = Vec::new();
        let mut listeners = Vec::new();
        let allowed: Vec<_> = allowed.iter().map(|ip| ip.parse().unwrap()).collect();
        for protocol in PROTOCOLS {
            let tcp = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let port = tcp.local_addr().unwrap().port();
            let path = folder.join(protocol.name());
            let unix = UnixListener::bind(&path).unwrap();
            let mut add = |socket, name| {
                let protocol = protocol.implementation();
                listeners.push(StreamListener { socket, protocol, name, allowed: allowed.clone() });
            };
            add(tcp.into(), format!("127.0.0.1:{port}"));
            add(unix.into(), path.display().to_string());
            doors.push((protocol, port, path));
        }
        let drain = Event::new().unwrap();
        let rope = drain.try_clone().unwrap();
        let thread = thread::spawn(move || run(Arc::new(site), listeners, rope));
        Self { doors, folder, drain, thread: Some(thread) }
    }

    fn door(&self, protocol: Protocol) -> &(Protocol, u16, PathBuf) {
        self.doors.iter().find(|door| door.0 == protocol).expect("a door of each protocol")
    }

    pub(in crate::server) fn tcp(&self, protocol: Protocol) -> Stream {
        let stream = TcpStream::connect(("127.0.0.1", self.door(protocol).1)).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Stream::Tcp(stream)
    }

    pub(in crate::server) fn try_tcp(&self, protocol: Protocol) -> io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.door(protocol).1))
    }

    pub(in crate::server) fn unix(&self, protocol: Protocol) -> Stream {
        let stream = UnixStream::connect(&self.door(protocol).2).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        Stream::Unix(stream)
    }

    /// Over TCP and over a Unix socket.
    pub(in crate::server) fn both(&self, protocol: Protocol) -> [Stream; 2] {
        [self.tcp(protocol), self.unix(protocol)]
    }

    pub(in crate::server) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Waits for a line of the log that holds all of `texts`, and returns it.
    pub(in crate::server) fn line_with(&self, texts: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            let has = |line: &&str| texts.iter().all(|text| line.contains(text));
            if let Some(line) = log.lines().find(has) {
                return line.to_owned();
            }
            assert!(start.elapsed() < LONG, "no line with {texts:?}: {log}");
            thread::yield_now();
        }
    }

    /// It takes no more connections, and ends when there are none.
    pub(in crate::server) fn drain(&self) {
        self.drain.ring();
    }

    /// Waits until it has ended.
    pub(in crate::server) fn ended(mut self) -> String {
        self.thread.take().unwrap().join().expect("run() never panics").unwrap();
        self.log()
    }
}

pub(super) const PROTOCOLS: [Protocol; PROTOCOL_COUNT] = [
    #[cfg(feature = "fastcgi")]
    Protocol::FastCgi,
    #[cfg(feature = "scgi")]
    Protocol::Scgi,
    #[cfg(feature = "uwsgi")]
    Protocol::Uwsgi,
];
const PROTOCOL_COUNT: usize = cfg!(feature = "fastcgi") as usize
    + cfg!(feature = "scgi") as usize
    + cfg!(feature = "uwsgi") as usize;

impl Drop for TestProcess {
    fn drop(&mut self) {
        self.drain.ring();
        if thread::panicking() {
            eprintln!("the log:\n{}", self.log());
        } else if let Some(thread) = self.thread.take() {
            thread.join().expect("run() never panics").unwrap();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A connection of a web server's.
#[derive(Debug)]
pub(in crate::server) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(in crate::server) fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Sends no more.
    pub(in crate::server) fn half_close(&self) {
        let how = std::net::Shutdown::Write;
        match self {
            Self::Tcp(stream) => stream.shutdown(how).unwrap(),
            Self::Unix(stream) => stream.shutdown(how).unwrap(),
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the bytes until the connection ends, and its end.
pub(in crate::server) fn read_to_end(stream: &mut Stream) -> (Vec<u8>, io::Result<()>) {
    let mut all = Vec::new();
    let ended = stream.read_to_end(&mut all).map(drop);
    (all, ended)
}

/// The two parts of a response.
pub(in crate::server) fn head_and_body(response: &[u8]) -> (String, &[u8]) {
    let end = response.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no head: {:?}", String::from_utf8_lossy(&response[..response.len().min(300)]))
    });
    (String::from_utf8_lossy(&response[..end]).into_owned(), &response[end + 4..])
}
