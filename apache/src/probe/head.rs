//! `/status`, `/headers` and `/redirect`: what stands in the head of a response.

use mod_rust::{Body, Environ, StartResponse};

use super::Probe;
use super::answer::{Answer, NO_STORE, Refusal, TEXT, text};
use super::paths::rest;
use super::query::{Query, number};

/// `/status/N`: that status, with a short text where it may have one.
pub(super) fn status<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let code = number("the status", rest(&environ), 200..=599)?;
    let status = http::StatusCode::from_u16(code as u16)
        .map_err(|error| Refusal::bad_request(error.to_string()))?;
    // RFC 9110: 15.3.5, 15.3.6, 15.4.5.
    if matches!(code, 204 | 205 | 304) {
        start_response.start(status, [NO_STORE])?;
        return Ok(Body::empty());
    }
    let reason = status.canonical_reason().unwrap_or("has no name");
    Ok(text(start_response, status.as_u16(), format!("{code} {reason}\n"))?)
}

/// `/headers?name=value…`: those headers, in their order. What is refused is refused by the
/// gateway.
pub(super) fn headers<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let query = Query::of(&environ);
    let has_type = query.pairs().any(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
    let default = (!has_type).then(|| (TEXT.0.as_bytes().into(), TEXT.1.as_bytes().into()));
    start_response.start(200, default.into_iter().chain(query.pairs()))?;
    Ok(Body::from("see the headers\n"))
}

/// `/redirect?to=…`: 302 to wherever.
pub(super) fn redirect<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let to = Query::of(&environ).required("to")?;
    let (name, value) = TEXT;
    start_response.start(
        302,
        [("Location", &*to), (name, value.as_bytes()), (NO_STORE.0, NO_STORE.1.as_bytes())],
    )?;
    Ok(Body::from("see the Location\n"))
}
