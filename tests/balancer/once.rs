//! A request that may have reached an application goes to another host only if that is allowed.

use std::thread::scope;

use httpd_testkit::Response;

use crate::balancers::Balancer;
use crate::member::Member;
use crate::network::Network;

/// Sends a request to host `a`, which has it and does not read it, and kills that host.
fn lose_in_flight(
    balancer: &Balancer,
    [a, _b]: &mut [Member; 2],
    port: u16,
    (method, target): (&str, &str),
) -> Response {
    a.freeze();
    let response = scope(|scope| {
        let asked = scope.spawn(|| balancer.ask(method, target, "ROUTEID=.a"));
        balancer.front().wait_for("the request at the host", &mut || a.host.unread(port) > 0);
        a.kill();
        asked.join().expect("a response")
    });
    a.revive();
    balancer.wait_back('a');
    response
}

/// Returns the number of requests that host `b` has answered with `needle` in their log lines.
fn answered_by_b(balancer: &Balancer, members: &[Member; 2], needle: &str) -> usize {
    // Lines are written after the answers: wait for that of a request that came last.
    let mark = format!("/shop/hello?after={}", needle.len());
    let answer = balancer.ask("GET", &mark, "ROUTEID=.b");
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut log = String::new();
    balancer.front().wait_for("the log of the host", &mut || {
        log = members[1].access_log();
        log.contains(&mark)
    });
    log.lines().filter(|line| line.contains(needle)).count()
}

fn goes_again_if_it_may(balancer: &Balancer, members: &mut [Member; 2], port: u16, error: u16) {
    for member in members.iter() {
        balancer.wait_back(member.host.name);
    }
    for method in ["GET", "HEAD"] {
        let path = format!("/shop/hello?{method}");
        let response = lose_in_flight(balancer, members, port, (method, &path));
        assert_eq!(response.status, 200, "{method}: {response:?}");
        // httpd may have made a GET of it, whose body it drops.
        assert_eq!(answered_by_b(balancer, members, &path), 1, "{method}");
    }
    // The URL arrives as the client sent it.
    let odd = "/shop/environ/x%20y%3Fz%25/&?q=1%202&r=%3F";
    let response = lose_in_flight(balancer, members, port, ("GET", odd));
    let environ = response.text();
    for line in [
        format!("\"REQUEST_URI\": \"{odd}\""),
        "\"PATH_INFO\": \"/environ/x y?z%/&\"".to_owned(),
        "\"QUERY_STRING\": \"q=1%202&r=%3F\"".to_owned(),
    ] {
        assert!(environ.contains(&line), "{line}\n{response:?}");
    }
    let path = "/shop/hello?once";
    let response = lose_in_flight(balancer, members, port, ("POST", path));
    assert_eq!(response.status, error, "{response:?}");
    assert_eq!(answered_by_b(balancer, members, path), 0, "it was sent twice");
}

#[test]
fn httpd_over_fastcgi() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "fastcgi", 9000);
    let balancer = Balancer::httpd(&network, "httpd, FastCGI", "proxy_fcgi", |conf| conf);
    goes_again_if_it_may(&balancer, &mut members, 9000, 503);
    let odd = "/shop/environ/x%20y%3Fz%25/&?q=1%202&r=%3F";
    let [get, post] = ["GET", "POST"].map(|method| balancer.ask(method, odd, "ROUTEID=.a"));
    let path = "\"PATH_INFO\": \"/environ/x y?z%/&\"";
    assert!(get.text().contains(path), "{get:?}");
    assert!(post.text().contains(path), "{post:?}");
}

#[test]
fn httpd_over_http() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "http", 8080);
    let balancer = Balancer::httpd(&network, "httpd, HTTP", "proxy_http", |conf| conf);
    goes_again_if_it_may(&balancer, &mut members, 8080, 502);
}

/// The page needs a second balancer: with one alone httpd sends a POST again, without its body.
#[test]
fn httpd_over_fastcgi_without_the_rule() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "fastcgi", 9000);
    let without_rule = |conf: String| conf.replace("RewriteEngine On", "RewriteEngine Off");
    let balancer = Balancer::httpd(&network, "httpd, FastCGI", "proxy_fcgi", without_rule);
    for member in &members {
        balancer.wait_back(member.host.name);
    }
    // One that does not need the body has then carried the request out, perhaps for the second time.
    for (path, status) in [("/shop/hello?twice", 200), ("/shop/discard?twice", 400)] {
        let response = lose_in_flight(&balancer, &mut members, 9000, ("POST", path));
        assert_eq!(response.status, status, "{response:?}");
        assert_eq!(answered_by_b(&balancer, &members, &format!("\"POST {path} ")), 1);
    }
}
