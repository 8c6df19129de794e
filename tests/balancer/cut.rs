//! An answer whose host is killed while it is on its way looks broken off.

use httpd_testkit::BodyEnd;

use crate::balancers::Balancer;
use crate::member::Member;
use crate::network::Network;

/// Without a length: where the protocol marks the end of an answer.
const ENDLESS: &str = "/shop/stream?chunks=inf&size=1000&ms=1";
/// With one.
const LONG: &str = "/shop/bytes/1000000000";

/// Returns the end of a response whose host is killed.
fn end(balancer: &Balancer, [a, _b]: &mut [Member; 2], path: &str) -> BodyEnd {
    balancer.wait_back('a');
    let mut connection = balancer.connect();
    connection.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\nCookie: ROUTEID=.a\r\n\r\n"));
    balancer.front().wait_for("the answer", &mut || !connection.is_idle());
    a.kill();
    let response = connection.read_response();
    assert_eq!(response.status, 200, "{response:?}");
    a.revive();
    response.end
}

fn shows(balancer: &Balancer, members: &mut [Member; 2], paths: &[&str]) {
    for path in paths {
        let end = end(balancer, members, path);
        assert!(end.is_truncated(), "{path}: {end:?}");
    }
}

#[test]
fn httpd_over_fastcgi() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "fastcgi", 9000);
    let balancer = Balancer::httpd(&network, "httpd, FastCGI", "proxy_fcgi", |conf| conf);
    shows(&balancer, &mut members, &[ENDLESS, LONG]);
}

#[test]
fn httpd_over_http() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "http", 8080);
    let balancer = Balancer::httpd(&network, "httpd, HTTP", "proxy_http", |conf| conf);
    shows(&balancer, &mut members, &[ENDLESS, LONG]);
}

#[test]
fn httpd_over_scgi() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "scgi", 9000);
    let balancer = Balancer::httpd(&network, "httpd, SCGI and uwsgi", "proxy_scgi", |conf| conf);
    shows(&balancer, &mut members, &[ENDLESS, LONG]);
}

#[test]
fn httpd_over_uwsgi() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "uwsgi", 9000);
    let with_uwsgi = |conf: String| conf.replace("scgi://", "uwsgi://");
    let balancer = Balancer::httpd(&network, "httpd, SCGI and uwsgi", "proxy_uwsgi", with_uwsgi);
    shows(&balancer, &mut members, &[ENDLESS, LONG]);
}

#[test]
fn nginx_over_fastcgi() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "fastcgi", 9000);
    let balancer = Balancer::nginx(&network, "nginx, FastCGI");
    shows(&balancer, &mut members, &[ENDLESS, LONG]);
}

#[test]
fn nginx_over_http() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "http", 8080);
    let balancer = Balancer::nginx(&network, "nginx, HTTP");
    shows(&balancer, &mut members, &[ENDLESS, LONG]);
}
