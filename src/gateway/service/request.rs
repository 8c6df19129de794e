//! The conversion of an environ to an `http::Request`.

use std::sync::OnceLock;

use http::header::MaxSizeReached;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};

use super::body::RequestBody;
use super::environ::ServiceEnviron;
use super::target;
use crate::gateway::environ::Environ;
use crate::gateway::error::{Error, Result};

/// Makes the request, with [`ServiceEnviron`] among its extensions.
///
/// # Errors
///
/// Refuses a request that `http` cannot express: 400, 414, 431 or 501.
pub(super) fn request(
    environ: &mut Environ<'_>,
    body: RequestBody,
) -> Result<Request<RequestBody>> {
    let extensions = extensions(environ);
    let mut request = Request::new(body);
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
    *request.extensions_mut() = extensions;
    Ok(request)
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
    match environ.get("SERVER_PROTOCOL").unwrap_or_default() {
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
    if count > FEW {
        headers.try_reserve(count).map_err(too_many)?;
    }
    let mut result = Ok(());
    environ.each_header(|name, value| {
        if result.is_ok() {
            result = header(headers, name, value);
        }
    });
    result
}

fn header(headers: &mut HeaderMap, name: &[u8], value: &[u8]) -> Result<()> {
    let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
    else {
        return Err(Error::with_status(
            StatusCode::BAD_REQUEST,
            format!(
                "the request header \"{}\" is malformed (RFC 9110, 5.1 and 5.5)",
                name.escape_ascii()
            ),
        ));
    };
    headers.try_append(name, value).map(drop).map_err(too_many)
}

fn too_many(_: MaxSizeReached) -> Error {
    Error::with_status(
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        "there are more request headers than can be told apart",
    )
}

/// The capacity of a new map, in headers.
const FEW: usize = 6;
