//! CGI/1.1 (RFC 3875): one request from the process environment and the standard input, its
//! response on the standard output.
//!
//! `server::serve` calls [`run()`] on the process's main thread when a web server has started the
//! program as a CGI program. A program whose name begins with `nph-` writes the whole HTTP
//! response, its status line first (RFC 3875, 5).

mod input;
mod output;

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;

use self::input::Stdin;
use self::output::Stdout;
use crate::protocol::params::Params;
use crate::server::site::{self, Mode, ResponseEnd, Site};

/// Serves the one request that the process was started for; whether its response is whole.
///
/// `end` can be read from when the process is to end (SIGTERM): the request is given up then.
///
/// # Errors
///
/// Returns an error if the standard input and output are not there, or no descriptor is left.
pub(crate) fn run(site: &Site, end: impl AsFd) -> io::Result<bool> {
    let end = end.as_fd();
    let params = params(std::env::vars_os());
    let is_nph = std::env::args_os().next().is_some_and(|name| is_nph(Path::new(&name)));
    let body = (site.timeouts.body, Rc::default());
    let output = Stdout::new(is_nph.then(|| protocol(&params)), body.clone(), end)?;
    let mut input = Stdin::new(&params, body, end)?;
    let ending = site::serve(site, Mode::Cgi, &params, &output, &mut input);
    // A broken response must not be made whole by bytes that were put off.
    let is_whole = ending == ResponseEnd::Whole && output.end().is_ok();
    input.discard();
    Ok(is_whole)
}

/// The process environment as a request's variables.
fn params(environment: impl Iterator<Item = (OsString, OsString)>) -> Params {
    let mut params = Params::new();
    for (key, value) in environment {
        params.push(key.as_bytes(), value.as_bytes());
    }
    params
}

fn is_nph(program: &Path) -> bool {
    program.file_name().is_some_and(|name| name.as_bytes().starts_with(b"nph-"))
}

/// The protocol in the status line of an NPH response. HTTP/2 has no status line, so that the
/// server makes one of this.
fn protocol(params: &Params) -> Vec<u8> {
    match params.get(b"SERVER_PROTOCOL") {
        Some(b"HTTP/1.0") => b"HTTP/1.0".to_vec(),
        _ => b"HTTP/1.1".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell() {
        assert!(is_nph(Path::new("/usr/lib/cgi-bin/nph-shop")));
        assert!(!is_nph(Path::new("/usr/lib/nph-bin/shop")));
        let environment = [("A", "1"), ("SERVER_PROTOCOL", "HTTP/2.0")];
        let params = params(environment.map(|(key, value)| (key.into(), value.into())).into_iter());
        assert_eq!(params.get(b"A"), Some(&b"1"[..]));
        assert_eq!(protocol(&params), b"HTTP/1.1");
    }
}
