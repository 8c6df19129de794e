//! The path of a request: put together from what the server sent, split anew at a mount.

use std::borrow::Cow;

use super::process_info::{Mode, ProcessInfo};
use crate::gateway::percent;
use crate::protocol::params::Params;

/// The decoded path, and how much of it is the place that the server has this program at.
pub(super) fn of<'p>(
    params: &'p Params,
    facts: &ProcessInfo,
    mode: Mode,
) -> (Cow<'p, [u8]>, usize) {
    let script_name = params.get(b"SCRIPT_NAME").unwrap_or_default();
    let path_info = params.get(b"PATH_INFO").unwrap_or_default();
    let path = match (script_name, path_info) {
        ([], []) => return (without(params), 0),
        ([], path) | (path, []) => Cow::Borrowed(path),
        (script_name, path_info) => {
            // A server that has the program at "/" may count that slash to both.
            let both = script_name.ends_with(b"/") && path_info.starts_with(b"/");
            let script_name = &script_name[..script_name.len() - usize::from(both)];
            Cow::Owned([script_name, path_info].concat())
        }
    };
    let is_ours = facts.is_program(mode, params.get(b"SCRIPT_FILENAME"));
    let base = if is_ours { path.len() - path_info.len() } else { 0 };
    (path, base)
}

/// Neither SCRIPT_NAME nor PATH_INFO: nginx's scgi_params has DOCUMENT_URI, the decoded path.
fn without(params: &Params) -> Cow<'_, [u8]> {
    if let Some(path) = params.get(b"DOCUMENT_URI").filter(|path| !path.is_empty()) {
        return Cow::Borrowed(path);
    }
    let target = params.get(b"REQUEST_URI").unwrap_or_default();
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    // An absolute target (RFC 9112, 3.2.2).
    let path = match path.windows(3).position(|three| three == b"://") {
        Some(at) if !path.starts_with(b"/") => {
            let rest = &path[at + 3..];
            rest.iter().position(|&byte| byte == b'/').map_or(&b"/"[..], |at| &rest[at..])
        }
        _ => path,
    };
    if path.contains(&b'%') { Cow::Owned(percent_decode(path)) } else { Cow::Borrowed(path) }
}

/// Decodes a path. A NUL stays encoded: no variable has one.
pub(super) fn percent_decode(path: &[u8]) -> Vec<u8> {
    let decoded = percent::decode(path);
    if decoded.contains(&0) {
        return decoded.split(|&byte| byte == 0).collect::<Vec<_>>().join(&b"%00"[..]);
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(pairs: &[(&str, &str)], mode: Mode) -> (String, usize) {
        let mut params = Params::new();
        for (key, value) in pairs {
            params.push(key.as_bytes(), value.as_bytes());
        }
        let (path, base) = of(&params, &ProcessInfo::new(1, false, false), mode);
        (String::from_utf8(path.into_owned()).unwrap(), base)
    }

    #[test]
    fn is_the_same_however_it_is_sent() {
        for pairs in [
            &[("SCRIPT_NAME", "/probe/environ")][..],
            &[("SCRIPT_NAME", "/probe"), ("PATH_INFO", "/environ")],
            &[("SCRIPT_NAME", "/"), ("PATH_INFO", "/probe/environ")],
            &[("SCRIPT_NAME", ""), ("PATH_INFO", "/probe/environ")],
            &[("PATH_INFO", "/probe/environ"), ("REQUEST_URI", "/x")],
            &[("DOCUMENT_URI", "/probe/environ"), ("REQUEST_URI", "/x")],
            &[("REQUEST_URI", "/probe/%65nviron?a=%20")],
            &[("REQUEST_URI", "http://h.example/probe/environ?a=://b")],
        ] {
            assert_eq!(path(pairs, Mode::Scgi), ("/probe/environ".into(), 0), "{pairs:?}");
        }
    }

    #[test]
    fn starts_at_the_program() {
        let pairs = [("SCRIPT_NAME", "/cgi-bin/gateway"), ("PATH_INFO", "/probe")];
        assert_eq!(path(&pairs, Mode::Cgi), ("/cgi-bin/gateway/probe".into(), 16));
        assert_eq!(path(&pairs[..1], Mode::Cgi), ("/cgi-bin/gateway".into(), 16));
        assert_eq!(path(&pairs, Mode::FastCgi).1, 0);
        let own = std::env::current_exe().unwrap();
        let own = [("SCRIPT_NAME", "/x"), ("SCRIPT_FILENAME", own.to_str().unwrap())];
        assert_eq!(path(&own, Mode::FastCgi).1, 2);
    }

    /// A web server may send the client's URL as SCRIPT_NAME, as nginx does.
    #[test]
    fn the_clients_url_is_not_the_program() {
        let own = std::env::current_exe().unwrap();
        let name = own.file_name().unwrap().to_str().unwrap();
        let url = format!("/public/{name}");
        for mode in [Mode::FastCgi, Mode::Scgi, Mode::Uwsgi, Mode::Http] {
            for pairs in [
                &[("SCRIPT_NAME", &*url)][..],
                &[("SCRIPT_NAME", &url), ("SCRIPT_FILENAME", &format!("/var/www{url}"))],
                &[("SCRIPT_NAME", &url), ("SCRIPT_FILENAME", name)],
                &[("SCRIPT_NAME", &url), ("SCRIPT_FILENAME", "")],
            ] {
                assert_eq!(path(pairs, mode), (url.clone(), 0), "{mode:?} {pairs:?}");
            }
        }
    }

    #[test]
    fn whole_paths_are_taken_where_the_place_is_named() {
        let facts = ProcessInfo::new(1, false, false).with_whole_paths();
        let mut params = Params::new();
        params.push(b"SCRIPT_NAME", b"/cgi-bin/gateway");
        let own = std::env::current_exe().unwrap();
        params.push(b"SCRIPT_FILENAME", own.as_os_str().as_encoded_bytes());
        for mode in [Mode::Cgi, Mode::FastCgi] {
            assert_eq!(of(&params, &facts, mode).1, 0, "{mode:?}");
        }
    }

    #[test]
    fn decodes_what_is_encoded() {
        assert_eq!(percent_decode(b"/a%2Fb%zz%4%00%e9"), b"/a/b%zz%4%00\xe9");
    }
}
