//! Upgrades of a connection, for `axum::extract::WebSocketUpgrade` and all others that take hyper's
//! [`OnUpgrade`] out of a request's extensions.
//!
//! Only hyper can make an [`OnUpgrade`]. So hyper gets a connection in memory, reads a request that
//! stands for the client's, and switches protocols. The application has one end of that connection
//! then, and the other is the [tunnel](Tunnel) to the client.

use std::convert::Infallible;
use std::future::Future;
use std::io::BufRead as _;
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
use tokio::io::{AsyncRead as _, AsyncWrite as _, DuplexStream, ReadBuf};

use super::body::RequestBody;
use crate::gateway::error::{Error, Result};
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
        let mut tunnel = Self { io, ended: false };
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
        if !self.ended {
            *wants_input = self.hand_on(context, input)?;
        }
        self.read(context)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
