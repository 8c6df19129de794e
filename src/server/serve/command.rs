//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::address::Address;
use super::applications;
use super::config::{LogTarget, PROTOCOLS, ProgramConfig, Wanted};
use super::gateway::Gateway;
use super::privileges::Privileges;
use super::sources::{Found, OPTIONS_VARIABLE, Sources};
use crate::gateway::Level;
use crate::process_group::units;
#[cfg(feature = "http-server")]
use crate::server::http::{HttpOptions, ProxyHeaders, TrustedProxies};
use crate::server::site::{AccessFormat, Limits, Mode, Timeouts, parse_level};

/// Reads `arguments`, the program's name first, the environment's, the file's and the code's.
///
/// # Errors
///
/// An option is wrong; the text says what and what is allowed. Also the texts of `--help` and
/// `--version`.
pub(super) fn parse(
    gateway: &Gateway,
    arguments: Vec<OsString>,
    variable: Option<OsString>,
) -> Result<ProgramConfig, clap::Error> {
    let mut command = command(gateway);
    let sources = Sources::collect(gateway, &mut command, arguments, variable)?;
    let read = |sources: &Sources, command: &mut Command| {
        let found = sources.parse(command)?;
        config(gateway, &found).map_err(|text| command.error(ErrorKind::ValueValidation, text))
    };
    read(&sources, &mut command).map_err(|error| sources.blame(&mut command, error, read))
}

const ACCESS_LOG_FORMAT: &str =
    "Sets the format: combined, common, json, or httpd's letters, such as '%h \"%r\" %>s %D'";

fn command(gateway: &Gateway) -> Command {
    let flag = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let time = |name: &'static str, default: &'static str, help: &'static str| {
        flag(name, "TIME", help).default_value(default).value_parser(positive_time)
    };
    let count = |name: &'static str, default: &'static str, help: &'static str| {
        flag(name, "N", help)
            .default_value(default)
            .value_parser(value_parser!(u32).range(1..=100_000))
    };
    let address = || ValueParser::new(Address::parse);
    let mut command = Command::new(gateway.name)
        .version(gateway.version)
        .about("Serves web applications behind any web server, or by itself")
        .after_help(format!(
            "ADDR: {}.\nTIME: a whole number with ms, s (also without a unit), min, h or d. \
             SIZE: bytes, or with K, M or G.\n{OPTIONS_VARIABLE} in the environment may hold \
             further options. See docs/gateways.md.",
            super::address::ALLOWED
        ))
        .next_line_help(false);
    for &protocol in PROTOCOLS {
        let help = match protocol {
            Mode::FastCgi => "Listens for FastCGI",
            Mode::Scgi => "Listens for SCGI",
            Mode::Uwsgi => "Listens for uwsgi, the binary protocol of uWSGI",
            _ => "Listens for HTTP/1.1 and HTTP/2",
        };
        let name = protocol.name();
        command =
            command.arg(flag(name, "ADDR", help).action(ArgAction::Append).value_parser(address()));
    }
    if cfg!(feature = "cgi") {
        command = command.arg(
            Arg::new("cgi")
                .long("cgi")
                .action(ArgAction::SetTrue)
                .help("Serves the one request that the environment describes"),
        );
    }
    command = command
        .arg(
            flag("config", "FILE", "Reads more options, one in each line: name = value")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(count("workers", "1", "Number of worker processes"))
        .arg(count("threads", "15", "Number of request threads in each worker"))
        .arg(
            flag(
                "runtime-threads",
                "N",
                "Threads of the runtime for services; 0 is 1 a core, or 2",
            )
            .default_value("0")
            .value_parser(value_parser!(u32).range(0..=units::MOST_RUNTIME_THREADS)),
        )
        .arg(
            flag("mount", "PATH=APP", "Mounts an application; replaces the program's own mounts")
                .action(ArgAction::Append),
        )
        .arg(flag("url-prefix", "PATH", "Puts this path before each mount"))
        .arg(
            flag("option", "[APP:]KEY=VALUE", "Sets an option of applications")
                .action(ArgAction::Append),
        )
        .arg(count("backlog", "4096", "Most connections of a listener that wait to be accepted"))
        .arg(count("max-connections", "1024", "Most simultaneous connections of each worker"))
        .arg(
            flag("queue-size", "N", "Most requests that wait for a thread in each worker")
                .default_value("1024")
                .value_parser(value_parser!(u32).range(0..=1_000_000)),
        )
        .arg(
            flag("max-head", "SIZE", "Largest request head: all variables, or the HTTP headers")
                .default_value("128K")
                .value_parser(head_size),
        )
        .arg(
            flag("max-body", "SIZE", "Largest request body; 0 for no limit")
                .default_value("0")
                .value_parser(units::size),
        )
        .arg(
            flag("max-spool", "SIZE", "Largest size of a worker's files with request bodies")
                .default_value("1G")
                .value_parser(units::size),
        )
        .arg(
            flag("max-requests", "N", "Requests after which a worker is replaced; 0 is off")
                .default_value("0")
                .value_parser(value_parser!(u64)),
        )
        .arg(
            flag("jitter", "PERCENT", "Largest random reduction of --max-requests")
                .default_value("10%")
                .value_parser(|text: &str| units::percent(text, 50)),
        )
        .arg(
            flag("memory-limit", "SIZE", "Resident memory above which a worker is replaced")
                .default_value("0")
                .value_parser(|text: &str| {
                    units::size_or_off(text, 1 << 20, 1 << 50).map(Option::unwrap_or_default)
                }),
        )
        .arg(time("head-timeout", "20s", "Longest wait for a whole request head"))
        .arg(time("queue-timeout", "45s", "Longest wait of a request for a thread"))
        .arg(
            flag("request-timeout", "TIME", "Longest time of a request; then 504; 0 is off")
                .default_value("0")
                .value_parser(|text: &str| units::time_or_off(text).map(Option::unwrap_or_default)),
        )
        .arg(time("body-timeout", "60s", "Longest wait for the next piece of a request body"))
        .arg(time(
            "send-timeout",
            "60s",
            "Longest wait until the peer takes the next piece of a response",
        ))
        .arg(time("keep-alive", "75s", "Longest wait for the next request on a connection"))
        .arg(time(
            "graceful-timeout",
            "30s",
            "Longest time for requests to finish in a stopping process",
        ))
        .arg(time("start-timeout", "60s", "Longest time of a worker to build its applications"));
    #[cfg(feature = "http-server")]
    {
        command = command.arg(
            flag("http2", "on|off", "Serves HTTP/2 beside HTTP/1.1 (HTTP)")
                .default_value("on")
                .value_parser(on_or_off),
        );
        command = command.arg(
            flag(
                "trusted-proxy",
                "CIDR",
                "Trusts the headers of proxies at this address or network (HTTP)",
            )
            .action(ArgAction::Append),
        );
        command = command.arg(
            Arg::new("forwarded-host")
                .long("forwarded-host")
                .action(ArgAction::SetTrue)
                .help("Trusts the host in their headers too (HTTP)"),
        );
        command = command.arg(
            flag("proxy-headers", "KIND", "Reads x-forwarded or forwarded of these proxies (HTTP)")
                .default_value("x-forwarded")
                .value_parser(ProxyHeaders::parse),
        );
    }
    command
        .arg(
            flag("log", "FILE", "Writes the log to this file; - is standard error")
                .default_value("-"),
        )
        .arg(
            flag("log-level", "LEVEL", "Logs up to this level: error, warn, info, debug or trace")
                .default_value("info")
                .value_parser(parse_level),
        )
        .arg(flag(
            "access-log",
            "FILE",
            "Writes a line for each request to this file; - is standard output",
        ))
        .arg(
            flag("access-log-format", "FORMAT", ACCESS_LOG_FORMAT)
                .default_value("combined")
                .value_parser(AccessFormat::parse),
        )
        .arg(flag("user", "USER", "Runs workers as this user (only when started as root)"))
        .arg(flag("group", "GROUP", "Runs workers as this group instead of the user's own"))
        .arg(
            flag("socket-mode", "MODE", "Sets the mode of Unix sockets, in octal, such as 0660")
                .value_parser(mode),
        )
        .arg(flag("pid-file", "FILE", "Writes the master's process id to this file"))
}

fn config(gateway: &Gateway, found: &Found) -> Result<ProgramConfig, String> {
    let number = |name: &str| *found.one::<u32>(name).expect("it has a default") as usize;
    let time = |name: &str| *found.one::<Duration>(name).expect("it has a default");
    let text = |name: &str| found.one::<String>(name).map(String::as_str);
    let all = |name: &str| found.all(name);
    let own_listeners = listeners(found.code());
    let listeners = found.outside(listeners);
    let cgi = cfg!(feature = "cgi") && found.is_set("cgi");
    if cgi && !listeners.is_empty() {
        return Err(
            "option \"--cgi\": it excludes listeners; expected either --cgi or addresses".into()
        );
    }
    #[cfg(feature = "http-server")]
    for option in ["forwarded-host", "proxy-headers"] {
        if found.is_given(option) && all("trusted-proxy").is_empty() {
            return Err(format!(
                "option \"--{option}\": no proxy is trusted; expected --trusted-proxy"
            ));
        }
    }
    let most = |name: &str| {
        let number = *found.one::<u64>(name).expect("it has a default");
        Some(number).filter(|&number| number > 0)
    };
    Ok(ProgramConfig {
        listeners,
        own_listeners,
        cgi,
        workers: number("workers"),
        limits: Limits {
            threads: number("threads"),
            connections: number("max-connections"),
            queue: number("queue-size"),
            head: *found.one::<usize>("max-head").expect("it has a default"),
            body: most("max-body"),
            spool: *found.one::<u64>("max-spool").expect("it has a default"),
            ..Limits::default()
        },
        timeouts: Timeouts {
            head: time("head-timeout"),
            queue: time("queue-timeout"),
            request: Some(time("request-timeout")).filter(|time| !time.is_zero()),
            body: time("body-timeout"),
            send: time("send-timeout"),
            keep_alive: time("keep-alive"),
            graceful: time("graceful-timeout"),
            ..Timeouts::default()
        },
        requests: most("max-requests"),
        jitter: *found.one::<u8>("jitter").expect("it has a default"),
        memory: most("memory-limit"),
        start_timeout: time("start-timeout"),
        runtime_threads: number("runtime-threads"),
        mounts: applications::mounts(gateway, &all("mount"), text("url-prefix"))?,
        has_prefix: text("url-prefix").is_some(),
        options: applications::options(gateway, &found.every("option"))?,
        backlog: number("backlog").try_into().unwrap_or(i32::MAX),
        #[cfg(feature = "http-server")]
        http: HttpOptions {
            proxies: TrustedProxies {
                networks: all("trusted-proxy")
                    .iter()
                    .map(|text| network(text))
                    .collect::<Result<_, _>>()?,
                headers: *found.one("proxy-headers").expect("it has a default"),
                host: found.is_set("forwarded-host"),
            },
            http2: *found.one("http2").expect("it has a default"),
        },
        #[cfg(feature = "fastcgi")]
        web_servers: web_servers(std::env::var("FCGI_WEB_SERVER_ADDRS").ok().as_deref())?,
        log: LogTarget::parse(text("log").unwrap_or("-")),
        level: *found.one::<Level>("log-level").expect("it has a default"),
        access: text("access-log").map(LogTarget::parse),
        access_format: found.one("access-log-format").cloned().unwrap_or_default(),
        privileges: Privileges::find(text("user"), text("group"))?,
        socket_mode: found.one::<u32>("socket-mode").copied(),
        pid_file: text("pid-file").map(Into::into),
    })
}

/// Returns the listeners of a place.
fn listeners(place: &ArgMatches) -> Vec<Wanted> {
    let mut all = Vec::new();
    for &protocol in PROTOCOLS {
        for address in place.get_many::<Address>(protocol.name()).into_iter().flatten() {
            all.push(Wanted { protocol, address: address.clone() });
        }
    }
    all
}

#[cfg(feature = "http-server")]
fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".into()),
    }
}

fn positive_time(text: &str) -> Result<Duration, String> {
    match units::duration(text)? {
        time if time.is_zero() => Err("expected a time above 0".into()),
        time => Ok(time),
    }
}

fn head_size(text: &str) -> Result<usize, String> {
    match units::size(text)? {
        size @ 1024..=16_777_216 => Ok(size as usize),
        _ => Err("expected a size from 1K to 16M".into()),
    }
}

fn mode(text: &str) -> Result<u32, String> {
    let octal = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal && mode <= 0o777 => Ok(mode),
        _ => Err("expected an octal number from 0 to 777, such as 0660".into()),
    }
}

#[cfg(feature = "http-server")]
fn network(text: &str) -> Result<ipnet::IpNet, String> {
    let address = text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| {
        format!(
            "--trusted-proxy \"{text}\": not a network; expected one such as 10.0.0.0/8 or fd00::/8, or \
             an address"
        )
    })
}

/// Returns the peers that FCGI_WEB_SERVER_ADDRS admits (FastCGI 1.0, 3.2).
#[cfg(feature = "fastcgi")]
fn web_servers(text: Option<&str>) -> Result<Vec<std::net::IpAddr>, String> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(Vec::new()) };
    let addresses = crate::protocol::fastcgi::parse_web_server_addrs(text)
        .map_err(|error| format!("FCGI_WEB_SERVER_ADDRS: {error}"))?;
    Ok(addresses.iter().map(std::net::IpAddr::to_canonical).collect())
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
