//! The URI that a service sees: the path below the mount point, not decoded.

use bytes::Bytes;
use http::uri::{InvalidUri, PathAndQuery};
use http::{StatusCode, Uri};
use percent_encoding::AsciiSet;

use crate::gateway::environ::Environ;
use crate::gateway::error::{Error, Result};
use crate::gateway::percent;

/// The bytes that a query does not show as they are. A `%` is taken for an escape of the client's.
const QUERY: &AsciiSet = &percent::PATH.remove(b'?').remove(b'%');

/// Returns the path below the mount point, not decoded, with the query.
///
/// After an internal redirect or a rewrite the request line differs from the environ. Then the
/// environ's path is encoded again. `None` is the path `/` without a query.
///
/// # Errors
///
/// 414 when the path is too long for a URI.
pub(super) fn uri(environ: &Environ<'_>) -> Result<Option<Uri>> {
    let path_info = environ.path_info();
    let query = environ.query_string();
    let uri = match below_mount(environ.raw_target(), environ.script_name(), path_info, query) {
        Some(b"" | b"/") => return Ok(None),
        Some(tail) => as_it_is(tail),
        None => anew(path_info, query),
    };
    uri.map(Some).map_err(|error| {
        Error::with_status(StatusCode::URI_TOO_LONG, format!("the request's URI: {error}"))
    })
}

/// Returns the whole path, not decoded, with the query: the client's own if it matches the environ.
pub(super) fn original(
    raw: &[u8],
    script_name: &[u8],
    path_info: &[u8],
    query: &[u8],
) -> Option<Uri> {
    let uri = match below_mount(raw, script_name, path_info, query) {
        Some(_) => as_it_is(origin_form(raw)),
        None => anew(&[script_name, path_info].concat(), query),
    };
    uri.ok()
}

fn as_it_is(tail: &[u8]) -> Result<Uri, InvalidUri> {
    // The path of a request for the mount point itself is empty, with or without a query.
    let slash = !tail.starts_with(b"/");
    let bytes = if slash { [b"/", tail].concat().into() } else { Bytes::copy_from_slice(tail) };
    match PathAndQuery::from_maybe_shared(bytes) {
        // `Uri` would parse a fragment after a `#`, which a request does not have.
        Ok(target) if target.as_str().len() == tail.len() + usize::from(slash) => Ok(target.into()),
        _ => {
            let mut encoded = if slash { vec![b'/'] } else { Vec::new() };
            percent::encode(tail, QUERY, &mut encoded);
            PathAndQuery::from_maybe_shared(Bytes::from(encoded)).map(Uri::from)
        }
    }
}

fn anew(path_info: &[u8], query: &[u8]) -> Result<Uri, InvalidUri> {
    let mut encoded = Vec::with_capacity(path_info.len() + query.len() + 2);
    if !path_info.starts_with(b"/") {
        encoded.push(b'/');
    }
    percent::encode(path_info, percent::PATH, &mut encoded);
    if !query.is_empty() {
        encoded.push(b'?');
        percent::encode(query, QUERY, &mut encoded);
    }
    PathAndQuery::from_maybe_shared(Bytes::from(encoded)).map(Uri::from)
}

/// Returns the part of the raw target below the mount point, if the target matches the environ.
fn below_mount<'r>(
    raw: &'r [u8],
    script_name: &[u8],
    path_info: &[u8],
    query: &[u8],
) -> Option<&'r [u8]> {
    let raw = origin_form(raw);
    let path_end = raw.iter().position(|&byte| byte == b'?').unwrap_or(raw.len());
    let (path, raw_query) = raw.split_at(path_end);
    if raw_query.strip_prefix(b"?").unwrap_or_default() != query {
        return None;
    }
    if let Some(rest) = path.strip_prefix(script_name)
        && rest == path_info
        && !path.contains(&b'%')
    {
        return Some(&raw[script_name.len()..]);
    }
    let rest = undo(path, script_name)?;
    undo(rest, path_info).filter(|rest| rest.is_empty())?;
    Some(&raw[path.len() - rest.len()..])
}

/// Removes scheme and authority of the absolute form (RFC 9112, 3.2.2).
fn origin_form(raw: &[u8]) -> &[u8] {
    if raw.starts_with(b"/") {
        return raw;
    }
    let Some(scheme) = raw.windows(3).position(|window| window == b"://") else { return raw };
    let behind = &raw[scheme + 3..];
    let path = behind.iter().position(|&byte| byte == b'/' || byte == b'?');
    path.map_or(b"", |at| &behind[at..])
}

/// Removes the prefix of the encoded `raw` that decodes to `decoded`, and returns the rest.
///
/// An encoded slash may be left encoded in `decoded` (`AllowEncodedSlashes NoDecode`).
fn undo<'r>(mut raw: &'r [u8], mut decoded: &[u8]) -> Option<&'r [u8]> {
    while let Some((&expected, after)) = decoded.split_first() {
        let (byte, length) = match raw {
            [b'%', high, low, ..] => {
                percent::escape([b'%', *high, *low]).map_or((b'%', 1), |byte| (byte, 3))
            }
            [byte, ..] => (*byte, 1),
            [] => return None,
        };
        if byte == expected {
            decoded = after;
        } else if byte == b'/' && length == 3 && decoded.starts_with(&raw[..3]) {
            decoded = &decoded[3..];
        } else {
            return None;
        }
        raw = &raw[length..];
    }
    Some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::memory::TestRequest;
    use crate::gateway::{Body, StartResponse, app_fn};

    fn of(request: &TestRequest) -> String {
        let app = app_fn(|environ, start_response: StartResponse<'_>| {
            start_response.start(200, [("Content-Type", "text/plain")])?;
            Ok(Body::from(uri(&environ)?.unwrap_or_default().to_string()))
        });
        let response = request.call(&app);
        assert!(response.is_complete(), "{response:?}");
        response.text().into_owned()
    }

    #[test]
    fn the_raw_path_below_the_mount_point() {
        for (script_name, target, expected) in [
            ("", "/", "/"),
            ("", "/?", "/?"),
            ("", "/a/b?c=d&e", "/a/b?c=d&e"),
            ("/app", "/app", "/"),
            ("/app", "/app/", "/"),
            ("/app", "/app?q", "/?q"),
            ("/app", "/app/a%2Fb%20c?x=%2F", "/a%2Fb%20c?x=%2F"),
            ("/app", "/%61pp/%7euser", "/%7euser"),
            ("/a b", "/a%20b/c", "/c"),
            ("/app", "http://host:80/app/x?y", "/x?y"),
            ("", "http://host?y", "/?y"),
            ("/app", "/app/%zz%", "/%zz%"),
            ("", "/caf%C3%A9/\u{e9}|^", "/caf%C3%A9/\u{e9}|^"),
        ] {
            let request = TestRequest::get(target).mount(script_name);
            let path_info = if target.starts_with("http") {
                Some(if target.contains("/x") { "/x" } else { "" })
            } else {
                None
            };
            let request = path_info.map_or(request.clone(), |path| request.path_info(path));
            assert_eq!(of(&request), expected, "{target}");
        }
    }

    #[test]
    fn the_decoded_path_is_encoded_again() {
        for (target, path_info, query, expected) in [
            ("/old", "/new page", "", "/new%20page"),
            ("/old?a", "/new", "a&b=c", "/new?a&b=c"),
            ("/a//b", "/a/b", "", "/a/b"),
            ("/a/../b", "/b", "", "/b"),
            ("/old", "", "q=\"#", "/?q=%22%23"),
            ("/old", "/100%/?#", "", "/100%25/%3F%23"),
            ("*", "", "", "/"),
            // AllowEncodedSlashes NoDecode.
            ("/x%2fy%20z?q", "/x%2fy z", "q", "/x%2fy%20z?q"),
        ] {
            let request = TestRequest::new("GET", target)
                .path_info(path_info)
                .variable("QUERY_STRING", query);
            assert_eq!(of(&request), expected, "{target}");
        }
    }

    #[test]
    fn characters_outside_uris_are_encoded() {
        assert_eq!(of(&TestRequest::get("/a<b?c=\"d\"")), "/a%3Cb?c=%22d%22");
        assert_eq!(of(&TestRequest::get(b"/\xff")), "/%FF");
        assert_eq!(of(&TestRequest::get("/a?b#c")), "/a?b%23c");
    }

    #[test]
    fn follows_what_dispatched() {
        let app = app_fn(|mut environ, start_response: StartResponse<'_>| {
            environ.shift_path_info();
            start_response.start(200, [("Content-Type", "text/plain")])?;
            Ok(Body::from(uri(&environ)?.unwrap_or_default().to_string()))
        });
        assert_eq!(TestRequest::get("/app/a%62/c%2Fd").mount("/app").call(&app).text(), "/c%2Fd");
    }

    #[test]
    fn too_long() {
        let app = app_fn(|environ, _start_response| {
            uri(&environ)?;
            Ok(Body::empty())
        });
        let response = TestRequest::get(format!("/{}", "x".repeat(70_000))).call(&app);
        assert_eq!(response.status(), StatusCode::URI_TOO_LONG);
    }
}
