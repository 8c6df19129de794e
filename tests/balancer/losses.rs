//! A host that is lost, by its processes or by its network, and comes back, under load.

use crate::balancers::Balancer;
use crate::load::{Fate, Load, Target};
use crate::member::Member;
use crate::network::Network;
use crate::targets::{ALL, CLIENTS, HELLO, SMALL, STREAM, WAIT};

/// The failure of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Killed,
    Unplugged,
}

fn lose_and_recover(
    balancer: &Balancer,
    [lost, _other]: &mut [Member; 2],
    targets: &'static [Target],
    losses: &[Loss],
) {
    for name in ['a', 'b'] {
        balancer.wait_back(name);
    }
    let name = lost.host.name;
    let tally = Load::run(balancer.front(), targets, CLIENTS, |load| {
        load.wait_for_answers(100);
        for loss in losses {
            match loss {
                Loss::Killed => lost.kill(),
                Loss::Unplugged => lost.host.unplug(),
            }
            balancer.wait_out(name);
            load.wait_for_answers(100);
            match loss {
                Loss::Killed => lost.revive(),
                Loss::Unplugged => lost.host.plug(),
            }
            balancer.wait_back(name);
            load.wait_for_answers(100);
        }
    });
    println!("{losses:?}:\n{tally}");
    let state = || format!("{tally}\n{}", balancer.state());
    for fate in [Fate::Wrong, Fate::Hung, Fate::Refused] {
        assert_eq!(tally.count(fate), 0, "{fate:?}\n{}", state());
    }
    // Every repeatable request was answered.
    for path in [HELLO, WAIT] {
        for fate in [Fate::Failed, Fate::Cut] {
            assert_eq!(tally.count_of(path, fate), 0, "{fate:?} {path}\n{}", state());
        }
        assert!(tally.answered(path) > 0, "{}", state());
    }
    // The other requests were at the failed host: one request of each client.
    let broken = [Fate::Failed, Fate::Cut].map(|fate| tally.count(fate)).iter().sum::<u64>();
    assert!(broken <= (CLIENTS * losses.len()) as u64, "{}", state());
    assert_eq!(tally.count_of(STREAM, Fate::Failed), 0, "{}", state());
}

/// A host that is taken out of service and put back loses no request of any kind.
#[test]
fn planned() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "fastcgi", 9000);
    let balancer = Balancer::httpd(&network, "httpd, FastCGI", "proxy_fcgi", |conf| conf);
    for name in ['a', 'b'] {
        balancer.wait_back(name);
    }
    let tally = Load::run(balancer.front(), ALL, CLIENTS, |load| {
        load.wait_for_answers(100);
        balancer.drain('a', true);
        // Each client has an answer that it asked for later.
        load.wait_for_answers(10 * CLIENTS as u64);
        members[0].stop();
        load.wait_for_answers(100);
        members[0].revive();
        balancer.drain('a', false);
        balancer.wait_back('a');
        load.wait_for_answers(100);
    });
    println!("planned:\n{tally}");
    for fate in [Fate::Wrong, Fate::Hung, Fate::Refused, Fate::Failed, Fate::Cut] {
        assert_eq!(tally.count(fate), 0, "{fate:?}\n{tally}\n{}", balancer.state());
    }
}

#[test]
fn httpd_over_fastcgi() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "fastcgi", 9000);
    let balancer = Balancer::httpd(&network, "httpd, FastCGI", "proxy_fcgi", |conf| conf);
    lose_and_recover(&balancer, &mut members, ALL, &[Loss::Killed, Loss::Unplugged]);
}

#[test]
fn httpd_over_http() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "http", 8080);
    let balancer = Balancer::httpd(&network, "httpd, HTTP", "proxy_http", |conf| conf);
    lose_and_recover(&balancer, &mut members, ALL, &[Loss::Killed, Loss::Unplugged]);
}

#[test]
fn httpd_over_scgi() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "scgi", 9000);
    let balancer = Balancer::httpd(&network, "httpd, SCGI and uwsgi", "proxy_scgi", |conf| conf);
    lose_and_recover(&balancer, &mut members, SMALL, &[Loss::Killed]);
}

#[test]
fn httpd_over_uwsgi() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "uwsgi", 9000);
    let with_uwsgi = |conf: String| conf.replace("scgi://", "uwsgi://");
    let balancer = Balancer::httpd(&network, "httpd, SCGI and uwsgi", "proxy_uwsgi", with_uwsgi);
    lose_and_recover(&balancer, &mut members, SMALL, &[Loss::Unplugged]);
}

#[test]
fn nginx_over_fastcgi() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "fastcgi", 9000);
    let balancer = Balancer::nginx(&network, "nginx, FastCGI");
    lose_and_recover(&balancer, &mut members, ALL, &[Loss::Killed, Loss::Unplugged]);
}

#[test]
fn nginx_over_http() {
    let Some(network) = Network::new() else { return };
    let mut members = Member::pair(&network, "http", 8080);
    let balancer = Balancer::nginx(&network, "nginx, HTTP");
    lose_and_recover(&balancer, &mut members, ALL, &[Loss::Killed, Loss::Unplugged]);
}
