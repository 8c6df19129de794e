//! Internal redirects: who answers with the other path, and as what request.

use super::path::percent_decode;
use super::process_info::Mode;
use crate::protocol::params::Params;

/// More redirects than this, one leading to the next, are a mistake (httpd's
/// `LimitInternalRecursion`).
pub(super) const MOST: usize = 10;

/// The kind of redirect that answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redirection {
    /// The web server does it, told by this field.
    Field(&'static str),
    /// This process does: the path is looked up among the mounts.
    Local,
}

impl Redirection {
    /// For a request by this protocol, from the server that SERVER_SOFTWARE names.
    pub(super) fn of(mode: Mode, params: &Params) -> Self {
        let software = params.get(b"SERVER_SOFTWARE").unwrap_or_default();
        let is = |name: &[u8]| {
            software.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        match mode {
            Mode::Http => Self::Local,
            _ if is(b"nginx") => Self::Field("X-Accel-Redirect"),
            // lighttpd's local redirects are off unless its configuration has them on, and
            // mod_proxy_uwsgi and mod_proxy_fcgi have none: the client would get a Location with
            // status 200. Of these mod_fcgid cannot be told apart.
            _ if is(b"lighttpd") => Self::Local,
            Mode::FastCgi if is(b"Apache") => Self::Local,
            Mode::Uwsgi => Self::Local,
            _ => Self::Field("Location"),
        }
    }
}

/// The request for `target`, a path with or without a query: a GET without a body that knows where
/// it comes from, as httpd has it.
///
/// `path` is the path so far, of which the first `base` bytes are where the server has this
/// program.
pub(super) fn request(params: &Params, target: &str, path: &[u8], base: usize) -> Params {
    const GONE: [&[u8]; 6] = [
        b"CONTENT_LENGTH",
        b"CONTENT_TYPE",
        b"HTTP_CONTENT_LENGTH",
        b"HTTP_TRANSFER_ENCODING",
        b"SCRIPT_FILENAME",
        b"DOCUMENT_URI",
    ];
    let mut next = Params::new();
    for (key, value) in params.iter() {
        if !GONE.contains(&key) {
            next.push(key, value);
        }
    }
    let (to, query) = target.split_once('?').unwrap_or((target, ""));
    next.push(b"REDIRECT_STATUS", b"200");
    next.push(b"REDIRECT_URL", path);
    if let Some(query) = params.get(b"QUERY_STRING").filter(|query| !query.is_empty()) {
        next.push(b"REDIRECT_QUERY_STRING", query);
    }
    next.push(b"REQUEST_METHOD", b"GET");
    let to = percent_decode(to.as_bytes());
    let inside = to.strip_prefix(&path[..base]);
    match inside.filter(|rest| rest.is_empty() || rest.starts_with(b"/")) {
        Some(rest) => {
            next.push(b"SCRIPT_NAME", &path[..base]);
            next.push(b"PATH_INFO", rest);
        }
        None => {
            next.push(b"SCRIPT_NAME", b"");
            next.push(b"PATH_INFO", &to);
        }
    }
    next.push(b"QUERY_STRING", query.as_bytes());
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        let mut params = Params::new();
        for (key, value) in pairs {
            params.push(key.as_bytes(), value.as_bytes());
        }
        params
    }

    #[test]
    fn each_server_its_own_way() {
        for (mode, software, way) in [
            (Mode::Cgi, "Apache/2.4", Redirection::Field("Location")),
            (Mode::FastCgi, "Apache/2.4", Redirection::Local),
            (Mode::Scgi, "Apache/2.4", Redirection::Field("Location")),
            (Mode::FastCgi, "nginx/1.26", Redirection::Field("X-Accel-Redirect")),
            (Mode::Uwsgi, "nginx/1.26", Redirection::Field("X-Accel-Redirect")),
            (Mode::Uwsgi, "Apache", Redirection::Local),
            (Mode::Scgi, "lighttpd/1.4", Redirection::Local),
            (Mode::Http, "", Redirection::Local),
        ] {
            assert_eq!(
                Redirection::of(mode, &params(&[("SERVER_SOFTWARE", software)])),
                way,
                "{software}"
            );
        }
    }

    #[test]
    fn is_a_get_that_knows_its_past() {
        let before = params(&[
            ("REQUEST_METHOD", "POST"),
            ("CONTENT_LENGTH", "3"),
            ("QUERY_STRING", "to=/a%20b"),
            ("SCRIPT_NAME", "/probe/internal"),
        ]);
        let next = request(&before, "/a%20b?c", b"/probe/internal", 0);
        let get = |key: &str| next.get(key.as_bytes()).map(|value| String::from_utf8_lossy(value));
        assert_eq!(get("REQUEST_METHOD").as_deref(), Some("GET"));
        assert_eq!(get("CONTENT_LENGTH"), None);
        assert_eq!(get("PATH_INFO").as_deref(), Some("/a b"));
        assert_eq!(get("QUERY_STRING").as_deref(), Some("c"));
        assert_eq!(get("REDIRECT_URL").as_deref(), Some("/probe/internal"));
        assert_eq!(get("REDIRECT_QUERY_STRING").as_deref(), Some("to=/a%20b"));
        let next = request(&before, "/cgi/gw/x", b"/cgi/gw/probe", 7);
        assert_eq!(next.get(b"SCRIPT_NAME"), Some(&b"/cgi/gw"[..]));
        assert_eq!(next.get(b"PATH_INFO"), Some(&b"/x"[..]));
    }
}
