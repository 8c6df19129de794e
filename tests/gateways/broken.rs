//! Responses without a length that break off, over protocols which mark no end: they do not look
//! whole, over TCP and over a Unix socket, whether the application breaks or its process is killed.

use httpd_testkit::{Connection, Response, Signal, proc};

use crate::target::Target;
use crate::way::{self, Plan, Planned, Way};
use crate::ways;

/// The number of repetitions: some steps happen at the same moment as others.
const TIMES: usize = 3;

fn ask(way: &Way, target: &str) -> Connection {
    let mut connection = Connection::open(way.addr(), way.patience());
    connection.write(format!("GET {}{target} HTTP/1.1\r\nHost: x\r\n\r\n", way.mount()));
    connection
}

/// Returns whether a client can take the response as complete.
fn looks_whole(response: &Response) -> bool {
    response.status == 200 && !response.end.is_truncated()
}

/// Panics in the application during its response.
fn panics(way: &Way, times: usize) {
    for after in [1000, 70_000, 300_000].repeat(times) {
        let mut connection = ask(way, &format!("/panic-late?after={after}"));
        if let Ok(response) = connection.try_read_response("GET") {
            assert!(!looks_whole(&response), "after {after} bytes: {:?}", response.end);
        }
    }
}

/// Its process is killed while it goes on, with a pause of so many milliseconds behind each piece.
fn is_killed(way: &Way, times: usize, pause: u32) {
    let program = way.program.as_ref().expect("a program of our own");
    for _ in 0..times {
        let mut connection = ask(way, &format!("/stream?chunks=inf&size=1000&ms={pause}"));
        program.wait_for("the answer", || !connection.is_idle());
        let workers = proc::children(program.pid()).expect("its workers");
        assert!(!workers.is_empty());
        workers.iter().for_each(|pid| program.signal(*pid, Signal::KILL));
        if let Ok(response) = connection.try_read_response("GET") {
            assert!(!looks_whole(&response), "{:?}", response.end);
        }
    }
}

fn both(plan: Plan, times: usize) {
    let way = plan.start();
    panics(&way, times);
    is_killed(&way, times, 1);
}

/// Shortens the keep-alive time, because httpd's modules keep the connection of a broken response
/// open.
fn quick(mut plan: Plan) -> Plan {
    if let Planned::Httpd(httpd) = &mut plan.server {
        httpd.main = "KeepAliveTimeout 1";
    }
    plan
}

#[test]
fn nginx_scgi() {
    both(ways::nginx_scgi(way::MOUNT), TIMES);
}

#[test]
fn nginx_scgi_socket() {
    both(ways::nginx_socket(way::MOUNT, "SCGI", "scgi"), TIMES);
}

#[test]
fn nginx_uwsgi() {
    both(ways::nginx_uwsgi(way::MOUNT), TIMES);
}

#[test]
fn nginx_uwsgi_socket() {
    both(ways::nginx_socket(way::MOUNT, "uwsgi", "uwsgi"), TIMES);
}

/// Of a process that is killed nginx without `fastcgi_buffering` takes what came for the whole
/// (docs/servers/nginx.md).
#[test]
fn nginx_fastcgi() {
    panics(&ways::nginx_fastcgi(way::MOUNT).start(), TIMES);
}

#[test]
fn nginx_fastcgi_socket() {
    panics(&ways::nginx_fastcgi_socket(way::MOUNT).start(), TIMES);
}

#[test]
fn proxy_scgi() {
    both(quick(ways::proxy_scgi(way::MOUNT)), TIMES);
}

#[test]
fn proxy_fcgi() {
    both(quick(ways::proxy_fcgi(way::MOUNT)), TIMES);
}

/// mod_proxy_uwsgi takes an end that follows its data at once as the response's end, which is a row
/// of the table. So the pieces are far apart here.
#[test]
fn proxy_uwsgi() {
    is_killed(&quick(ways::proxy_uwsgi(way::MOUNT)).start(), TIMES, 300);
}
