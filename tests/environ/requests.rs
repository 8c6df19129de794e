//! The requests: every odd thing that a client, a proxy or the configuration may bring along.

use crate::ask::Request;
use crate::hosts::{Site, has_ipv6};
use crate::paths::PATHS;

const ENVIRON: &[u8] = b"/app/environ";

pub(crate) fn all() -> Vec<Request> {
    let mut requests = [
        targets(),
        names(),
        values(),
        hosts(),
        methods(),
        bodies(),
        variables(),
        shadowed(),
        repeated(),
        users(),
        proxies(),
        redirected(),
        others(),
    ]
    .concat();
    if has_ipv6() {
        requests.extend(ipv6());
    }
    requests
}

/// Returns the requests that curl can send over TLS and HTTP/2.
pub(crate) fn over_tls() -> Vec<Request> {
    vec![
        plain(),
        Request::new(Site::Plain, b"/app/environ/a%20b//c?d=%ff".to_vec()),
        plain().header("X-A", "one").header("X-A", "two").header("X-Empty;", ""),
        plain().header("Cookie", "a=1; b=2").header("Proxy", "p").header("X_Under", "u"),
        plain().header("Authorization", "Basic b3R0bzpzZWNyZXQ="),
        plain().method("POST").body(b"a=b").header("Content-Type", "a/b"),
        plain().method("PROPFIND"),
    ]
}

fn plain() -> Request {
    Request::new(Site::Plain, ENVIRON)
}

fn at(site: Site) -> Request {
    Request::new(site, ENVIRON)
}

fn targets() -> Vec<Request> {
    let sites = [Site::Plain, Site::SlashesOn, Site::SlashesNoDecode, Site::Unmerged];
    let mut requests: Vec<_> = sites
        .into_iter()
        .flat_map(|site| PATHS.iter().map(move |path| Request::new(site, *path)))
        .collect();
    let long = [b"/app/environ/".as_slice(), &b"p".repeat(3000), b"?", &b"q".repeat(4000)].concat();
    requests.push(Request::new(Site::Plain, long));
    // The absolute form goes before the Host header.
    for host in ["plain.test", "PLAIN.test:81", "plain.test.", "unknown.test", "user@plain.test"] {
        let target = format!("http://{host}/app/environ/absolute?a=b");
        requests.push(Request::new(Site::SlashesOn, target));
    }
    requests
}

fn names() -> Vec<Request> {
    let names = [
        "X-Plain",
        "x-lower",
        "X-MiXed",
        "X--Double",
        "-X-Lead",
        "X-Trail-",
        "X_Under",
        "X.Dot",
        "X~Tilde",
        "X!Bang",
        "1-Digit",
        "X",
        "Proxy",
        "Proxy-Connection",
        "Proxy-Authorization",
        "Content-Encoding",
        "Content-Language",
        "Connection",
        "Keep-Alive",
        "TE",
        "Upgrade",
        "Via",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Referer",
        "Cookie",
        "Date",
        "Origin",
        "Accept",
        "Accept-Encoding",
        "User-Agent",
        "Range",
        "If-None-Match",
        "If-Modified-Since",
        "Max-Forwards",
        "X-Http-Method-Override",
        "Https",
        "Script-Name",
        "Path-Info",
        "Remote-User",
        "Content_Length",
        "Http-Host",
        "Status",
    ];
    let mut requests: Vec<_> = names.map(|name| plain().header(name, "value")).into();
    requests.extend([
        plain().header("X-Same", "dash").header("X_Same", "under").header("X.Same", "dot"),
        plain().header("Authorization", "Basic b3R0bzpzZWNyZXQ="),
        plain().header("authorization", "Bearer token"),
        plain().header("X-Two", "1").header("X-Two", "2").header("x-two", "3"),
        plain().header("Cookie", "a=1").header("Cookie", "b=2"),
        plain().header("Accept", "a/b").header("X-Between", "x").header("Accept", "c/d;q=0.5"),
        plain().header("Content-Type", "a/b").header("Content-Type", "c/d"),
    ]);
    requests
}

fn values() -> Vec<Request> {
    let values: [&[u8]; 14] = [
        b"",
        b"  ",
        b"\t",
        b" padded \t ",
        b"in\tner",
        b"\xff\xfe",
        "\u{e4}\u{20ac}".as_bytes(),
        b"a,b, c",
        b"\"quoted\\\"",
        b"a=b; c=\"d\"",
        b"%41%zz",
        b"$(date) `date` ${PATH}",
        b"<script>&amp;",
        b"a:b:c",
    ];
    let mut requests: Vec<_> = values.map(|value| plain().header("X-Value", value)).into();
    requests.push(plain().header("X-Long", b"v".repeat(8000)));
    requests.push((0..90).fold(plain(), |request, _| request.header("X-Many", "m")));
    for value in [&b""[..], b"0", b"text/plain", b"TEXT/\xff", b"a, b"] {
        requests.push(plain().header("Content-Type", value));
    }
    requests
}

fn hosts() -> Vec<Request> {
    let hosts = [
        "PLAIN.TEST",
        "plain.test:80",
        "plain.test:8080",
        "plain.test:",
        "plain.test.",
        "plain.test.:81",
        "unknown.test",
        "127.0.0.1",
        "[::1]",
        "[::1]:80",
        "localhost:99999",
        "",
        "a_b.test",
        "a b.test",
        "canonical.test",
    ];
    let mut requests: Vec<_> = hosts.map(|host| plain().host(host)).into();
    for host in ["canonical.test", "alias.test:81", "ALIAS.test"] {
        requests.push(at(Site::Canonical).host(host));
    }
    requests
}

fn methods() -> Vec<Request> {
    let methods =
        ["POST", "PUT", "DELETE", "PATCH", "PROPFIND", "REPORT", "BREW", "get", "M-SEARCH"];
    let mut requests: Vec<_> = methods.map(|method| plain().method(method)).into();
    let old = |request: Request| Request { version: "HTTP/1.0", ..request };
    requests.push(old(plain()));
    requests.push(old(plain().header("Connection", "keep-alive")));
    let mut nameless = old(plain());
    nameless.headers.clear();
    requests.push(nameless.clone());
    // HTTP/1.1 needs a Host.
    requests.push(Request { version: "HTTP/1.1", ..nameless });
    requests.push(Request { version: "HTTP/1.2", ..plain() });
    requests.push(Request { version: "HTTP/2.0", ..plain() });
    requests
}

fn bodies() -> Vec<Request> {
    let post = || plain().method("POST");
    vec![
        post().header("Content-Length", "5").body(b"hello"),
        post().header("Content-Length", "5").header("Content-Type", "a/b; c=d").body(b"hello"),
        post().header("Content-Length", "0"),
        post().header("Content-Length", "000005").body(b"hello"),
        post().header("Content-Length", "+5").body(b"hello"),
        post().header("Content-Length", "-5").body(b"hello"),
        post().header("Content-Length", "5").header("Content-Length", "5").body(b"hello"),
        post().header("Content-Length", "5").header("Content-Length", "6").body(b"hello!"),
        post().header("Transfer-Encoding", "chunked").body(b"5\r\nhello\r\n0\r\n\r\n"),
        post()
            .header("Transfer-Encoding", "chunked")
            .header("Trailer", "X-T")
            .body(b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"),
        post()
            .header("Transfer-Encoding", "chunked")
            .header("Content-Length", "5")
            .body(b"5\r\nhello\r\n0\r\n\r\n"),
        plain().header("Content-Length", "3").body(b"get"),
        plain().header("Content-Type", "a/b"),
        plain().header("Transfer-Encoding", "chunked").body(b"0\r\n\r\n"),
    ]
}

fn variables() -> Vec<Request> {
    let site = Site::Environment;
    vec![
        at(site),
        at(site).header("X-Set", b"from \xe4 header"),
        at(site).header("X-Prefix", "1").header("User-Agent", "curl/1"),
        Request::new(site, b"/app/environ/rewritten".to_vec()),
        Request::new(site, b"/to/there/a%20b?c=d".to_vec()),
        Request::new(site, b"/to/".to_vec()),
        Request::new(site, b"/app/environ/inner/x".to_vec()),
        Request::new(site, b"/app/environ?/if/".to_vec()),
    ]
}

fn shadowed() -> Vec<Request> {
    let site = Site::Shadowed;
    vec![
        at(site),
        Request::new(site, b"/app/environ?q".to_vec()),
        Request::new(site, b"/app/environ?".to_vec()),
        at(site).header("X-Shadow", "header").header("Proxy", "p"),
        at(site).header("Accept", "a/b"),
        at(site).header("Authorization", "Basic b3R0bzpzZWNyZXQ="),
        at(site)
            .method("POST")
            .header("Content-Type", "a/b")
            .header("Content-Length", "5")
            .body(b"hello"),
    ]
}

fn repeated() -> Vec<Request> {
    let mut requests = Vec::new();
    for site in [Site::Repeated, Site::Crowded] {
        requests.extend([
            at(site),
            at(site).header("X-Set", "of the header"),
            at(site).header("X-Twice", "one"),
            at(site).header("X-Both", "a").header("x-both", "b").header("X_Both", "c"),
        ]);
    }
    requests
}

fn users() -> Vec<Request> {
    let mut requests = Vec::new();
    for site in [Site::Auth, Site::PassAuth, Site::CgiPassAuth] {
        requests.push(at(site));
        for credentials in ["Basic b3R0bzpzZWNyZXQ=", "Basic b3R0bzpubw==", "Bearer token", ""] {
            requests.push(at(site).header("Authorization", credentials));
        }
    }
    // RustPassAuthorization does not pass on a proxy's header.
    for site in [Site::Auth, Site::CgiPassAuth] {
        requests.push(at(site).header("Proxy-Authorization", "Basic b3R0bzpzZWNyZXQ="));
    }
    requests
}

fn proxies() -> Vec<Request> {
    let site = Site::RemoteIp;
    [
        "203.0.113.9",
        "203.0.113.9, 198.51.100.7",
        "203.0.113.9, 192.0.2.4",
        "10.1.2.3, 192.0.2.4, 127.0.0.9",
        "2001:db8::1",
        "nonsense",
        "203.0.113.9, nonsense",
        "",
    ]
    .map(|value| at(site).header("X-Forwarded-For", value))
    .into_iter()
    .chain([at(site)])
    .collect()
}

fn redirected() -> Vec<Request> {
    [
        (Site::OriginalUri, "/old/x%20y?a=b"),
        (Site::OriginalUri, "/app/environ/direct?a"),
        (Site::Errors, "/missing?x=%20y"),
        (Site::Errors, "/missing//%ff"),
        (Site::Errors, "/forbidden/x?y"),
        (Site::Errors, "/private/x?y"),
        (Site::Fallback, "/no/such/file?q=1"),
        (Site::Fallback, "/index/?q=1"),
        (Site::Fallback, "/index/"),
        (Site::Included, "/page.shtml?outer=1"),
        (Site::Included, "/page.shtml"),
    ]
    .into_iter()
    .map(|(site, target)| Request::new(site, target))
    .flat_map(|request| {
        let posted = request
            .clone()
            .method("POST")
            .header("Content-Type", "a/b")
            .header("Content-Length", "5")
            .body(b"hello");
        [request.clone().header("X-Kept", "kept"), request, posted]
    })
    .collect()
}

fn others() -> Vec<Request> {
    vec![
        at(Site::Lookups),
        at(Site::Signed),
        at(Site::Headers),
        at(Site::Headers)
            .header("X-Unset", "u")
            .header("X-Edit", "a a")
            .header("X-Add", "one")
            .header("X-Merge", "m, n")
            .header("X-Append", "some")
            .header("Content-Type", "a/b"),
        // httpd's own limits: refused by both alike.
        plain().header("X-Nul", "a\0b"),
        plain().header("X-Fold", "a\r\n b"),
        plain().header("X Blank", "a"),
        plain().header("X\u{e4}", "a"),
        plain().header("", "a"),
        plain().header("X-Too-Long", b"v".repeat(9000)),
        plain().header("Expect", "100-continue"),
        plain().header("Upgrade", "h2c").header("Connection", "Upgrade, HTTP2-Settings"),
    ]
}

fn ipv6() -> Vec<Request> {
    let six = |request: Request| Request { is_ipv6: true, ..request };
    vec![
        six(plain()),
        six(plain().host("[::1]")),
        six(plain().host("[::1]:8080")),
        six(plain().host("[0:0:0:0:0:0:0:1]:81")),
        six(plain().host("six.test")),
        six(Request::new(Site::Plain, b"http://[::1]:82/app/environ?a".to_vec())),
        six(Request { version: "HTTP/1.0", headers: Vec::new(), ..plain() }),
        six(plain().host("[fe80::1%25lo]")),
    ]
}
