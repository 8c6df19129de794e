//! The syntax of a Host, which requests and proxies name.

use std::net::Ipv6Addr;

use crate::gateway::header::decimal;

/// Returns whether a host may stand in a request: `uri-host [":" port]` (RFC 9110, 7.2), empty
/// where the target has none. Userinfo is refused (RFC 9110, 4.2.4).
pub(super) fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.iter().rposition(|&byte| byte == b':') {
        Some(colon) if !host[colon..].contains(&b']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, &b""[..]),
    };
    let is_port = port.is_empty() || decimal(port).is_some_and(|port| port <= 65_535);
    // A port has a name before it.
    is_port
        && (host.is_empty() || (1..=255).contains(&name.len()))
        && match name.strip_prefix(b"[") {
            Some(rest) => rest
                .strip_suffix(b"]")
                .and_then(|address| std::str::from_utf8(address).ok())
                .is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
            // A name of RFC 3986, 3.2.2.
            None => name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(byte)),
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for host in [
            ":80", "a b", "a/b", "user@a", "a:b", "a:65536", "a:+1", "a:80:80", "[::1", "[a]",
            "[::1]80", "::1", "a\\b", "a?b", "a\"b", "<b>",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
        for host in ["", "a.b", "a:", "a:80", "[::1]", "[2001:db8::1]:1", "xn--a_b", "a%20b"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
    }
}
