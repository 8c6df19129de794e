//! `cargo httpd bench --gateways`: the gateway programs of mod_rust behind nginx and httpd, beside
//! those of other crates, PHP-FPM and uWSGI. What counts is the CPU time of the application's
//! processes.

use crate::endpoint::Endpoint::{self, Hello, Stream};
use crate::peer::{Backend, Peer};
use crate::report;
use crate::results::{Bar, Results, Row};
use crate::table::Table;

/// mod_rust over FastCGI behind nginx, and behind httpd.
const OURS: [&str; 2] = ["nginx-fastcgi", "httpd-fastcgi"];

const BOTH: &[Endpoint] = &[Hello, Stream];

/// Returns a gateway: what stands in front is in the configuration's folder, and in the name.
const fn gateway(
    name: &'static str,
    title: &'static str,
    conf: &'static str,
    backend: Backend,
) -> Peer {
    Peer {
        name,
        title,
        modules: &[],
        own: None,
        backend: Some(backend),
        conf,
        endpoints: BOTH,
        package: "apache2",
        callgrind: true,
        smoke: true,
        outside: true,
        warm_up_s: 1,
    }
}

/// Returns the same behind httpd's mod_proxy_fcgi.
const fn proxied(name: &'static str, title: &'static str, backend: Backend) -> Peer {
    Peer {
        modules: &["proxy", "proxy_fcgi", "env"],
        ..gateway(name, title, "benches/conf/proxy-fcgi.conf", backend)
    }
}

const FASTCGI: &str = "benches/conf/nginx/fastcgi.conf";

/// Every one of them, in the order of the tables.
pub(crate) const GATEWAYS: &[Peer] = &[
    gateway(OURS[0], "nginx, FastCGI to mod_rust", FASTCGI, Backend::GatewayFastCgi),
    gateway("nginx-outer_cgi", "nginx, FastCGI to outer_cgi", FASTCGI, Backend::OuterCgi),
    gateway("nginx-tokio-fastcgi", "nginx, FastCGI to tokio-fastcgi", FASTCGI, Backend::FcgiUnix),
    gateway("nginx-fastcgi-crate", "nginx, FastCGI to fastcgi", FASTCGI, Backend::FastCgiCrate),
    gateway("nginx-php-fpm", "nginx, FastCGI to PHP-FPM", FASTCGI, Backend::PhpFpm),
    gateway(
        "nginx-uwsgi",
        "nginx, uwsgi to mod_rust",
        "benches/conf/nginx/uwsgi.conf",
        Backend::GatewayUwsgi,
    ),
    gateway(
        "nginx-uWSGI",
        "nginx, uwsgi to uWSGI (Python)",
        "benches/conf/nginx/uwsgi.conf",
        Backend::UwsgiUnix,
    ),
    gateway(
        "nginx-scgi",
        "nginx, SCGI to mod_rust",
        "benches/conf/nginx/scgi.conf",
        Backend::GatewayScgi,
    ),
    gateway(
        "nginx-http",
        "nginx, HTTP to mod_rust",
        "benches/conf/nginx/http.conf",
        Backend::GatewayHttp,
    ),
    proxied(OURS[1], "httpd, FastCGI to mod_rust", Backend::GatewayFastCgi),
    proxied("httpd-outer_cgi", "httpd, FastCGI to outer_cgi", Backend::OuterCgi),
    proxied("httpd-tokio-fastcgi", "httpd, FastCGI to tokio-fastcgi", Backend::FcgiUnix),
];

/// mod_rust's FastCGI behind the same server as `peer`, if that is one of these.
pub(crate) fn ours_behind_the_same(peer: &str) -> Option<&'static str> {
    let known = GATEWAYS.iter().any(|gateway| gateway.name == peer);
    OURS.into_iter().find(|ours| known && ours.split('-').next() == peer.split('-').next())
}

/// Returns the bars: no more than the best of the crates, for a hello no more than PHP-FPM and
/// uWSGI.
pub(crate) fn bars(rows: &[Row]) -> Vec<Bar> {
    let crates = [Backend::OuterCgi, Backend::FcgiUnix, Backend::FastCgiCrate];
    let others = [Backend::PhpFpm, Backend::UwsgiUnix];
    let mut bars = Vec::new();
    for (endpoint, ours) in BOTH.iter().flat_map(|endpoint| OURS.map(|ours| (*endpoint, ours))) {
        bars.push(bar(rows, endpoint, ours, &crates, "the best crate"));
    }
    bars.push(bar(rows, Hello, OURS[0], &others, "the better of PHP-FPM and uWSGI"));
    bars
}

fn bar(rows: &[Row], endpoint: Endpoint, ours: &str, rivals: &[Backend], of: &str) -> Bar {
    let is_rival = |row: &&Row| {
        let gateway = GATEWAYS.iter().find(|gateway| gateway.name == row.peer);
        let backend = gateway.and_then(|gateway| gateway.backend);
        backend.is_some_and(|backend| rivals.contains(&backend))
            && ours_behind_the_same(row.peer) == Some(ours)
    };
    let best = rows
        .iter()
        .filter(|row| row.endpoint == endpoint)
        .filter(is_rival)
        .filter_map(|row| Some((row.peer, row.behind_to_ours?.median)))
        .min_by(|one, other| one.1.total_cmp(&other.1));
    let name = best.map_or("nobody was measured", |(name, _)| name);
    let what = format!(
        "{ours} {}: CPU a request of the application over that of {of} ({name})",
        endpoint.name()
    );
    let value = best.map(|(_, ratio)| 1.0 / ratio);
    Bar::at_most(what, 1.0, value)
}

/// Returns the report of these.
pub(crate) fn report(results: &Results) -> String {
    let mut text = report::head(results);
    for endpoint in BOTH {
        let rows: Vec<_> = results.rows.iter().filter(|row| row.endpoint == *endpoint).collect();
        if rows.is_empty() {
            continue;
        }
        text.push_str(&report::heading(*endpoint));
        let mut table = Table::new(&[
            "peer",
            "application us/req",
            "over mod_rust's FastCGI",
            "switches/req",
            "with the server us/req",
            "req/s",
            "p50 ms",
            "p99 ms",
            "errors",
        ]);
        for row in rows {
            table.row(vec![
                report::title(results, row.peer),
                report::number(row.behind_us, 1),
                report::ratio(row.behind_to_ours),
                report::number(row.behind_switches, 2),
                report::number(row.cpu_us, 1),
                report::number(Some(row.rps), 0),
                report::number(Some(row.p50_us / 1000.0), 2),
                report::number(Some(row.p99_us / 1000.0), 2),
                row.errors.to_string(),
            ]);
        }
        text.push_str(&table.render());
    }
    text.push_str(&report::counts(results));
    text.push_str("\n### Bars\n\n");
    text.push_str(&report::bar_lines(&results.bars));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Ratio;

    #[test]
    fn each_has_its_configuration_and_a_name_of_its_own() {
        let checkout = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        for (index, gateway) in GATEWAYS.iter().enumerate() {
            assert!(checkout.join(gateway.conf).is_file(), "{}", gateway.conf);
            assert!(GATEWAYS[..index].iter().all(|other| other.name != gateway.name));
            assert!(ours_behind_the_same(gateway.name).is_some(), "{}", gateway.name);
            assert_eq!(gateway.is_behind_nginx(), gateway.name.starts_with("nginx-"));
        }
        assert_eq!(ours_behind_the_same("httpd-outer_cgi"), Some("httpd-fastcgi"));
        assert_eq!(ours_behind_the_same("mod_rust"), None);
    }

    #[test]
    fn ours_is_held_against_the_best_behind_the_same_server() {
        let row = |peer, ratio: f64| Row {
            behind_to_ours: Some(Ratio { median: ratio, min: ratio, max: ratio }),
            ..Row::blank(Hello, peer)
        };
        let rows = [
            row("nginx-fastcgi", 1.0),
            row("nginx-outer_cgi", 1.25),
            row("nginx-tokio-fastcgi", 2.0),
            row("nginx-php-fpm", 0.5),
            row("httpd-outer_cgi", 0.1),
        ];
        let bars = bars(&rows);
        assert_eq!((bars[0].value, bars[0].holds), (Some(0.8), Some(true)));
        assert!(bars[0].what.ends_with("(nginx-outer_cgi)"), "{}", bars[0].what);
        assert_eq!((bars[1].value, bars[1].holds), (Some(10.0), Some(false)));
        assert_eq!(bars[2].holds, None, "the stream was not measured");
        assert_eq!(bars.last().and_then(|bar| bar.value), Some(2.0));
    }
}
