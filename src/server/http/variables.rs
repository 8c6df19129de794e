//! A request of HTTP as CGI meta-variables (RFC 3875, section 4.1), by the rules that httpd has.

use std::net::SocketAddr;

use http::request::Parts;
use http::{HeaderName, Method, Version, header};
use hyper::ext::Protocol;

use super::forwarded::{Origin, TrustedProxies, origin};
use super::host::is_host;
use super::path::{self, PathRefusal};
use crate::protocol::params::Params;

const SOFTWARE: &str = concat!("mod_rust/", env!("CARGO_PKG_VERSION"));

/// The two ends of a connection; `None` on a Unix socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) local: Option<SocketAddr>,
    pub(super) peer: Option<SocketAddr>,
}

/// Why a request is answered without an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Its path.
    Path(PathRefusal),
    /// HTTP/1.1 without one Host (RFC 9112, section 3.2).
    Host,
    /// CONNECT to another host.
    Connect,
    /// `OPTIONS *`, which asks for the server itself.
    Server,
}

/// Writes the variables of a request into `into`. SCRIPT_NAME is empty and PATH_INFO the whole
/// path: what is mounted where is not known here.
pub(super) fn write(
    parts: &Parts,
    ends: Ends,
    trusted: &TrustedProxies,
    into: &mut Params,
) -> Result<(), Unfit> {
    // A stream of HTTP/2 may become another protocol's (RFC 8441).
    if parts.method == Method::CONNECT && parts.extensions.get::<Protocol>().is_none() {
        return Err(Unfit::Connect);
    }
    if parts.method == Method::OPTIONS && parts.uri.path() == "*" {
        return Err(Unfit::Server);
    }
    let path = path::normalize(parts.uri.path().as_bytes()).map_err(Unfit::Path)?;
    let peer = ends.peer.map(|peer| (peer.ip(), peer.port()));
    let origin = origin(&parts.headers, peer, trusted);
    let host = host(parts, &origin)?;
    into.clear();
    into.push(b"GATEWAY_INTERFACE", b"CGI/1.1");
    into.push(b"SERVER_SOFTWARE", SOFTWARE.as_bytes());
    into.push(b"SERVER_PROTOCOL", protocol(parts.version));
    server(&host, ends, origin.https, into);
    if let Some(address) = origin.address {
        into.push(b"REMOTE_ADDR", address.to_string().as_bytes());
    }
    if let Some(port) = origin.port {
        into.push(b"REMOTE_PORT", port.to_string().as_bytes());
    }
    if origin.https {
        into.push(b"HTTPS", b"on");
    }
    into.push(b"REQUEST_SCHEME", if origin.https { b"https" } else { b"http" });
    into.push(b"REQUEST_METHOD", parts.method.as_str().as_bytes());
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    into.push(b"REQUEST_URI", target.as_bytes());
    into.push(b"QUERY_STRING", parts.uri.query().unwrap_or_default().as_bytes());
    into.push(b"SCRIPT_NAME", b"");
    into.push(b"PATH_INFO", &path);
    headers(parts, into);
    Ok(())
}

/// Writes the variables of a refused request that its line in the access log shows.
pub(super) fn write_refused(
    parts: &Parts,
    ends: Ends,
    trusted: &TrustedProxies,
    into: &mut Params,
) {
    into.clear();
    let peer = ends.peer.map(|peer| (peer.ip(), peer.port()));
    if let Some(address) = origin(&parts.headers, peer, trusted).address {
        into.push(b"REMOTE_ADDR", address.to_string().as_bytes());
    }
    into.push(b"SERVER_PROTOCOL", protocol(parts.version));
    into.push(b"REQUEST_METHOD", parts.method.as_str().as_bytes());
    into.push(b"REQUEST_URI", parts.uri.to_string().as_bytes());
    for (name, key) in
        [(header::REFERER, &b"HTTP_REFERER"[..]), (header::USER_AGENT, b"HTTP_USER_AGENT")]
    {
        if let Some(value) = parts.headers.get(name) {
            into.push(key, value.as_bytes());
        }
    }
}

/// The host that the client asked for, with its port if it named one.
fn host(parts: &Parts, origin: &Origin) -> Result<Vec<u8>, Unfit> {
    let asked = asked_host(parts)?;
    // Refused as by httpd: an http URI without a host (RFC 9110, 4.2.1).
    let is_missing = asked.is_empty() && parts.version >= Version::HTTP_11;
    if is_missing || !is_host(asked) {
        return Err(Unfit::Host);
    }
    Ok(origin.host.clone().unwrap_or_else(|| asked.to_vec()))
}

fn asked_host(parts: &Parts) -> Result<&[u8], Unfit> {
    let mut hosts = parts.headers.get_all(header::HOST).into_iter();
    match (hosts.next(), hosts.next(), parts.uri.authority()) {
        (Some(_), Some(_), _) => Err(Unfit::Host),
        (Some(host), None, Some(_)) if !is_host(host.as_bytes()) => Err(Unfit::Host),
        // A target with a host of its own makes Host's of no account (RFC 9112, section 3.2.2).
        (_, _, Some(authority)) => Ok(authority.as_str().as_bytes()),
        (Some(host), None, None) => Ok(host.as_bytes()),
        (None, _, None) if parts.version < Version::HTTP_11 => Ok(b""),
        (None, _, None) => Err(Unfit::Host),
    }
}

/// SERVER_NAME and SERVER_PORT as the client asked for them (`UseCanonicalName Off`), else those of
/// the connection.
fn server(host: &[u8], ends: Ends, https: bool, into: &mut Params) {
    let colon = host.iter().rposition(|&byte| byte == b':');
    let colon = colon.filter(|&at| !host[at..].contains(&b']'));
    let name = colon.map_or(host, |at| &host[..at]);
    let local = ends.local.map(|local| local.ip().to_canonical().to_string()).unwrap_or_default();
    let name = if name.is_empty() { local.as_bytes() } else { name };
    into.push(b"SERVER_NAME", name);
    if !local.is_empty() {
        into.push(b"SERVER_ADDR", local.as_bytes());
    }
    let asked = colon
        .map(|at| &host[at + 1..])
        .filter(|port| !port.is_empty() && port.len() <= 5 && port.iter().all(u8::is_ascii_digit));
    let scheme_port = if https { "443" } else { "80" };
    let port = match (asked, ends.local) {
        (Some(asked), _) => asked.to_vec(),
        (None, Some(local)) if !https && host.is_empty() => local.port().to_string().into_bytes(),
        (None, _) => scheme_port.into(),
    };
    into.push(b"SERVER_PORT", &port);
}

/// httpd's rule (`ap_add_common_vars`): letters, digits and hyphens only, so that no other name can
/// pass for one of them; Proxy is left out (httpoxy). Repeated ones are joined.
fn headers(parts: &Parts, into: &mut Params) {
    let mut value = Vec::new();
    let mut key = Vec::new();
    for name in parts.headers.keys() {
        let text = name.as_str().as_bytes();
        if *name == "proxy" || !text.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-') {
            continue;
        }
        if name == header::HOST && parts.uri.authority().is_some() {
            continue;
        }
        join(parts, name, &mut value);
        match *name {
            header::CONTENT_TYPE => into.push(b"CONTENT_TYPE", &value),
            header::CONTENT_LENGTH => into.push(b"CONTENT_LENGTH", &value),
            _ => {
                key.clear();
                key.extend_from_slice(b"HTTP_");
                key.extend(text.iter().map(|&byte| match byte {
                    b'-' => b'_',
                    byte => byte.to_ascii_uppercase(),
                }));
                into.push(&key, &value);
            }
        }
    }
    if let Some(authority) = parts.uri.authority() {
        into.push(b"HTTP_HOST", authority.as_str().as_bytes());
    }
}

/// HTTP/2 clients send a Cookie in pieces (RFC 9113, section 8.2.3).
fn join(parts: &Parts, name: &HeaderName, into: &mut Vec<u8>) {
    into.clear();
    let separator: &[u8] = if name == header::COOKIE { b"; " } else { b", " };
    for value in parts.headers.get_all(name) {
        if !into.is_empty() {
            into.extend_from_slice(separator);
        }
        into.extend_from_slice(value.as_bytes());
    }
}

const fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_10 => b"HTTP/1.0",
        Version::HTTP_2 => b"HTTP/2.0",
        _ => b"HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn of(request: http::request::Builder) -> Result<Params, Unfit> {
        let ends = Ends {
            local: Some("127.0.0.1:8080".parse().unwrap()),
            peer: Some("192.0.2.1:4000".parse().unwrap()),
        };
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut params = Params::new();
        let networks = vec!["192.0.2.0/24".parse().unwrap()];
        let trusted = TrustedProxies { networks, host: true, ..TrustedProxies::default() };
        write(&parts, ends, &trusted, &mut params).map(|()| params)
    }

    fn text<'p>(params: &'p Params, key: &str) -> &'p str {
        params.get(key.as_bytes()).map_or("(absent)", |value| std::str::from_utf8(value).unwrap())
    }

    #[test]
    fn names_as_httpd_does() {
        let request = Request::get("/a%20b//c?q=%20")
            .header("host", "shop.example:8080")
            .header("x-a", "1")
            .header("x-a", "2")
            .header("x_a", "3")
            .header("proxy", "evil")
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("content-type", "text/plain");
        let params = of(request).unwrap();
        for (key, value) in [
            ("REQUEST_URI", "/a%20b//c?q=%20"),
            ("PATH_INFO", "/a b/c"),
            ("QUERY_STRING", "q=%20"),
            ("SERVER_NAME", "shop.example"),
            ("SERVER_PORT", "8080"),
            ("SERVER_ADDR", "127.0.0.1"),
            ("REMOTE_ADDR", "192.0.2.1"),
            ("REMOTE_PORT", "4000"),
            ("HTTP_X_A", "1, 2"),
            ("HTTP_COOKIE", "a=1; b=2"),
            ("HTTP_PROXY", "(absent)"),
            ("CONTENT_TYPE", "text/plain"),
            ("HTTP_CONTENT_TYPE", "(absent)"),
            ("HTTPS", "(absent)"),
            ("REQUEST_SCHEME", "http"),
        ] {
            assert_eq!(text(&params, key), value, "{key}");
        }
    }

    #[test]
    fn the_host_of_the_target_takes_precedence() {
        let request = Request::get("http://shop.example:81/a?b").header("host", "other.example");
        let params = of(request).unwrap();
        for (key, value) in [
            ("HTTP_HOST", "shop.example:81"),
            ("SERVER_NAME", "shop.example"),
            ("SERVER_PORT", "81"),
            ("REQUEST_URI", "/a?b"),
        ] {
            assert_eq!(text(&params, key), value, "{key}");
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let request = Request::get("/")
            .header("host", "backend")
            .header("x-forwarded-for", "203.0.113.7")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "[2001:db8::1]");
        let params = of(request).unwrap();
        for (key, value) in [
            ("SERVER_NAME", "[2001:db8::1]"),
            ("SERVER_PORT", "443"),
            ("REMOTE_ADDR", "203.0.113.7"),
            ("REMOTE_PORT", "(absent)"),
            ("HTTPS", "on"),
            ("HTTP_HOST", "backend"),
        ] {
            assert_eq!(text(&params, key), value, "{key}");
        }
    }

    #[test]
    fn unfit_requests() {
        let unfit = |request| of(request).map(drop).unwrap_err();
        assert_eq!(unfit(Request::get("/")), Unfit::Host);
        assert_eq!(unfit(Request::get("/").header("host", "a").header("host", "b")), Unfit::Host);
        assert_eq!(unfit(Request::get("/").header("host", "")), Unfit::Host);
        assert_eq!(unfit(Request::get("/").header("host", "a b")), Unfit::Host);
        assert_eq!(unfit(Request::get("http://user@a/").header("host", "a")), Unfit::Host);
        assert_eq!(unfit(Request::options("*").header("host", "a")), Unfit::Server);
        let request = Request::get("/a%2fb").header("host", "a");
        assert_eq!(unfit(request), Unfit::Path(PathRefusal::NotThere));
        assert_eq!(unfit(Request::connect("a:80").header("host", "a:80")), Unfit::Connect);
        assert!(of(Request::get("/").version(Version::HTTP_10)).is_ok());
        let request = Request::get("/").version(Version::HTTP_10);
        assert!(of(request.header("host", "")).is_ok());
        assert!(of(Request::get("http://a/").header("host", "")).is_ok());
    }
}
