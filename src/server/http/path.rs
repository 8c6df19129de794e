//! The path of a request target, decoded and cleaned up as httpd does before anything looks at it.

use std::fmt;

use crate::gateway::percent;

/// Why a target cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathRefusal {
    /// A `%` without two hexadecimal digits, or steps above the root: 400.
    Malformed,
    /// An encoded slash or NUL, which no path on a server has: 404 (httpd's AllowEncodedSlashes
    /// Off).
    NotThere,
}

impl fmt::Display for PathRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "its path cannot be decoded, or leads above the root",
            Self::NotThere => "its path has an encoded slash or NUL",
        })
    }
}

/// Decodes `path`, merges slashes in a row and resolves `.` and `..`: what `ap_normalize_path` and
/// `ap_unescape_url` make of it (httpd's server/request.c and server/util.c).
pub(super) fn normalize(path: &[u8]) -> Result<Vec<u8>, PathRefusal> {
    let mut clean = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [first, tail @ ..] = rest {
        let (byte, after) = match (first, tail) {
            (b'%', [high, low, after @ ..]) => {
                let byte = percent::escape([b'%', *high, *low]).ok_or(PathRefusal::Malformed)?;
                if matches!(byte, b'/' | 0) {
                    return Err(PathRefusal::NotThere);
                }
                (byte, after)
            }
            (b'%', _) => return Err(PathRefusal::Malformed),
            (&byte, tail) => (byte, tail),
        };
        rest = after;
        if byte == b'/' && clean.last() == Some(&b'/') {
            continue;
        }
        clean.push(byte);
        if byte == b'/' || rest.is_empty() {
            step(&mut clean)?;
        }
    }
    if clean.first() != Some(&b'/') {
        return Err(PathRefusal::Malformed);
    }
    Ok(clean)
}

/// Takes a last segment `.` or `..` away, which ends with a slash or with the path.
fn step(clean: &mut Vec<u8>) -> Result<(), PathRefusal> {
    let end = clean.len() - usize::from(clean.ends_with(b"/"));
    let start = clean[..end].iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    match &clean[start..end] {
        b"." => clean.truncate(start),
        b".." => {
            let parent = start.checked_sub(1).filter(|&at| at > 0).ok_or(PathRefusal::Malformed)?;
            let parent = clean[..parent].iter().rposition(|&byte| byte == b'/');
            clean.truncate(parent.map_or(0, |at| at + 1));
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_and_cleans() {
        for (path, clean) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a%20b", "/a b"),
            ("//a///b/", "/a/b/"),
            ("/a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/..b/.c", "/a/..b/.c"),
            ("/%e4", "/\u{fffd}"),
        ] {
            let normal = normalize(path.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&normal), clean, "{path}");
        }
    }

    #[test]
    fn refuses() {
        for path in ["", "a", "/%", "/%2", "/%zz", "/..", "/a/../..", "/../a", "/%2e%2e/"] {
            assert_eq!(normalize(path.as_bytes()), Err(PathRefusal::Malformed), "{path}");
        }
        for path in ["/a%2Fb", "/a%2fb", "/a%00"] {
            assert_eq!(normalize(path.as_bytes()), Err(PathRefusal::NotThere), "{path}");
        }
    }
}
