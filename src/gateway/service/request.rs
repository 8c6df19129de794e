//! Makes the `http::Request` of an environ.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version};

use super::body::RequestBody;
use super::environ::ServiceEnviron;
use super::target;
use crate::gateway::environ::Environ;
use crate::gateway::error::{Error, Result};

/// The request, with [`ServiceEnviron`] among its extensions.
///
/// # Errors
///
/// What `http` cannot express is refused: 400, 414, 431 or 501.
pub(super) fn request(
    environ: &mut Environ<'_>,
    body: RequestBody,
) -> Result<Request<RequestBody>> {
    let extensions = extensions(environ);
    let mut request = Request::new(body);
    *request.method_mut() = method(environ)?;
    *request.uri_mut() = target::uri(environ)?;
    *request.version_mut() = version(environ);
    *request.headers_mut() = headers(environ)?;
    *request.extensions_mut() = extensions;
    Ok(request)
}

fn extensions(environ: &mut Environ<'_>) -> Extensions {
    let mut extensions = environ.take_extensions().unwrap_or_default();
    extensions.insert(ServiceEnviron::new(environ));
    extensions
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

/// A subrequest has INCLUDED in its place: it is as the request that it is made for.
fn version(environ: &Environ<'_>) -> Version {
    match environ.get("SERVER_PROTOCOL").unwrap_or_default() {
        b"HTTP/0.9" => Version::HTTP_09,
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/2" | b"HTTP/2.0" => Version::HTTP_2,
        b"HTTP/3" | b"HTTP/3.0" => Version::HTTP_3,
        _ => Version::HTTP_11,
    }
}

/// Every header as it came. None is left out in silence: an application may decide by it.
fn headers(environ: &Environ<'_>) -> Result<HeaderMap> {
    let mut count = 0;
    environ.each_header(|_, _| count += 1);
    let too_many = |_| {
        Error::with_status(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!("{count} request headers are more than can be told apart"),
        )
    };
    let mut headers = HeaderMap::try_with_capacity(count).map_err(too_many)?;
    let mut result = Ok(());
    environ.each_header(|name, value| {
        if result.is_ok() {
            result = match (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                (Ok(name), Ok(value)) => {
                    headers.try_append(name, value).map(drop).map_err(too_many)
                }
                _ => Err(Error::with_status(
                    StatusCode::BAD_REQUEST,
                    format!(
                        "the request header \"{}\" is malformed (RFC 9110, 5.1 and 5.5)",
                        name.escape_ascii()
                    ),
                )),
            };
        }
    });
    result.map(|()| headers)
}
