//! Upgrades of a connection, for `axum::extract::WebSocketUpgrade` and all others that take hyper's
//! [`OnUpgrade`] out of a request's extensions.
//!
//! Only hyper can make an [`OnUpgrade`]. So hyper gets a connection in memory, reads a request that
//! stands for the client's, and switches protocols. The application has one end of that connection
//! then, and the other is the [tunnel](Tunnel) to the client.
//!
//! The server carries the bytes in its visits, through its filters. Where the socket has the very
//! bytes, a task of the runtime takes it over, which costs a fraction of a visit.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, BufRead as _};
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{
    AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, DuplexStream, ReadBuf, ReadHalf, WriteHalf,
};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::body::RequestBody;
use crate::gateway::error::{Error, ErrorKind, Result};
use crate::gateway::exchange::Upgrade;
use crate::gateway::input::{Fill, Input};
use crate::gateway::task::Step;

/// The maximum number of bytes that are under way in each direction.
const ROOM: usize = 16 * 1024;

/// The maximum size of a piece for the client, in bytes.
const PIECE: usize = 8 * 1024;

/// The request that stands for the client's.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: tunnel\r\n\r\n";

/// The end of a connection in memory that the application has the other end of.
#[derive(Debug)]
pub(super) struct Tunnel {
    io: DuplexStream,
    /// Whether the client sends no more.
    ended: bool,
    /// Whether the server has data that it may not have sent yet.
    is_sending: bool,
    direct: Option<Direct>,
}

/// A task of the runtime that has the client's socket, and the tunnel. It ends with the value.
#[derive(Debug)]
struct Direct(JoinHandle<io::Result<()>>);

impl Drop for Direct {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The consequence of a response with status 101.
#[derive(Debug)]
pub(super) enum Switch {
    /// It is an error: no upgrade was offered.
    Never,
    /// The response goes on with the bytes of the other protocol.
    Tunnel(Box<Tunnel>),
    /// The response is over.
    HandedOver,
    /// The same for a stream of HTTP/2, after any successful status.
    #[cfg(feature = "http-server")]
    Connected,
}

/// Gives a request that asks for an upgrade what it gets from a server with this way to do it.
///
/// # Errors
///
/// The same as [`Tunnel::new`].
pub(super) fn offer(upgrade: Upgrade, extensions: &mut Extensions) -> Result<Switch> {
    let (on_upgrade, switch) = match upgrade {
        Upgrade::None => return Ok(Switch::Never),
        Upgrade::Tunnel => {
            let (on_upgrade, tunnel) = Tunnel::new()?;
            (on_upgrade, Switch::Tunnel(Box::new(tunnel)))
        }
        Upgrade::Hyper(on_upgrade) => (on_upgrade, Switch::HandedOver),
        #[cfg(feature = "http-server")]
        Upgrade::Connect(on_upgrade, protocol) => {
            extensions.insert(protocol);
            (on_upgrade, Switch::Connected)
        }
    };
    extensions.insert(on_upgrade);
    Ok(switch)
}

/// Tells whether a request asks for an upgrade of its connection (RFC 9110, 7.8), or of its stream
/// (RFC 8441).
pub(super) fn is_asked_for(request: &Request<RequestBody>) -> bool {
    let headers = request.headers();
    match request.version() {
        Version::HTTP_11 => headers.contains_key(UPGRADE) && lists_upgrade(headers),
        Version::HTTP_2 => request.method() == Method::CONNECT,
        _ => false,
    }
}

impl Switch {
    /// Tells whether a response with this status switches protocols.
    pub(super) fn is_done_by(&self, status: StatusCode) -> bool {
        match self {
            #[cfg(feature = "http-server")]
            Self::Connected => status.is_success(),
            _ => status == StatusCode::SWITCHING_PROTOCOLS,
        }
    }
}

fn lists_upgrade(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    values
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

impl Tunnel {
    /// Makes a tunnel, and what gives its other end to the application.
    ///
    /// # Errors
    ///
    /// Returns an error if hyper does not switch protocols.
    pub(super) fn new() -> Result<(OnUpgrade, Self)> {
        let (io, other) = tokio::io::duplex(ROOM);
        let mut tunnel = Self { io, ended: false, is_sending: false, direct: None };
        // Nothing waits: both ends are in memory.
        let mut context = Context::from_waker(Waker::noop());
        let asked = Pin::new(&mut tunnel.io).poll_write(&mut context, REQUEST);
        let taken = Mutex::new(None);
        let service = service_fn(|mut request: Request<Incoming>| {
            *lock(&taken) = request.extensions_mut().remove::<OnUpgrade>();
            let mut response = Response::new(String::new());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(other), service);
        let switched = pin!(connection.with_upgrades()).poll(&mut context);
        let head = tunnel.read(&mut context);
        match (asked, switched, head, lock(&taken).take()) {
            (
                Poll::Ready(Ok(_)),
                Poll::Ready(Ok(())),
                Poll::Ready(Ok(Step::Data(head))),
                Some(on_upgrade),
            ) if head.ends_with(b"\r\n\r\n") => Ok((on_upgrade, tunnel)),
            _ => Err(Error::new("hyper does not switch protocols on a connection in memory")),
        }
    }

    /// Hands on what the client has sent, and returns what the application has for it.
    ///
    /// Sets `wants_input` if it waits for the client, too.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        input: &mut Input<'_>,
        wants_input: &mut bool,
    ) -> Poll<Result<Step>> {
        *wants_input = false;
        if let Some(Direct(task)) = &mut self.direct {
            return match ready!(Pin::new(task).poll(context)) {
                Ok(Ok(())) => Poll::Ready(Ok(Step::End(None))),
                Ok(Err(error)) => Poll::Ready(Err(gone(&error))),
                Err(error) => Poll::Ready(Err(Error::from_source(error))),
            };
        }
        if !self.ended {
            *wants_input = self.hand_on(context, input)?;
            // All that has come is with the application, and all that it has given is out.
            if *wants_input
                && !self.is_sending
                && let Some(socket) = input.take_socket()
            {
                self.go_direct(socket)?;
                return self.poll(context, input, wants_input);
            }
        }
        let read = self.read(context);
        self.is_sending = read.is_ready();
        read
    }

    /// Has a task of the runtime carry the bytes, without the server.
    fn go_direct(&mut self, socket: std::net::TcpStream) -> Result<()> {
        let socket = TcpStream::from_std(socket).map_err(|error| gone(&error))?;
        let (io, _) = tokio::io::duplex(1);
        let (from, to) = tokio::io::split(std::mem::replace(&mut self.io, io));
        self.direct = Some(Direct(tokio::spawn(carry(socket, from, to))));
        Ok(())
    }

    /// Hands on what has come from the client. Returns whether there is room for more.
    fn hand_on(&mut self, context: &mut Context<'_>, input: &mut Input<'_>) -> Result<bool> {
        loop {
            match input.fill(false)? {
                Fill::NotYet => return Ok(true),
                Fill::Data(data) => match Pin::new(&mut self.io).poll_write(context, data) {
                    Poll::Pending => return Ok(false),
                    Poll::Ready(Ok(written)) => input.consume(written),
                    // The application has closed its end. What it wrote before is the client's.
                    Poll::Ready(Err(_)) => break,
                },
                Fill::End => break,
            }
        }
        self.ended = true;
        let _ = Pin::new(&mut self.io).poll_shutdown(context);
        Ok(false)
    }

    fn read(&mut self, context: &mut Context<'_>) -> Poll<Result<Step>> {
        let mut room = [0; PIECE];
        let mut buffer = ReadBuf::new(&mut room);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
        let read = buffer.filled();
        Poll::Ready(Ok(match read {
            [] => Step::End(None),
            read => Step::Data(Bytes::copy_from_slice(read)),
        }))
    }
}

/// Carries bytes both ways until the application is done, or the client takes no more.
async fn carry(
    socket: TcpStream,
    mut from: ReadHalf<DuplexStream>,
    mut to: WriteHalf<DuplexStream>,
) -> io::Result<()> {
    let inward = async {
        while let Ok(data) = received(&socket).await
            && !data.is_empty()
            && to.write_all(&data).await.is_ok()
        {}
        // The application reads the end, and may have more to say.
        let _ = to.shutdown().await;
        std::future::pending().await
    };
    let outward = async {
        loop {
            let data = given(&mut from).await?;
            if data.is_empty() {
                return Ok(());
            }
            send(&socket, &data).await?;
        }
    };
    let (mut inward, mut outward) = (pin!(inward), pin!(outward));
    std::future::poll_fn(|context| {
        // It has no end of its own.
        let _: Poll<()> = inward.as_mut().poll(context);
        outward.as_mut().poll(context)
    })
    .await
}

/// Returns the next bytes of the client, none at the end. No room is kept for them meanwhile.
async fn received(socket: &TcpStream) -> io::Result<Vec<u8>> {
    loop {
        socket.readable().await?;
        let mut room = [0; PIECE];
        match socket.try_read(&mut room) {
            Ok(read) => return Ok(room[..read].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns the next bytes of the application, none at the end.
async fn given(from: &mut ReadHalf<DuplexStream>) -> io::Result<Vec<u8>> {
    std::future::poll_fn(|context| {
        let mut room = [0; PIECE];
        let mut buffer = ReadBuf::new(&mut room);
        ready!(Pin::new(&mut *from).poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().to_vec()))
    })
    .await
}

async fn send(socket: &TcpStream, mut data: &[u8]) -> io::Result<()> {
    while !data.is_empty() {
        socket.writable().await?;
        match socket.try_write(data) {
            Ok(sent) => data = &data[sent..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn gone(error: &io::Error) -> Error {
    Error::of(ErrorKind::ClientGone, format!("the client left: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
