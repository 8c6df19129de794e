//! `/status`, `/headers`, `/redirect` and `/internal`: what stands in the head of a response.

use mod_rust::{Body, Environ, StartResponse};

use super::Probe;
use super::answer::{Answer, NO_STORE, Refusal, TEXT, text};
use super::query::rest;
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

/// `/internal?to=…`: what another path of this server answers to a GET.
pub(super) fn internal<'x>(
    _probe: &Probe,
    environ: Environ<'x>,
    _start_response: &StartResponse<'x>,
) -> Answer<'x> {
    let to = Query::of(&environ).required("to")?;
    match String::from_utf8(to.into_owned()) {
        Ok(to) => Ok(Body::internal_redirect(to)),
        Err(_) => Err(Refusal::bad_request("to is not UTF-8; allowed is an encoded path, /…")),
    }
}

#[cfg(test)]
mod tests {
    use mod_rust::gateway::ErrorKind;

    use super::super::get;

    #[test]
    fn any_final_status_and_no_other() {
        for (code, body) in [
            (200, "200 OK\n"),
            (204, ""),
            (205, ""),
            (304, ""),
            (418, "418 I'm a teapot\n"),
            (599, "599 has no name\n"),
        ] {
            let response = get(&format!("/status/{code}"));
            assert!(response.is_complete(), "{response:?}");
            assert_eq!((response.status().as_u16(), &*response.text()), (code, body));
        }
        for code in ["0", "100", "199", "600", "99999", "200x", "+200", "-1"] {
            let response = get(&format!("/status/{code}"));
            assert_eq!(response.status(), 400);
            assert!(response.text().contains("from 200 to 599"), "{}", response.text());
        }
    }

    #[test]
    fn headers_in_order() {
        let response = get("/headers?X-A=1&x-b=%C3%A4%20+&X-A=2");
        let headers: Vec<_> =
            response.headers().iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let expected: [(&[u8], &[u8]); 5] = [
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"X-A", b"1"),
            (b"x-b", "\u{e4} +".as_bytes()),
            (b"X-A", b"2"),
            (b"Content-Length", b"16"),
        ];
        assert_eq!(headers, expected);
        let response = get("/headers?content-TYPE=a/b");
        assert_eq!(response.header("content-type"), Some(&b"a/b"[..]));
        assert_eq!(response.headers().len(), 2);
    }

    #[test]
    fn refused_headers_reach_the_contract() {
        for (query, kind) in [
            ("X-A=1%0d%0aX-B:2", ErrorKind::InvalidHeader),
            ("X%20A=1", ErrorKind::InvalidHeader),
            ("Connection=close", ErrorKind::HopByHop),
            ("Content-Length=17", ErrorKind::ContentLength),
        ] {
            let response = get(&format!("/headers?{query}"));
            assert_eq!(response.status(), 500, "{query}");
            assert_eq!(response.error().unwrap().kind(), kind, "{query}");
        }
        assert_eq!(
            get("/redirect?to=/%0d%0aX:y").error().unwrap().kind(),
            ErrorKind::InvalidHeader
        );
        assert_eq!(get("/internal?to=hello").error().unwrap().kind(), ErrorKind::InvalidHeader);
    }

    #[test]
    fn redirects() {
        let response = get("/redirect?to=https://example.org/%3Fa");
        assert_eq!(response.status(), 302);
        assert_eq!(response.header("location"), Some(&b"https://example.org/?a"[..]));
        assert_eq!(get("/internal?to=/hello%3Fa=%2520").redirect(), Some("/hello?a=%20"));
        for path in ["/redirect", "/internal", "/internal?to=%ff"] {
            assert_eq!(get(path).status(), 400, "{path}");
        }
    }
}
