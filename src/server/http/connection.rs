//! Accepting connections, and hyper's service on each.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use ipnet::IpNet;
use rustix::net::AddressFamily;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_io_timeout::TimeoutStream;

use super::exchange::{Shared, answer};
use super::executor::Executor;
use super::variables::Ends;
use crate::gateway::{Code, Level};
use crate::os::{self, Event};
use crate::server::site::Site;

/// A listening socket, TCP or Unix.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: OwnedFd,
    /// What the log calls it.
    pub name: String,
}

/// Serves HTTP on `listeners` in the calling thread until `drain` is rung, then lets the requests in
/// flight finish, for the site's `graceful` at most. X-Forwarded-* are believed of `trusted`.
///
/// # Errors
///
/// When there is no epoll, or a listener is none.
pub fn run(
    site: Arc<Site>,
    listeners: Vec<Listener>,
    trusted: Vec<IpNet>,
    drain: &Event,
) -> io::Result<()> {
    let graceful = site.timeouts.graceful;
    let executor = Executor::new(site.limits.threads);
    let shared = Arc::new(Shared { site, trusted, executor: executor.clone() });
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
    shared: &Arc<Shared>,
    listeners: Vec<(Socket, String)>,
    rung: JoinHandle<()>,
    graceful: Duration,
) -> Instant {
    let connections = Arc::new(Semaphore::new(shared.site.limits.connections));
    let watch = Arc::new(GracefulShutdown::new());
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|(socket, name)| {
            tokio::spawn(accept(shared.clone(), socket, name, connections.clone(), watch.clone()))
        })
        .collect();
    let _ = rung.await;
    for task in accepting {
        task.abort();
        // With it goes the listener, and its hold on `watch`.
        let _ = task.await;
    }
    let deadline = Instant::now() + graceful;
    if let Some(watch) = Arc::into_inner(watch)
        && tokio::time::timeout(graceful, watch.shutdown()).await.is_err()
    {
        shared.site.log.line(
            Code::DrainAbandoned.level(),
            &Code::DrainAbandoned.line(format_args!(
                "http: requests are given up after {graceful:?} (--graceful-timeout)"
            )),
        );
    }
    deadline
}

/// Takes connections for as long as it is let.
async fn accept(
    shared: Arc<Shared>,
    socket: Socket,
    name: String,
    connections: Arc<Semaphore>,
    watch: Arc<GracefulShutdown>,
) {
    // Said once for each time that it is full.
    let mut is_full = false;
    loop {
        let was_full = std::mem::replace(&mut is_full, connections.available_permits() == 0);
        if is_full && !was_full {
            let most = shared.site.limits.connections;
            let text = Code::ConnectionsFull.line(format_args!(
                "http {name}: there are {most} connections, as many as are allowed \
                 (--max-connections); further ones wait until one is closed"
            ));
            shared.site.log.line(Level::Warn, &text);
        }
        // It is never closed.
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        let accepted = match &socket {
            Socket::Tcp(listener) => listener.accept().await.map(|(stream, peer)| {
                // A response is sent as soon as it is there.
                let _ = stream.set_nodelay(true);
                let ends = Ends { local: stream.local_addr().ok(), peer: Some(peer) };
                (Stream::Tcp(stream), ends)
            }),
            Socket::Unix(listener) => listener
                .accept()
                .await
                .map(|(stream, _)| (Stream::Unix(stream), Ends { local: None, peer: None })),
        };
        match accepted {
            Ok((stream, ends)) => {
                let (shared, watch) = (shared.clone(), watch.clone());
                let connected = match stream {
                    Stream::Tcp(stream) => tokio::spawn(connection(shared, watch, stream, ends)),
                    Stream::Unix(stream) => tokio::spawn(connection(shared, watch, stream, ends)),
                };
                tokio::spawn(async move {
                    let _ = connected.await;
                    drop(permit);
                });
            }
            Err(error) => {
                if !is_of_the_client(&error) {
                    let text = Code::CannotAccept.line(format_args!(
                        "http {name}: cannot accept connections: {error}; trying again in 1 s"
                    ));
                    shared.site.log.line(Level::Error, &text);
                    // Out of descriptors, say: that takes a while to get better.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

/// A connection from its first byte to its end.
async fn connection(
    shared: Arc<Shared>,
    watch: Arc<GracefulShutdown>,
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    ends: Ends,
) {
    let (limits, timeouts) = (shared.site.limits, shared.site.timeouts);
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream.as_mut().set_write_timeout_pinned(Some(timeouts.send));
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.head)
        .keep_alive(!timeouts.keep_alive.is_zero())
        // hyper takes no less.
        .max_buf_size(limits.head.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(timeouts.keep_alive)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX));
    let service = {
        let shared = shared.clone();
        service_fn(move |request| answer(shared.clone(), ends, request))
    };
    let connection =
        watch.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    // Only those that are being served hold a drain up.
    drop(watch);
    if let Err(error) = connection.await {
        let peer = peer(ends.peer);
        let code = if error_is_late(&*error) { Code::HeadTimeout } else { Code::PeerViolation };
        let text = format!("{code}: http: the connection with {peer} ended: {error}");
        shared.site.log.line(Level::Debug, &text);
    }
}

/// Whether a client took too long over its request's head.
fn error_is_late(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout)
}

fn peer(peer: Option<SocketAddr>) -> String {
    peer.map_or_else(|| "a peer on a Unix socket".to_owned(), |peer| peer.to_string())
}

/// The client left before it was accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
