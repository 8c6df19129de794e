//! The conversion of a service's response to that of an application.

use std::pin::Pin;
use std::task::Poll;

use bytes::{Buf, Bytes};
use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, Response};
use http_body::{Body as HttpBody, Frame};
use tokio::runtime::Handle;

use super::drive::ServiceDriver;
use crate::gateway::body::{Body, BodyStream, Pace};
use crate::gateway::code::Level;
use crate::gateway::error::{Error, Result};
use crate::gateway::header;
use crate::gateway::start_response::StartResponse;
use crate::gateway::status::IntoStatus;

/// The error of a service, of any type.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Starts the response and returns its body: in one piece if it is ready, else as a stream. The
/// stream drives the service's body and feeds the request's.
pub(super) fn respond<'x, B>(
    response: Response<B>,
    start_response: &StartResponse<'x>,
    mut driver: ServiceDriver<'x>,
    runtime: &Handle,
    is_head: bool,
) -> Result<Body<'x>>
where
    B: HttpBody + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (mut parts, body) = response.into_parts();
    let status = parts.status.into_status()?;
    drop_connection_fields(&mut parts.headers, &driver);
    start_response.start(status, &parts.headers)?;
    if body.is_end_stream() {
        return Ok(Body::empty());
    }
    let mut body = Box::pin(body);
    let mut first = None;
    let mut taken = 0;
    // The body of a HEAD is not run.
    if !is_head
        && status.has_body()
        && let Poll::Ready(frame) = driver.poll(|context| body.as_mut().poll_frame(context))
    {
        match piece(frame)? {
            Piece::Data(data) if body.is_end_stream() => return Ok(Body::from(data)),
            Piece::End(None) => return Ok(Body::empty()),
            piece => {
                if let Piece::Data(data) = &piece {
                    taken = data.len() as u64;
                }
                first = Some(piece);
            }
        }
    }
    let length = body.size_hint().exact().map(|left| left + taken);
    let stream =
        ServiceBody { driver, body: Some(body), runtime: runtime.clone(), first, trailers: None };
    Ok(Body::stream(stream).with_length(length))
}

/// Removes the fields that describe a connection, as HTTP servers do (RFC 9110, 7.6.1). A service
/// that hands on the response of another server has them. One debug line names them.
#[inline]
fn drop_connection_fields(headers: &mut HeaderMap, driver: &ServiceDriver<'_>) {
    if headers.keys().any(|name| is_of_connection(name.as_str().as_bytes())) {
        remove_connection_fields(headers, driver);
    }
}

/// Tells whether the server makes the field of this name by itself. `Status` is CGI's status line.
fn is_of_connection(name: &[u8]) -> bool {
    header::is_hop_by_hop(name) || name == b"status"
}

#[cold]
fn remove_connection_fields(headers: &mut HeaderMap, driver: &ServiceDriver<'_>) {
    // Connection names further fields of the connection.
    let listed: Vec<_> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    let own = headers.keys().filter(|name| is_of_connection(name.as_str().as_bytes())).cloned();
    let mut removed: Vec<_> = own.collect();
    removed.extend(listed.into_iter().filter(|name| headers.contains_key(name)));
    removed.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
    removed.dedup();
    for name in &removed {
        headers.remove(name);
    }
    let names: Vec<_> = removed.iter().map(HeaderName::as_str).collect();
    let line = format!(
        "response fields of the connection were left out: {} (RFC 9110, 7.6.1)",
        names.join(", ")
    );
    driver.exchange().log(Level::Debug, &line);
}

enum Piece {
    Data(Bytes),
    End(Option<HeaderMap>),
}

fn piece<D, E>(frame: Option<Result<Frame<D>, E>>) -> Result<Piece>
where
    D: Buf,
    E: Into<BoxError>,
{
    let Some(frame) = frame.transpose().map_err(Error::from_source)? else {
        return Ok(Piece::End(None));
    };
    Ok(match frame.into_data() {
        // No copy for `Bytes`.
        Ok(mut data) => Piece::Data(data.copy_to_bytes(data.remaining())),
        Err(frame) => Piece::End(frame.into_trailers().ok()),
    })
}

struct ServiceBody<'x, B> {
    driver: ServiceDriver<'x>,
    /// The service's body, or `None` after its end.
    body: Option<Pin<Box<B>>>,
    runtime: Handle,
    /// The chunk that was ready at once.
    first: Option<Piece>,
    trailers: Option<HeaderMap>,
}

impl<B> BodyStream for ServiceBody<'_, B>
where
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        let _context = self.runtime.enter();
        loop {
            let Some(body) = &mut self.body else { return Ok(None) };
            let piece = match self.first.take() {
                Some(first) => first,
                None => piece(
                    self.driver
                        .drive(|context| body.as_mut().poll_frame(context), || pace.must_wait())?,
                )?,
            };
            match piece {
                Piece::Data(data) if data.is_empty() => {}
                Piece::Data(data) => return Ok(Some(data)),
                Piece::End(mut trailers) => {
                    if let Some(trailers) = &mut trailers {
                        drop_connection_fields(trailers, &self.driver);
                    }
                    self.trailers = trailers;
                    self.body = None;
                }
            }
        }
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }
}

/// The drop runs inside the runtime, because values in the body may need it: a pooled connection,
/// for example.
impl<B> Drop for ServiceBody<'_, B> {
    fn drop(&mut self) {
        let _context = self.runtime.enter();
        self.body = None;
    }
}
