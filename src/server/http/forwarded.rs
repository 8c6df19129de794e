//! The origin of a request by X-Forwarded-For, -Proto and -Host, or by Forwarded (RFC 7239), from
//! trusted peers only.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

use super::forwarded_field;
use super::host::is_host;

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies {
    /// Their addresses.
    pub(crate) networks: Vec<IpNet>,
    /// The headers that they set.
    pub(crate) headers: ProxyHeaders,
    /// The host that they name is believed too. Most proxies pass on the client's own, unlike the
    /// others.
    pub(crate) host: bool,
}

/// The headers that trusted proxies set. A proxy passes on the other kind as the client sent it, so
/// exactly one kind is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ProxyHeaders {
    /// X-Forwarded-For, -Proto and -Host.
    #[default]
    XForwarded,
    /// Forwarded.
    Forwarded,
}

impl ProxyHeaders {
    /// Reads a value of `--proxy-headers`.
    ///
    /// # Errors
    ///
    /// The text is not allowed; the error says what is.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "x-forwarded" => Ok(Self::XForwarded),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err("expected x-forwarded or forwarded".into()),
        }
    }
}

/// The origin of a request, as far as it can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The client's address; `None` behind a Unix socket whose peer says nothing.
    pub(super) address: Option<IpAddr>,
    /// The client's port, where it is the client itself that is connected.
    pub(super) port: Option<u16>,
    pub(super) https: bool,
    /// The host that the client asked for, where a trusted proxy says so.
    pub(super) host: Option<Vec<u8>>,
}

/// Returns the origin by the trusted proxies on the way; `peer` is who is connected, `None` on a
/// Unix socket, whose peer is trusted whenever somebody is: access to it is a matter of its file's
/// mode.
///
/// Addresses are read from their end, where the nearest proxy wrote: the first that is not a trusted
/// proxy's is the client's (as mod_remoteip reads X-Forwarded-For). Of scheme and host, which the
/// nearest proxy sets, the last value counts. A host is ignored unless it is `host[:port]`.
pub(super) fn origin(
    headers: &HeaderMap,
    peer: Option<(IpAddr, u16)>,
    proxies: &TrustedProxies,
) -> Origin {
    let is_trusted = |address: IpAddr| {
        let address = address.to_canonical();
        proxies.networks.iter().any(|net| net.contains(&address))
    };
    let mut origin = Origin {
        address: peer.map(|(address, _)| address.to_canonical()),
        port: peer.map(|(_, port)| port),
        https: false,
        host: None,
    };
    let believed = peer.map_or(!proxies.networks.is_empty(), |(address, _)| is_trusted(address));
    if !believed {
        return origin;
    }
    let claims = match proxies.headers {
        ProxyHeaders::XForwarded => x_forwarded(headers),
        ProxyHeaders::Forwarded => forwarded(headers),
    };
    origin.https = claims.https;
    origin.host = claims.host.filter(|host| proxies.host && !host.is_empty() && is_host(host));
    for address in claims.hops {
        (origin.address, origin.port) = (Some(address), None);
        if !is_trusted(address) {
            break;
        }
    }
    origin
}

/// The values of the headers, which are true as far as the proxies are.
#[derive(Debug, Default)]
struct Claims {
    /// The addresses, the nearest proxy's word first, up to the first that is not one.
    hops: Vec<IpAddr>,
    https: bool,
    host: Option<Vec<u8>>,
}

fn x_forwarded(headers: &HeaderMap) -> Claims {
    let values = |name: &str| headers.get_all(name).into_iter().map(|value| value.as_bytes());
    let hops = values("x-forwarded-for").rev().flat_map(|value| value.rsplit(|&byte| byte == b','));
    let last = |name| {
        let value = values(name).next_back()?;
        value.rsplit(|&byte| byte == b',').next().map(<[u8]>::trim_ascii)
    };
    Claims {
        hops: hops.map_while(address).collect(),
        https: last("x-forwarded-proto").is_some_and(|scheme| scheme == b"https"),
        host: last("x-forwarded-host").map(<[u8]>::to_vec),
    }
}

fn forwarded(headers: &HeaderMap) -> Claims {
    let mut claims = Claims::default();
    let mut is_nearest = true;
    for value in headers.get_all("forwarded").into_iter().rev() {
        // The words of a client may end in the middle of a quoted string, which would swallow the
        // proxy's own. Nothing of such a line is believed, and nothing before it.
        let Some(elements) = forwarded_field::elements(value.as_bytes()) else { return claims };
        for element in elements.into_iter().rev() {
            if std::mem::take(&mut is_nearest) {
                let is_https = |scheme: Vec<u8>| scheme.eq_ignore_ascii_case(b"https");
                claims.https = element.proto.is_some_and(is_https);
                claims.host = element.host;
            }
            let Some(address) = element.hop.and_then(|hop| address(&hop)) else { return claims };
            claims.hops.push(address);
        }
    }
    claims
}

/// Returns an address as it stands in a header: bare, `1.2.3.4:80`, `[::1]` or `[::1]:80`.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop.trim_ascii()).ok()?;
    let bare = match hop.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None if hop.matches(':').count() == 1 => hop.split(':').next()?,
        None => hop,
    };
    bare.parse().ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)], peer: Option<&str>, trusted: &str) -> Origin {
        read(headers, peer, trusted, ProxyHeaders::XForwarded, true)
    }

    fn read(
        lines: &[(&'static str, &'static str)],
        peer: Option<&str>,
        trusted: &str,
        headers: ProxyHeaders,
        host: bool,
    ) -> Origin {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, value.parse().unwrap());
        }
        let networks = trusted.split_whitespace().map(|net| net.parse().unwrap()).collect();
        let trusted = TrustedProxies { networks, headers, host };
        origin(&map, peer.map(|peer| (peer.parse().unwrap(), 4000)), &trusted)
    }

    fn client(origin: &Origin) -> String {
        origin.address.map(|address| address.to_string()).unwrap_or_default()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let headers = [
            ("x-forwarded-for", "9.9.9.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a"),
        ];
        let direct = of(&headers, Some("192.0.2.1"), "10.0.0.0/8");
        assert_eq!((client(&direct).as_str(), direct.port), ("192.0.2.1", Some(4000)));
        assert!(!direct.https && direct.host.is_none());
        assert_eq!(client(&of(&headers, None, "")), "");
    }

    #[test]
    fn the_nearest_other_than_a_proxy_is_the_client() {
        let two = [("x-forwarded-for", "6.6.6.6, 203.0.113.9"), ("x-forwarded-for", "10.0.0.2")];
        let found = of(&two, Some("10.0.0.1"), "10.0.0.0/8");
        assert_eq!((client(&found).as_str(), found.port), ("203.0.113.9", None));
        let all = of(&[("x-forwarded-for", "10.0.0.9, 10.0.0.2")], Some("10.0.0.1"), "10.0.0.0/8");
        assert_eq!(client(&all), "10.0.0.9");
        let nonsense = [("x-forwarded-for", "1.1.1.1, unknown, 10.0.0.2")];
        assert_eq!(client(&of(&nonsense, Some("::ffff:10.0.0.1"), "10.0.0.0/8")), "10.0.0.2");
    }

    #[test]
    fn forms_of_an_address() {
        for (hop, wanted) in [
            ("203.0.113.9:80", "203.0.113.9"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let found = address(hop.as_bytes()).unwrap().to_string();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn scheme_and_host_of_the_nearest() {
        let headers = [
            ("x-forwarded-proto", "http, https"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-host", "shop.example"),
        ];
        let found = of(&headers, None, "127.0.0.0/8");
        assert!(found.https);
        assert_eq!(found.host.as_deref(), Some(&b"shop.example"[..]));
        let kind = ProxyHeaders::XForwarded;
        assert_eq!(read(&headers, None, "127.0.0.0/8", kind, false).host, None);
    }

    #[test]
    fn forwarded_is_read_by_the_same_rule() {
        // The header's lines, and the client, scheme and host by them behind a proxy at 10.0.0.1.
        for (lines, client, https, host) in [
            (&["for=203.0.113.9;proto=https;host=a.example"][..], "203.0.113.9", true, "a.example"),
            (&["For=\"[2001:db8::1]:80\" ; Proto=HTTPS;by=_x"], "2001:db8::1", true, ""),
            (&["for=6.6.6.6, for=203.0.113.9", "for=10.0.0.2"], "203.0.113.9", false, ""),
            (&["for=10.0.0.9,for=10.0.0.2;"], "10.0.0.9", false, ""),
            (&["for=1.1.1.1, for=unknown, for=10.0.0.2"], "10.0.0.2", false, ""),
            (&["for=1.1.1.1, proto=https, for=10.0.0.2"], "10.0.0.2", false, ""),
            (&["proto=https;host=evil, for=203.0.113.9"], "203.0.113.9", false, ""),
            (&["for=\"1.1.1.1\\\"\", for=203.0.113.9"], "203.0.113.9", false, ""),
            (&[r#"for="203.0.113.9";host="a\.b""#], "203.0.113.9", false, "a.b"),
            // A host that is none is ignored.
            (&["for=203.0.113.9;host=\"a/b\""], "203.0.113.9", false, ""),
            (&["for=203.0.113.9;host=\"[::1]:80\""], "203.0.113.9", false, "[::1]:80"),
            // The client's quote swallows the proxy's words: nothing is believed.
            (&["for=6.6.6.6;a=\", for=203.0.113.9"], "10.0.0.1", false, ""),
            (&["for=6.6.6.6;a=\", for=\"[2001:db8::1]\""], "10.0.0.1", false, ""),
            (&["for=6.6.6.6;a=\"", "for=10.0.0.2"], "10.0.0.2", false, ""),
            (&["for=1.1.1.1;for=6.6.6.6"], "10.0.0.1", false, ""),
            (&["for 1.1.1.1"], "10.0.0.1", false, ""),
            (&[""], "10.0.0.1", false, ""),
        ] {
            let headers: Vec<_> = lines.iter().map(|&line| ("forwarded", line)).collect();
            let kind = ProxyHeaders::Forwarded;
            let found = read(&headers, Some("10.0.0.1"), "10.0.0.0/8", kind, true);
            let address = found.address.unwrap().to_string();
            let found_host = String::from_utf8(found.host.unwrap_or_default()).unwrap();
            assert_eq!((&*address, found.https, &*found_host), (client, https, host), "{lines:?}");
            let plain = read(&headers, Some("10.0.0.1"), "10.0.0.0/8", kind, false);
            assert!(plain.host.is_none() && plain.https == https, "{lines:?}");
            let untrusted = read(&headers, Some("192.0.2.1"), "10.0.0.0/8", kind, true);
            assert_eq!(untrusted.address.unwrap().to_string(), "192.0.2.1", "{lines:?}");
            assert!(!untrusted.https && untrusted.host.is_none(), "{lines:?}");
        }
    }

    /// A proxy that sets one kind passes on the other kind as the client sent it.
    #[test]
    fn one_kind_of_headers_is_read() {
        let both =
            [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=198.51.100.7;proto=https")];
        for (wanted, address, https) in [
            (ProxyHeaders::XForwarded, "203.0.113.9", false),
            (ProxyHeaders::Forwarded, "198.51.100.7", true),
        ] {
            let found = read(&both, Some("10.0.0.1"), "10.0.0.0/8", wanted, true);
            assert_eq!((client(&found).as_str(), found.https), (address, https));
        }
    }

    #[test]
    fn an_invalid_host_is_not_believed() {
        for wrong in ["", ":80", "a b", "a/b", "u@a", "a:x", "[::1", "<b>"] {
            assert_eq!(of(&[("x-forwarded-host", wrong)], None, "127.0.0.0/8").host, None);
        }
    }
}
