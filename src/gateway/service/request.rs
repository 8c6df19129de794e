//! The conversion of an environ to an `http::Request`.

use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{MaxSizeReached, UPGRADE};
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, StatusCode, Version};

use super::body::RequestBody;
use super::environ::ServiceEnviron;
use super::names::{self, Names};
use super::target;
use crate::gateway::environ::Environ;
use crate::gateway::error::{Error, Result};

/// Fills a new request, with [`ServiceEnviron`] among its extensions.
///
/// # Errors
///
/// Refuses a request that `http` cannot express: 400, 414, 431 or 501.
pub(super) fn fill(environ: &mut Environ<'_>, request: &mut Request<RequestBody>) -> Result<()> {
    *request.extensions_mut() = extensions(environ);
    // The default method is not set again, because the drop of the old one has a cost.
    let method = method(environ)?;
    if method != Method::GET {
        *request.method_mut() = method;
    }
    if let Some(uri) = target::uri(environ)? {
        *request.uri_mut() = uri;
    }
    *request.version_mut() = version(environ);
    headers(environ, request.headers_mut())?;
    // No request of HTTP/2 has the field (RFC 9113, 8.2.2): httpd has made this one of a CONNECT.
    if request.version() == Version::HTTP_2 && request.headers().contains_key(UPGRADE) {
        *request.version_mut() = Version::HTTP_11;
    }
    Ok(())
}

fn extensions(environ: &mut Environ<'_>) -> Extensions {
    let mut extensions = environ.take_extensions().unwrap_or_else(roomy);
    extensions.insert(ServiceEnviron::new(environ));
    extensions
}

/// Returns empty extensions with capacity for a router's values: a copy of used extensions.
fn roomy() -> Extensions {
    static USED: OnceLock<Extensions> = OnceLock::new();
    let used = || {
        let mut extensions = Extensions::new();
        extensions.insert(());
        extensions.insert(0_u8);
        extensions.insert(0_u16);
        extensions.insert(0_u32);
        extensions.clear();
        extensions
    };
    USED.get_or_init(used).clone()
}

fn method(environ: &Environ<'_>) -> Result<Method> {
    let method = environ.method();
    Method::from_bytes(method).map_err(|_| {
        Error::with_status(
            StatusCode::NOT_IMPLEMENTED,
            format!("the request's method \"{}\" is not a token", method.escape_ascii()),
        )
    })
}

/// Returns the HTTP version. A subrequest has the protocol INCLUDED, and counts as HTTP/1.1.
fn version(environ: &Environ<'_>) -> Version {
    match environ.protocol() {
        b"HTTP/0.9" => Version::HTTP_09,
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/2" | b"HTTP/2.0" => Version::HTTP_2,
        b"HTTP/3" | b"HTTP/3.0" => Version::HTTP_3,
        _ => Version::HTTP_11,
    }
}

/// Adds every header unchanged. A malformed one is an error, because an application may rely on it.
fn headers(environ: &Environ<'_>, headers: &mut HeaderMap) -> Result<()> {
    let count = environ.exchange().header_count();
    names::with(|names| {
        if count <= FEW {
            few(environ, names, headers)
        } else {
            many(environ, names, count, headers)
        }
    })
}

fn few(environ: &Environ<'_>, names: &mut Names, headers: &mut HeaderMap) -> Result<()> {
    let mut failed = None;
    environ.each_header(|name, value| {
        let (Ok(parsed), Ok(value)) = (names.parse(name), HeaderValue::from_bytes(value)) else {
            failed.get_or_insert_with(|| malformed(name));
            return;
        };
        if let Err(error) = headers.try_append(parsed, value) {
            failed.get_or_insert_with(|| too_many(error));
        }
    });
    failed.map_or(Ok(()), Err)
}

/// Makes the values slices of one buffer, as behind hyper: each costs no allocation.
fn many(
    environ: &Environ<'_>,
    names: &mut Names,
    count: usize,
    headers: &mut HeaderMap,
) -> Result<()> {
    headers.try_reserve(count).map_err(too_many)?;
    let mut parts = Vec::with_capacity(count);
    let mut values = Vec::with_capacity(count * USUAL_VALUE);
    let mut failed = None;
    environ.each_header(|name, value| match names.parse(name) {
        Ok(parsed) => {
            parts.push((parsed, value.len()));
            values.extend_from_slice(value);
        }
        Err(_) => {
            failed.get_or_insert_with(|| malformed(name));
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let mut values = Bytes::from(values);
    for (name, length) in parts {
        let Ok(value) = HeaderValue::from_maybe_shared(values.split_to(length)) else {
            return Err(malformed(name.as_str().as_bytes()));
        };
        headers.try_append(name, value).map_err(too_many)?;
    }
    Ok(())
}

fn malformed(name: &[u8]) -> Error {
    Error::with_status(
        StatusCode::BAD_REQUEST,
        format!(
            "the request header \"{}\" is malformed (RFC 9110, 5.1 and 5.5)",
            name.escape_ascii()
        ),
    )
}

fn too_many(_: MaxSizeReached) -> Error {
    Error::with_status(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "there are more request headers than can be told apart",
    )
}

/// The capacity of a new map, in headers.
const FEW: usize = 6;

/// The room for the value of a header, in bytes. The buffer grows where it is not enough.
const USUAL_VALUE: usize = 48;
