//! Visitors stay at their hosts, as long as there are these.

use crate::balancers::Balancer;
use crate::member::Member;
use crate::network::Network;

/// Returns the cookie that a response sets, as a client sends it back.
fn cookie(response: &httpd_testkit::Response) -> Option<&str> {
    response.header("set-cookie").and_then(|value| value.split(';').next())
}

fn stay_until_it_is_lost(balancer: &Balancer, members: &mut [Member; 2]) {
    for member in members.iter() {
        balancer.wait_back(member.host.name);
    }
    // New visitors get routes to the hosts alternately, and keep them.
    for name in ['a', 'b'] {
        let mut given = String::new();
        balancer.front().wait_for("a visitor of each host", &mut || {
            let response = balancer.ask("GET", "/shop/hello", "");
            given = cookie(&response).expect("a new visitor gets a cookie").to_owned();
            given == format!("ROUTEID=.{name}")
        });
        for _ in 0..4 {
            assert_eq!(balancer.host(&given), name);
        }
        let again = balancer.ask("GET", "/shop/hello", &given);
        assert_eq!(cookie(&again), None, "{again:?}");
    }
    // One that has none that is known is a new visitor.
    for unknown in ["ROUTEID=.z", "ROUTEID=", "OTHER=.a"] {
        assert!(cookie(&balancer.ask("GET", "/shop/hello", unknown)).is_some(), "{unknown}");
    }
    // A visitor whose host has gone gets another one, permanently.
    members[0].kill();
    let moved = balancer.ask("GET", "/shop/hello", "ROUTEID=.a");
    assert_eq!((moved.status, cookie(&moved)), (200, Some("ROUTEID=.b")), "{moved:?}");
    members[0].revive();
    balancer.wait_back('a');
    assert_eq!(balancer.host("ROUTEID=.b"), 'b');
}

#[test]
fn httpd_over_fastcgi() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "fastcgi", 9000);
    let balancer = Balancer::httpd(&network, "httpd, FastCGI", "proxy_fcgi", |conf| conf);
    stay_until_it_is_lost(&balancer, &mut members);
    // Only what stands after the dot of an application's own cookie counts.
    for name in ['a', 'b', 'b', 'a'] {
        assert_eq!(
            balancer.host(&format!("ROUTEID=1f3870be274f6c49b3e31a0c6728957f.{name}")),
            name
        );
    }
}

#[test]
fn httpd_over_http() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "http", 8080);
    let balancer = Balancer::httpd(&network, "httpd, HTTP", "proxy_http", |conf| conf);
    stay_until_it_is_lost(&balancer, &mut members);
}

#[test]
fn nginx_over_fastcgi() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "fastcgi", 9000);
    let balancer = Balancer::nginx(&network, "nginx, FastCGI");
    stay_until_it_is_lost(&balancer, &mut members);
}

#[test]
fn nginx_over_http() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "http", 8080);
    let balancer = Balancer::nginx(&network, "nginx, HTTP");
    stay_until_it_is_lost(&balancer, &mut members);
}
