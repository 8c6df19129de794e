//! The environ through every server against that of embedded mode: the requests of tests/environ go to
//! both, and what may differ is a row of [`differences`](crate::differences), with its reason.
//!
//! An httpd has both in one server, with every site of tests/environ; the others are asked what goes to
//! the plain site.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use httpd_testkit::{Mpm, Server};

use crate::ask::{Answer, Request, ask, put};
use crate::differences::{Differences, of};
use crate::hosts::{Other, Site, start, start_with};
use crate::target::Target;
use crate::way::{Httpd, Plan, Planned, make_old};
use crate::{requests, ways};

/// The mount point of the probe in both.
const MOUNT: &str = "/app";

/// Runs the requests against both.
fn run(name: &str, plan: Plan) {
    let mut judge = Judge::new(name);
    match plan.server {
        Planned::Httpd(httpd) => {
            // Kept until the end: it is what answers.
            let _program = plan.program;
            let (server, other) = both(&httpd);
            if httpd.script.is_some() {
                make_old(server.root());
            }
            for request in requests::all() {
                judge.compare(&request, ask(&server, other, &request));
            }
        }
        server => {
            let embedded = start(Other::Daemon);
            let way = Plan { server, ..plan }.start();
            let plain = |request: &Request| request.site == Site::Plain && !request.is_ipv6;
            for request in requests::all().into_iter().filter(plain) {
                let there = put(way.addr(), way.patience(), false, &request);
                let here = embedded_answer(&embedded, &request);
                judge.compare(&request, [here, there]);
            }
        }
    }
    judge.conclude();
}

fn embedded_answer(server: &Server, request: &Request) -> Answer {
    put(server.addr(), server.patience(), false, request)
}

/// Starts an httpd with the embedded probe at one address, and the gateway at the other.
fn both(httpd: &Httpd) -> (Server, Other) {
    // A program's configuration lives as long as its test.
    let other = Other::Gateway(httpd.mount.clone().leak());
    let server = start_with(other, &httpd.modules, |builder| {
        let builder = builder.mpm(httpd.mpm).http2(httpd.mpm != Mpm::Prefork);
        httpd.add_script(builder).conf(httpd.main)
    });
    (server, other)
}

/// Collects what is not allowed, and how often each row was needed.
struct Judge {
    name: String,
    rows: Differences,
    compared: usize,
    /// By what is wrong: how often, and one of the requests.
    wrong: BTreeMap<String, (usize, String)>,
}

impl Judge {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), rows: of(name), compared: 0, wrong: BTreeMap::new() }
    }

    fn compare(&mut self, request: &Request, [here, there]: [Answer; 2]) {
        let found = match (&here.environ, &there.environ) {
            (Some(here), Some(there)) => {
                self.compared += 1;
                self.rows.between(here, there)
            }
            _ if self.rows.excuses(request, &here, &there) => Vec::new(),
            // Both refuse it, each with a page of its own.
            (None, None) if here.status == there.status && here.status != 200 => Vec::new(),
            _ => vec![format!("embedded is answered {here:?}\nand there {there:?}")],
        };
        for what in found {
            let entry = self.wrong.entry(what).or_insert((0, format!("{request:?}")));
            entry.0 += 1;
        }
    }

    fn conclude(self) {
        let mut text = String::new();
        for (what, (count, request)) in &self.wrong {
            let _ = writeln!(text, "--- {count} times, as for {request}\n    {what}");
        }
        for row in self.rows.unused() {
            let _ = writeln!(text, "--- no request needs the row {row}");
        }
        assert!(text.is_empty(), "{}: of {} environs:\n{text}", self.name, self.compared);
        assert!(self.compared >= 100, "only {} environs were compared", self.compared);
    }
}

macro_rules! ways {
    ($($name:ident)+) => {$(
        #[test]
        fn $name() {
            run(stringify!($name), ways::$name(MOUNT));
        }
    )+};
}

ways! {
    nginx_fastcgi nginx_unbuffered nginx_fastcgi_kept nginx_scgi nginx_uwsgi nginx_http spawn_fcgi
    lighttpd_fastcgi lighttpd_spawns lighttpd_scgi lighttpd_uwsgi lighttpd_cgi
    proxy_fcgi proxy_fcgi_socket proxy_scgi proxy_uwsgi proxy_http
    fcgid cgid cgi_prefork cgi_fcgi
    http
}
