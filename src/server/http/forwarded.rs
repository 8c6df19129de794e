//! X-Forwarded-For, -Proto and -Host, believed from trusted peers only.

use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use ipnet::IpNet;

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies {
    /// Their addresses.
    pub(crate) networks: Vec<IpNet>,
    /// X-Forwarded-Host is believed too. Most proxies pass on the client's own, unlike the others.
    pub(crate) host: bool,
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
/// X-Forwarded-For is read from its end, where the nearest proxy wrote: the first address that is
/// not a trusted proxy's is the client's (as mod_remoteip reads it). Of Proto and Host, which the
/// nearest proxy sets, the last value counts. Host is ignored unless it is `host[:port]`.
pub(super) fn origin(
    headers: &HeaderMap,
    peer: Option<(IpAddr, u16)>,
    trusted: &TrustedProxies,
) -> Origin {
    let proxies = trusted;
    let trusted = &proxies.networks;
    let is_trusted = |address: IpAddr| {
        let address = address.to_canonical();
        trusted.iter().any(|net| net.contains(&address))
    };
    let mut origin = Origin {
        address: peer.map(|(address, _)| address.to_canonical()),
        port: peer.map(|(_, port)| port),
        https: false,
        host: None,
    };
    let believed = peer.map_or(!trusted.is_empty(), |(address, _)| is_trusted(address));
    if !believed {
        return origin;
    }
    let values = |name: &'static str| {
        let all = headers.get_all(name).into_iter();
        let all: Vec<&[u8]> = all.map(|value| value.as_bytes()).collect();
        all
    };
    for value in values("x-forwarded-for").into_iter().rev() {
        for hop in value.rsplit(|&byte| byte == b',') {
            let Some(address) = address(hop) else { return nearest(origin, proxies, &values) };
            (origin.address, origin.port) = (Some(address), None);
            if !is_trusted(address) {
                return nearest(origin, proxies, &values);
            }
        }
    }
    nearest(origin, proxies, &values)
}

/// Adds the scheme and the host that the nearest proxy names.
fn nearest<'h>(
    mut origin: Origin,
    proxies: &TrustedProxies,
    values: &impl Fn(&'static str) -> Vec<&'h [u8]>,
) -> Origin {
    let last = |name| {
        let value = values(name).last().copied()?;
        value.rsplit(|&byte| byte == b',').next().map(<[u8]>::trim_ascii)
    };
    origin.https = last("x-forwarded-proto").is_some_and(|scheme| scheme == b"https");
    if proxies.host {
        origin.host = last("x-forwarded-host").filter(|host| is_host(host)).map(<[u8]>::to_vec);
    }
    origin
}

/// Returns whether `text` is a name or an address, with a port or without.
fn is_host(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().is_ok() && is_port;
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && name.len() <= 255 && name.bytes().all(is_name) && port.is_none_or(is_port)
}

/// An address as it stands in X-Forwarded-For: bare, `1.2.3.4:80`, `[::1]` or `[::1]:80`.
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
        with_host(headers, peer, trusted, true)
    }

    fn with_host(
        headers: &[(&'static str, &'static str)],
        peer: Option<&str>,
        trusted: &str,
        host: bool,
    ) -> Origin {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let networks = trusted.split_whitespace().map(|net| net.parse().unwrap()).collect();
        let trusted = TrustedProxies { networks, host };
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
        assert_eq!(with_host(&headers, None, "127.0.0.0/8", false).host, None);
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for good in ["a", "shop.example", "a_b:80", "192.0.2.1:8080", "[::1]", "[2001:db8::1]:1"] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for wrong in [
            "", ":80", "a b", "a/b", "u@a", "a:", "a:x", "a:99999", "a:+1", "a:80:80", "[::1",
            "[a]", "[::1]80", "::1", "a\"b", "<b>",
        ] {
            assert!(!is_host(wrong.as_bytes()), "{wrong}");
            assert_eq!(of(&[("x-forwarded-host", wrong)], None, "127.0.0.0/8").host, None);
        }
    }
}
