//! The allowed differences between an environ of the probe and one of CGI, each with its reason.

use crate::hosts::Site;
use crate::pairs::Pairs;

/// Only the probe has these: keys of the gateway's own and of the module's (docs/environ.md).
const OWN: [&str; 2] = ["gateway.", "mod_rust."];

/// Both have these, with values of their own.
const DIFFER: &[(&str, &str)] = &[
    ("SCRIPT_FILENAME", "no file is behind a mount point"),
    ("CONTEXT_PREFIX", "mod_alias notes the prefix of its ScriptAlias; a mount is not one"),
    ("CONTEXT_DOCUMENT_ROOT", "as CONTEXT_PREFIX: the file that the ScriptAlias names"),
    ("SERVER_ADDR", "the two listen at different addresses, so that all else is equal"),
    ("REMOTE_PORT", "each has a connection of its own"),
    ("UNIQUE_ID", "each request has its own"),
    ("REDIRECT_UNIQUE_ID", "as UNIQUE_ID"),
    ("H2_STREAM_TAG", "as REMOTE_PORT"),
    ("SSL_SESSION_ID", "each connection has its own"),
];

/// Returns the name as an environment variable.
///
/// httpd's `ap_create_environment` replaces characters other than letters, digits and `_` by `_`,
/// and a leading digit too. The environ has no such limits.
fn as_variable(name: &[u8]) -> Vec<u8> {
    let mut name = name.to_vec();
    for (at, byte) in name.iter_mut().enumerate() {
        if !(byte.is_ascii_alphanumeric() || *byte == b'_') || (at == 0 && byte.is_ascii_digit()) {
            *byte = b'_';
        }
    }
    name
}

/// Returns the differences that are not allowed.
pub(crate) fn between(site: Site, rust: &Pairs, cgi: &Pairs) -> Vec<String> {
    let mut found = Vec::new();
    let is_own = |name: &[u8]| OWN.iter().any(|own| name.starts_with(own.as_bytes()));
    let mut seen = Pairs::new();
    for (name, value) in rust.iter().filter(|(name, _)| !is_own(name)) {
        let variable = as_variable(name);
        let name = name.escape_ascii();
        match cgi.get(&variable) {
            None => found.push(format!("{name}=\"{}\" has the probe only", value.escape_ascii())),
            Some(other) if other == value || may_differ(&variable) => {}
            Some(other) if site == Site::Unmerged && merged(value) == *other => {}
            Some(_) if variable == b"PATH_TRANSLATED" && translated(rust) == translated(cgi) => {}
            Some(other) => found.push(format!(
                "{name} is \"{}\" to the probe and \"{}\" to CGI",
                value.escape_ascii(),
                other.escape_ascii()
            )),
        }
        seen.insert(variable, Vec::new());
    }
    for (name, value) in cgi.iter().filter(|(name, _)| !seen.contains_key(*name)) {
        let (name, value) = (name.escape_ascii(), value.escape_ascii());
        found.push(format!("{name}=\"{value}\" has CGI only"));
    }
    for own in OWN {
        if !rust.keys().any(|name| name.starts_with(own.as_bytes())) {
            found.push(format!("the probe has no {own}…"));
        }
    }
    found
}

/// Merges slashes in PATH_INFO. With MergeSlashes Off a mount sees them, but httpd's directory walk
/// to a script merges them.
fn merged(path: &[u8]) -> Vec<u8> {
    let mut path = path.to_vec();
    path.dedup_by(|next, previous| *next == b'/' && *previous == b'/');
    path
}

/// Returns the part of PATH_TRANSLATED after SCRIPT_FILENAME. With FallbackResource, PATH_INFO as a
/// path leads to the application itself.
fn translated(pairs: &Pairs) -> Option<&[u8]> {
    let file = pairs.get(&b"SCRIPT_FILENAME"[..])?;
    pairs.get(&b"PATH_TRANSLATED"[..])?.strip_prefix(file.as_slice())
}

fn may_differ(name: &[u8]) -> bool {
    DIFFER.iter().any(|(allowed, _)| allowed.as_bytes() == name)
}

#[test]
fn finds_what_differs() {
    let pairs = |text: &str| -> Pairs {
        let pairs = text.split(' ').map(|pair| pair.split_once('=').expect("a pair"));
        pairs.map(|(name, value)| (name.into(), value.into())).collect()
    };
    let rust = pairs("gateway.a=1 mod_rust.b=1 A=1 b.c=2 REMOTE_PORT=5");
    let between = |rust: &Pairs, cgi: &Pairs| between(Site::Plain, rust, cgi);
    assert!(between(&rust, &pairs("A=1 b_c=2 REMOTE_PORT=6")).is_empty());
    assert_eq!(between(&rust, &pairs("A=2 b_c=2 D=4")).len(), 3);
    assert_eq!(between(&pairs("A=1"), &pairs("A=1")).len(), 2);
}
