//! Tests the environ against CGI's, as httpd makes it.
//!
//! The same requests go to the probe and to a CGI program under mod_cgid, at the same path of two
//! equal virtual hosts. [`differences`] lists the allowed differences with their reasons. The
//! environ of a daemon process is compared with that of an httpd child in the same way; [`modes`]
//! lists their differences.

mod ask;
mod differences;
mod hosts;
mod modes;
mod pairs;
mod paths;
mod requests;

use ask::{Request, ask, over_tls};
use hosts::{Other, Site, start};
use pairs::Pairs;

/// Runs `requests` against both, and fails with every difference. It returns how many environs were
/// compared: requests that both refuse alike have none.
fn compare(requests: &[Request], mut both: impl FnMut(&Request) -> [ask::Answer; 2]) -> usize {
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for request in requests {
        let [rust, cgi] = both(request);
        let found = match (&rust.environ, &cgi.environ) {
            (Some(rust), Some(cgi)) => {
                compared += 1;
                differences::between(request.site, rust, cgi)
            }
            // The probe has other paths too, and says so. Slashes that are not merged make others.
            (None, Some(cgi))
                if rust.status == 404
                    && (request.site == Site::Unmerged || !is_below_environ(cgi)) =>
            {
                Vec::new()
            }
            _ if rust.status == cgi.status && rust.status != 200 => Vec::new(),
            _ => vec![format!("the probe answers {rust:?}\nand CGI {cgi:?}")],
        };
        if !found.is_empty() {
            wrong.push(format!("{request:?}\n    {}", found.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "{} requests differ:\n{}", wrong.len(), wrong.join("\n"));
    compared
}

fn is_below_environ(environ: &Pairs) -> bool {
    let path_info = environ.get(&b"PATH_INFO"[..]).map_or(&b""[..], Vec::as_slice);
    path_info.strip_prefix(b"/environ").is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

#[test]
fn is_that_of_cgi() {
    let server = start(Other::Cgi);
    let requests = requests::all();
    let compared = compare(&requests, |request| ask(&server, Other::Cgi, request));
    assert!(compared >= 200, "only {compared} of {} requests were answered", requests.len());
}

#[test]
fn is_that_of_cgi_over_tls_and_http_2() {
    let server = start(Other::Cgi);
    let requests = requests::over_tls();
    for version in ["--http1.1", "--http2"] {
        let both = |request: &Request| over_tls(&server, Other::Cgi, version, request);
        let compared = compare(&requests, both);
        assert_eq!(compared, requests.len());
    }
}

/// Sites that no request goes to prove nothing.
#[test]
fn every_site_gets_requests() {
    let requests = requests::all();
    for site in Site::ALL {
        assert!(requests.iter().any(|request| request.site == *site), "{site:?}");
    }
}
