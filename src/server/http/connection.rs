//! Accepting connections, and hyper's service on each.

use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::StatusCode;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustix::net::AddressFamily;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_io_timeout::TimeoutStream;

use super::body::ParkedOutput;
use super::connection_tasks::ConnectionTasks;
use super::deadlines::{Activity, ConnectionPlace, Expired, WatchedStream};
use super::exchange::{ServerState, answer};
use super::executor::Executor;
use super::options::HttpOptions;
use super::variables::Ends;
use crate::gateway::{Code, Level};
use crate::os::{self, Event};
use crate::protocol::params::Params;
use crate::server::site::{Fault, Mode, STOOD_STILL, Site};

/// A listening socket, TCP or Unix.
#[derive(Debug)]
pub(crate) struct HttpListener {
    /// The socket.
    pub socket: OwnedFd,
    /// The name in the log.
    pub name: String,
}

/// Serves HTTP on `listeners` in the calling thread until `drain` is rung, then lets the requests
/// in flight finish, for the site's `graceful` at most.
///
/// # Errors
///
/// Returns an error if there is no epoll, or a socket does not listen.
pub(crate) fn run(
    site: Arc<Site>,
    listeners: Vec<HttpListener>,
    options: HttpOptions,
    drain: &Event,
) -> io::Result<()> {
    let graceful = site.timeouts.graceful;
    let executor = Executor::new(site.limits.threads, site.limits.queue, site.log.clone())?;
    let shared = Arc::new(ServerState {
        site,
        options,
        executor: executor.clone(),
        parked: Arc::new(ParkedOutput::default()),
        is_draining: AtomicBool::new(false),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let deadline = runtime.block_on(async {
        let all = listeners
            .into_iter()
            .map(|listener| Ok((Socket::new(listener.socket)?, listener.name)))
            .collect::<io::Result<Vec<_>>>()?;
        // An eventfd is nothing that tokio waits for without unsafe code; a thread can.
        let drain = drain.try_clone()?;
        let rung = tokio::task::spawn_blocking(move || {
            let _ = os::poll(&drain, (true, false), None, None);
        });
        Ok::<_, io::Error>(serve(&shared, all, rung, graceful).await)
    })?;
    runtime.shutdown_background();
    executor.stop(deadline);
    Ok(())
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    fn new(socket: OwnedFd) -> io::Result<Self> {
        os::set_nonblocking(&socket)?;
        Ok(match rustix::net::sockopt::socket_domain(&socket)? {
            AddressFamily::UNIX => Self::Unix(UnixListener::from_std(socket.into())?),
            _ => Self::Tcp(TcpListener::from_std(socket.into())?),
        })
    }
}

/// Until all is over; when the time for what is still at work is up.
async fn serve(
    shared: &Arc<ServerState>,
    listeners: Vec<(Socket, String)>,
    rung: JoinHandle<()>,
    graceful: Duration,
) -> Instant {
    let connections = Arc::new(Semaphore::new(shared.site.limits.connections));
    let (drain, is_draining) = watch::channel(false);
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|(socket, name)| {
            let (shared, connections) = (shared.clone(), connections.clone());
            let acceptor = HttpAcceptor {
                shared,
                socket,
                name,
                connections,
                is_draining: is_draining.clone(),
            };
            let acceptor = Arc::new(acceptor);
            (tokio::spawn(acceptor.clone().run()), acceptor)
        })
        .collect();
    let look = {
        let (executor, timeouts) = (shared.executor.clone(), &shared.site.timeouts);
        // So much later than said a request is woken.
        let every = (timeouts.body.min(timeouts.send) / 8).clamp(LOOK.0, LOOK.1);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                executor.look();
            }
        })
    };
    let _ = rung.await;
    for (task, acceptor) in accepting {
        task.abort();
        let _ = task.await;
        // With the acceptor goes its receiver.
        acceptor.accept_last();
    }
    let deadline = Instant::now() + graceful;
    drop(is_draining);
    shared.is_draining.store(true, Ordering::Relaxed);
    let _ = drain.send(true);
    // Each connection has a receiver until its end.
    if tokio::time::timeout(graceful, drain.closed()).await.is_err() {
        shared.site.log.line(
            Code::DrainAbandoned.level(),
            &Code::DrainAbandoned.line(format_args!(
                "http: requests are given up after {graceful:?} (--graceful-timeout)"
            )),
        );
    }
    look.abort();
    deadline
}

/// A listener, and the parts that its connections need.
struct HttpAcceptor {
    shared: Arc<ServerState>,
    socket: Socket,
    name: String,
    connections: Arc<Semaphore>,
    is_draining: watch::Receiver<bool>,
}

impl HttpAcceptor {
    /// Takes connections for as long as it is let.
    async fn run(self: Arc<Self>) {
        let Self { shared, socket, name, connections, .. } = &*self;
        // Said once for each time that it is full.
        let mut is_full = false;
        loop {
            let was_full = std::mem::replace(&mut is_full, connections.available_permits() == 0);
            if is_full && !was_full {
                let most = shared.site.limits.connections;
                shared.site.log.fault(Fault::Full, Level::Warn, || {
                    format!(
                        "http {name}: there are {most} connections, as many as are allowed \
                         (--max-connections); further ones wait until one is closed"
                    )
                });
            }
            // It is never closed.
            let Ok(permit) = connections.clone().acquire_owned().await else { return };
            let accepted = match socket {
                Socket::Tcp(listener) => {
                    listener.accept().await.map(|(stream, peer)| Stream::Tcp(stream, Some(peer)))
                }
                Socket::Unix(listener) => {
                    listener.accept().await.map(|(stream, _)| Stream::Unix(stream))
                }
            };
            match accepted {
                Ok(stream) => self.take_in(stream, permit),
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    // Out of descriptors, say: that takes a while to get better.
                    let pause = ACCEPT_PAUSE;
                    shared.site.log.fault(Fault::CannotAccept, Level::Error, || {
                        format!(
                            "http {name}: cannot accept connections: {error}; \
                             trying again in {pause:?}"
                        )
                    });
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Takes the connections that wait in the listener: closed with it, they would be reset.
    fn accept_last(&self) {
        while let Ok(permit) = self.connections.clone().try_acquire_owned() {
            let stream = match &self.socket {
                Socket::Tcp(listener) => os::accept(listener).and_then(|socket| {
                    let stream =
                        socket.map(|socket| tokio::net::TcpStream::from_std(socket.into()));
                    Ok(stream.transpose()?.map(|stream| {
                        let peer = stream.peer_addr().ok();
                        Stream::Tcp(stream, peer)
                    }))
                }),
                Socket::Unix(listener) => os::accept(listener).and_then(|socket| {
                    let stream =
                        socket.map(|socket| tokio::net::UnixStream::from_std(socket.into()));
                    Ok(stream.transpose()?.map(Stream::Unix))
                }),
            };
            let Ok(Some(stream)) = stream else { return };
            self.take_in(stream, permit);
        }
    }

    fn take_in(&self, stream: Stream, permit: OwnedSemaphorePermit) {
        let (shared, name) = (self.shared.clone(), self.name.clone());
        let is_draining = self.is_draining.clone();
        let place = ConnectionPlace { _permit: Arc::new(permit), is_draining };
        match stream {
            Stream::Tcp(stream, peer) => {
                // A response is sent as soon as it is there.
                let _ = stream.set_nodelay(true);
                let ends = Ends { local: stream.local_addr().ok(), peer };
                tokio::spawn(connection(shared, name, place, stream, ends));
            }
            Stream::Unix(stream) => {
                let ends = Ends { local: None, peer: None };
                tokio::spawn(connection(shared, name, place, stream, ends));
            }
        }
    }
}

enum Stream {
    Tcp(tokio::net::TcpStream, Option<SocketAddr>),
    Unix(tokio::net::UnixStream),
}

/// The least and the longest time between looks at the times of suspended requests.
const LOOK: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// The pause after an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Headers that a request of HTTP/1 may have, as many as variables with the other protocols.
const HEADERS_MAX: usize = 1000;
/// Requests that a connection of HTTP/2 may have at once.
const STREAMS_MAX: u32 = 100;
/// Bytes of a response that hyper may buffer beside those that are parked.
const SEND_BUFFER: usize = 64 * 1024;
/// The time in which a client is to take the GOAWAY of an idle connection.
const GOAWAY: Duration = Duration::from_secs(1);

/// The time without input after which a closed connection is given up, and the longest time that it
/// is kept: as httpd's `ap_lingering_close` has them.
const LINGER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// Reads and discards the rest of a request body until the client closes too. A socket that is
/// closed before would reset the connection, and the client might never read its response.
async fn linger(mut stream: impl AsyncRead + Unpin) {
    let (silent, longest) = LINGER;
    let mut buffer = vec![0; 16 * 1024];
    let discard = async {
        while let Ok(Ok(1..)) = tokio::time::timeout(silent, stream.read(&mut buffer)).await {}
    };
    let _ = tokio::time::timeout(longest, discard).await;
}

/// A connection that hyper serves: of HTTP/1 and HTTP/2, or of HTTP/1 alone.
enum Serving<B, H> {
    Both(Pin<Box<B>>),
    Http1(Pin<Box<H>>),
}

/// Serves a connection from its first byte to its end.
async fn connection(
    shared: Arc<ServerState>,
    name: String,
    place: ConnectionPlace,
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ends: Ends,
) {
    let (limits, timeouts) = (shared.site.limits, shared.site.timeouts);
    let activity = Activity::new(timeouts, shared.site.heads.share(), limits.head);
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream.as_mut().set_write_timeout_pinned(Some(timeouts.send));
    let service = {
        let (shared, activity) = (shared.clone(), activity.clone());
        service_fn(move |request| answer(shared.clone(), ends, activity.clone(), request))
    };
    let (closed, mut is_closed) = oneshot::channel();
    let stream = TokioIo::new(WatchedStream::new(stream, activity.clone(), closed, place.clone()));
    let mut http1 = http1::Builder::new();
    // hyper takes no less than 8192 bytes.
    http1.timer(TokioTimer::new()).max_buf_size(limits.head.max(8192)).max_headers(HEADERS_MAX);
    let mut both = Builder::new(ConnectionTasks(activity.clone()));
    both.http1()
        .timer(TokioTimer::new())
        .max_buf_size(limits.head.max(8192))
        .max_headers(HEADERS_MAX);
    both.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(timeouts.keep_alive)
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buf_size(SEND_BUFFER)
        .enable_connect_protocol()
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX));
    // `Builder::http1_only` has no effect on connections that may be upgraded.
    let mut connection = if shared.options.http2 {
        Serving::Both(Box::pin(both.serve_connection_with_upgrades(stream, service)))
    } else {
        Serving::Http1(Box::pin(http1.serve_connection(stream, service).with_upgrades()))
    };
    let mut drained = pin!(async move {
        let mut place = place;
        let _ = place.is_draining.wait_for(|&is_draining| is_draining).await;
        // It is held until the connection's end: a drain waits for that.
        place
    });
    let mut drain = None;
    let mut has_goaway = false;
    let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
    let mut is_certain = false;
    let mut poll = |context: &mut Context<'_>| {
        if drain.is_none()
            && let Poll::Ready(held) = drained.as_mut().poll(context)
        {
            drain = Some(held);
            activity.drain();
        }
        loop {
            let polled = match &mut connection {
                Serving::Both(connection) => connection.as_mut().poll(context),
                Serving::Http1(connection) => connection.as_mut().poll(context).map_err(Into::into),
            };
            if let Poll::Ready(result) = polled {
                return Poll::Ready(Ok(result));
            }
            if drain.is_none() || has_goaway || !activity.is_http2() {
                break;
            }
            // HTTP/2 tells the client which requests are still served.
            if let Serving::Both(connection) = &mut connection {
                connection.as_mut().graceful_shutdown();
            }
            has_goaway = true;
        }
        while let Some((deadline, expired)) = activity.deadline(context) {
            let deadline = tokio::time::Instant::from_std(deadline);
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(context).is_pending() {
                break;
            }
            // A request of HTTP/2 may have ended meanwhile, in its own task.
            if activity.deadline(context).is_some_and(|(now, _)| now <= deadline.into_std()) {
                let is_idle = matches!(expired, Expired::Drained);
                if is_idle && deadline.elapsed() > STOOD_STILL && activity.wait_again() {
                    continue;
                }
                let was_certain = std::mem::replace(&mut is_certain, true);
                return Poll::Ready(Err((expired, was_certain)));
            }
        }
        is_certain = false;
        Poll::Pending
    };
    let ended = loop {
        match poll_fn(&mut poll).await {
            // The runtime may not have seen yet what the client has sent in time.
            Err((_, false)) => tokio::task::yield_now().await,
            Err((expired, true)) => break Err(expired),
            Ok(result) => break Ok(result),
        }
    };
    let peer = peer(ends.peer);
    let refused = |status| {
        let mut params = Params::new();
        if let Some(peer) = ends.peer {
            params.push(b"REMOTE_ADDR", peer.ip().to_canonical().to_string().as_bytes());
        }
        shared.site.log_refusal(Mode::Http, &params, (status, 0));
    };
    let (fault, level, what) = match ended {
        Ok(Ok(())) => {
            drop(connection);
            if let (false, Ok(stream)) = (activity.is_http2(), is_closed.try_recv()) {
                linger(stream).await;
            }
            return;
        }
        Ok(Err(error)) if is_late(&*error) => unread(timeouts.send),
        Ok(Err(error)) => {
            if let Some(status) = status_of(&*error) {
                refused(status);
            }
            return shared.site.log.fault(Fault::Violation, Level::Debug, || {
                format!("http: the connection with {peer} ended: {error}")
            });
        }
        Err(expired) => {
            if matches!(expired, Expired::Idle)
                && activity.is_http2()
                && let Serving::Both(mut connection) = connection
            {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(GOAWAY, connection).await;
            }
            let (head, keep_alive, send) = (timeouts.head, timeouts.keep_alive, timeouts.send);
            match expired {
                Expired::Silent => (
                    Fault::Late,
                    Level::Info,
                    format!("it sent nothing within {head:?} (--head-timeout)"),
                ),
                Expired::Head => {
                    refused(StatusCode::REQUEST_TIMEOUT);
                    (
                        Fault::Late,
                        Level::Warn,
                        format!("it sent no whole request head within {head:?} (--head-timeout)"),
                    )
                }
                Expired::Idle => (
                    Fault::Late,
                    Level::Debug,
                    format!("it sent no other request within {keep_alive:?} (--keep-alive)"),
                ),
                Expired::Unread => unread(send),
                Expired::Crowded => (Fault::HeadsFull, Level::Warn, shared.site.heads.text()),
                Expired::Drained | Expired::GivenUp => return,
            }
        }
    };
    shared.site.log.fault(fault, level, || {
        format!("http {name}: peer {peer}: {what}; closing the connection")
    });
}

/// Returns the status with which hyper has refused a request that it did not understand.
fn status_of(error: &(dyn std::error::Error + 'static)) -> Option<StatusCode> {
    let error = error.downcast_ref::<hyper::Error>()?;
    Some(if error.is_parse_too_large() {
        match error.to_string().contains("URI") {
            true => StatusCode::URI_TOO_LONG,
            false => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        }
    } else if error.is_parse() {
        StatusCode::BAD_REQUEST
    } else {
        return None;
    })
}

fn unread(time: Duration) -> (Fault, Level, String) {
    let text = format!("it took nothing of its response for {time:?} (--send-timeout)");
    (Fault::Slow, Level::Warn, text)
}

/// Returns whether the stream's time for a write was up.
fn is_late(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_of_time = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    error.downcast_ref::<io::Error>().is_some_and(is_of_time) || error.source().is_some_and(is_late)
}

fn peer(peer: Option<SocketAddr>) -> String {
    peer.map_or_else(|| "a peer on a Unix socket".to_owned(), |peer| peer.to_string())
}

/// The client left before it was accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
