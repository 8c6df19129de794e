use super::super::gateway::single;
use super::*;
use crate::gateway::{Body, Factory, app_fn};

fn gateway() -> Gateway {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Colour {
        #[serde(rename = "colour")]
        _colour: Option<u8>,
    }

    let plain = || app_fn(|_, _| Ok(Body::empty()));
    Gateway::new("shop", "1.2.3")
        .application("shop", Factory::of(plain()))
        .application("admin", Factory::with_options(move |_: Colour| Ok(plain())))
        .mount("/", "shop")
        .mount("/admin", "admin")
}

fn read(arguments: &[&str], variable: Option<&str>) -> Result<ProgramConfig, String> {
    read_of(&gateway(), arguments, variable)
}

fn read_of(
    gateway: &Gateway,
    arguments: &[&str],
    variable: Option<&str>,
) -> Result<ProgramConfig, String> {
    let arguments = ["shop"].iter().chain(arguments).map(OsString::from).collect();
    parse(gateway, arguments, variable.map(OsString::from)).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_as_documented() {
    let config = read(&[], None).unwrap();
    assert_eq!((config.workers, config.limits.threads, config.limits.connections), (1, 15, 1024));
    assert_eq!((config.limits.head, config.limits.body), (128 * 1024, None));
    assert_eq!(config.timeouts.graceful, Duration::from_secs(30));
    assert_eq!(config.level, Level::Info);
    assert_eq!(config.log, LogTarget::Standard);
    assert!(config.listeners.is_empty() && !config.cgi && config.access.is_none());
    assert_eq!(config.mounts, [("/".into(), "shop".into()), ("/admin".into(), "admin".into())]);
}

#[test]
fn options_come_from_both() {
    let config = read(&["--workers", "2", "--mount", "/x=admin"], Some("--threads 3 --log '/a b'"));
    let config = config.unwrap();
    assert_eq!((config.workers, config.limits.threads), (2, 3));
    assert_eq!(config.log, LogTarget::File("/a b".into()));
    assert_eq!(config.mounts, [("/x".into(), "admin".into())]);
    // A word that begins with `#` begins a comment, as in a shell.
    for (text, threads, log) in [
        ("--threads 3 # --log /a", 3, LogTarget::Standard),
        ("--threads 3 #--log /a\n--log /b", 3, LogTarget::File("/b".into())),
        ("--log /a#b", 15, LogTarget::File("/a#b".into())),
        ("--log '#b'", 15, LogTarget::File("#b".into())),
    ] {
        let config = read(&[], Some(text)).unwrap();
        assert_eq!((config.limits.threads, config.log), (threads, log), "{text}");
    }
    for open in ["--log 'a", "--log a\\"] {
        let error = read(&[], Some(open)).unwrap_err();
        assert!(
            error.contains("MOD_RUST_OPTIONS: a quote or a backslash is not closed"),
            "{error}"
        );
    }
    let config = read(&["--url-prefix", "/a/"], None).unwrap();
    assert_eq!(config.mounts, [("/a/".into(), "shop".into()), ("/a/admin".into(), "admin".into())]);
    let config = read(&["--option", "colour=3", "--option", "admin:colour=4"], None).unwrap();
    assert_eq!(config.options[0].get("colour"), None);
    assert_eq!(config.options[1].get("colour"), Some("4"));
    assert!(applications::check(&gateway(), &config).is_ok());
}

/// Writes a configuration file, which is removed with what is returned.
fn file(text: &str) -> tempfile::TempPath {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    file.into_temp_path()
}

#[test]
fn the_strongest_place_counts() {
    let text = "workers = 4\nthreads = 4\nbacklog = 4\noption = admin:colour=4\nmount = /=admin\n";
    let path = file(text);
    let path = path.to_str().unwrap();
    let variable = Some("--workers 3 --threads 3 --mount /variable=shop");
    let config = read(&["--config", path, "--workers", "2", "--mount", "/line=shop"], variable);
    let config = config.unwrap();
    let counts = (config.workers, config.limits.threads, config.backlog, config.limits.queue);
    assert_eq!(counts, (2, 3, 4, 1024));
    assert_eq!(config.options[1].get("colour"), Some("4"));
    let mounts: Vec<_> = config.mounts.iter().map(|(path, _)| &path[..]).collect();
    assert_eq!(mounts, ["/variable", "/line"]);
    // The variable may name the file, too.
    let config = read(&["--option", "colour=5"], Some(&format!("--config {path}"))).unwrap();
    assert_eq!((config.workers, config.options[1].get("colour")), (4, Some("5")));
    assert_eq!(config.mounts, [("/".into(), "admin".into())]);
}

#[test]
#[cfg(feature = "scgi")]
fn listeners_of_the_file_are_the_weakest() {
    let path = file("scgi = :4\nscgi = :5\n");
    let path = path.to_str().unwrap();
    for (arguments, variable, expected) in [
        (&["--config", path, "--scgi", ":1"][..], Some("--scgi :2"), &[":2", ":1"][..]),
        (&["--config", path], Some("--scgi :2"), &[":2"]),
        (&["--config", path], None, &[":4", ":5"]),
    ] {
        let config = read(arguments, variable).unwrap();
        let shown: Vec<_> = config.listeners.iter().map(|one| one.address.to_string()).collect();
        assert_eq!(shown, expected, "{arguments:?}");
    }
}

#[test]
fn the_code_is_the_weakest_place() {
    let gateway = gateway()
        .set("workers", "5")
        .set("threads", "5")
        .set("backlog", "5")
        .set("max-connections", "5")
        .set("mount", "/code=shop")
        .set("option", "admin:colour=5");
    let path = file("backlog = 4\n");
    let arguments = ["--config", path.to_str().unwrap(), "--workers", "2"];
    let config = read_of(&gateway, &arguments, Some("--threads 3")).unwrap();
    let limits = config.limits;
    let counts = (config.workers, limits.threads, config.backlog, limits.connections);
    assert_eq!((counts, limits.queue), ((2, 3, 4, 5), 1024));
    assert_eq!(config.mounts, [("/code".into(), "shop".into())]);
    assert_eq!(config.options[1].get("colour"), Some("5"));
    let arguments = ["--mount", "/line=shop", "--option", "admin:colour=6"];
    let config = read_of(&gateway, &arguments, None).unwrap();
    assert_eq!(config.mounts, [("/line".into(), "shop".into())]);
    assert_eq!(config.options[1].get("colour"), Some("6"));
    // The code may name the file, too.
    let config = read_of(&gateway.set("config", path.to_str().unwrap()), &[], None).unwrap();
    assert_eq!((config.workers, config.backlog), (5, 4));
}

#[test]
#[cfg(feature = "scgi")]
fn listeners_of_the_code_are_apart() {
    let gateway = gateway().listen("scgi", ":6").listen("scgi", ":7");
    for (arguments, expected) in [(&[][..], &[][..]), (&["--scgi", ":1"], &[":1"])] {
        let config = read_of(&gateway, arguments, None).unwrap();
        let shown =
            |all: &[Wanted]| -> Vec<_> { all.iter().map(|one| one.address.to_string()).collect() };
        assert_eq!(shown(&config.listeners), expected, "{arguments:?}");
        assert_eq!(shown(&config.own_listeners), [":6", ":7"], "{arguments:?}");
    }
}

#[test]
fn mistakes_of_the_code_are_reported() {
    for (option, value, expected) in [
        ("workers", "0", "Gateway::set: invalid value '0'"),
        ("nonsense", "", "Gateway::set: unexpected argument '--nonsense'"),
    ] {
        let error = read_of(&gateway().set(option, value), &[], None).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_program_may_parse_its_own_command_line() {
    let gateway = gateway().arguments(["--workers", "7"]);
    let words = gateway.words(vec!["/bin/shop".into(), "sell".into()]);
    assert_eq!(words, ["/bin/shop", "--workers", "7"]);
    assert_eq!(parse(&gateway, words, None).unwrap().workers, 7);
}

#[test]
fn a_mistake_in_the_file_is_told_with_its_line() {
    for (text, line, expected) in [
        ("\n# x\nworkers = 0\n", 3, "0 is not in 1..=100000"),
        ("workers = 2\nthreds = 3\n", 2, "unexpected argument '--threds'"),
        ("workers = 2\nworkers = 3\n", 2, "cannot be used multiple times"),
        ("threads = 2\nmount = /x=shp\n", 2, "expected one of shop, admin"),
        ("option = color=1\n", 1, "color"),
        ("access-log-format = %Z\n", 1, "expected combined, common, json"),
        ("group = root\n", 1, "--"),
        ("threads\n", 1, "a value is required for '--threads <N>'"),
        ("two words\n", 1, "expected name = value"),
        ("config = x\n", 1, "expected on the command line"),
    ] {
        let path = file(text);
        let error = read(&["--config", path.to_str().unwrap()], None).unwrap_err();
        let place = format!("configuration \"{}\", line {line}: ", path.display());
        assert!(error.contains(&place) && error.contains(expected), "{text}: {error}");
    }
    let error = read(&["--config", "/nowhere/conf"], None).unwrap_err();
    assert!(error.contains("configuration \"/nowhere/conf\": No such file"), "{error}");
    // The file is not to blame for the mistakes of the command line.
    let path = file("workers = 2\n");
    let arguments = ["--config", path.to_str().unwrap(), "--mount", "/=shp"];
    let error = read(&arguments, None).unwrap_err();
    assert!(error.contains("--mount /=shp") && !error.contains("line 1"), "{error}");
}

#[test]
fn mistakes_are_reported() {
    for (arguments, expected) in [
        (&["--workers", "0"][..], "0 is not in 1..=100000"),
        (&["--mount", "/x"], "expected PATH=APP"),
        (&["--mount", "x=shop"], "expected a decoded path with a leading slash"),
        (&["--mount", "/x=shp"], "application \"shp\": unknown; expected one of shop, admin"),
        (&["--url-prefix", "x"], "--url-prefix: path \"x\": not usable; expected"),
        (&["--forwarded-host"], "--trusted-proxy"),
        (&["--option", "colour"], "expected KEY=VALUE"),
        (&["--option", "color=1"], "option \"color\": unknown to every application"),
        (
            &["--option", "adm:colour=1"],
            "application \"adm\": unknown; expected one of shop, admin",
        ),
        (&["--graceful-timeout", "0"], "expected a time above 0"),
        (&["--graceful-timeout", "5m"], "expected \"min\" for minutes"),
        (&["--request-timeout", "soon"], "expected a"),
        (&["--max-head", "1"], "expected a size from 1K to 16M"),
        (&["--max-body", "1T"], "a number of bytes"),
        (&["--log-level", "loud"], "expected error, warn, info, debug or trace"),
        (&["--socket-mode", "999"], "expected an octal number"),
        (&["--access-log-format", "%Z"], "\"%Z\" is not known; expected combined"),
        (&["--backlog", "0"], "0 is not in 1..=100000"),
        (&["--group", "root"], "--"),
        (&["--nonsense"], "unexpected argument '--nonsense'"),
        (&["stray"], "unexpected argument 'stray'"),
    ] {
        let error = read(arguments, None).unwrap_err();
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    let config = read(&["--option", "admin:colour=red"], None).unwrap();
    let error = applications::check(&gateway(), &config).unwrap_err();
    assert!(error.contains("application admin: option \"colour\": value \"red\""), "{error}");
}

#[test]
fn help_and_version() {
    for (flag, expected) in [("--help", "--graceful-timeout <TIME>"), ("--version", "shop 1.2.3")] {
        let error = parse(&gateway(), vec!["shop".into(), flag.into()], None).unwrap_err();
        assert_eq!(error.exit_code(), 0);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let single = single(Factory::of(app_fn(|_, _| Ok(Body::empty()))));
    let error = parse(&single, vec!["app".into(), "--version".into()], None).unwrap_err();
    let expected = format!(" (mod_rust {})\n", env!("CARGO_PKG_VERSION"));
    assert!(error.to_string().ends_with(&expected), "{error}");
}

#[test]
#[cfg(feature = "fastcgi")]
fn listeners_repeat() {
    let config = read(&["--fastcgi", ":9000", "--fastcgi", "/run/x.sock"], None).unwrap();
    let shown: Vec<_> = config.listeners.iter().map(|one| one.address.to_string()).collect();
    assert_eq!(shown, [":9000", "/run/x.sock"]);
    let error = read(&["--fastcgi", "9000"], None).unwrap_err();
    assert!(error.contains("expected 127.0.0.1:9000"), "{error}");
    #[cfg(feature = "cgi")]
    assert!(read(&["--cgi", "--fastcgi", ":9000"], None).is_err());
}

#[test]
#[cfg(feature = "http-server")]
fn networks() {
    use ProxyHeaders::{Forwarded, XForwarded};

    let config = read(&["--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "::1"], None).unwrap();
    assert_eq!(config.http.proxies.networks.len(), 2);
    assert!(config.http.http2 && !read(&["--http2", "off"], None).unwrap().http.http2);
    let arguments = ["--trusted-proxy", "::1", "--proxy-headers", "forwarded"];
    let proxies = read(&arguments, None).unwrap().http.proxies;
    assert_eq!((config.http.proxies.headers, proxies.headers), (XForwarded, Forwarded));
    let error = read(&["--proxy-headers", "via"], None).unwrap_err();
    assert!(error.contains("expected x-forwarded or forwarded"), "{error}");
    assert!(read(&arguments[2..], None).unwrap_err().contains("--trusted-proxy"));
    // The proxy and what is said of it may stand in two places.
    let path = file("forwarded-host\ntrusted-proxy = ::1\n");
    let config = format!("--config {}", path.display());
    let proxies = read(&arguments[2..], Some(&config)).unwrap().http.proxies;
    assert!(proxies.host && proxies.headers == Forwarded && proxies.networks.len() == 1);
    assert!(read(&["--http2", "no"], None).unwrap_err().contains("expected on or off"));
    assert!(read(&["--trusted-proxy", "ten"], None).unwrap_err().contains("10.0.0.0/8"));
}

#[test]
#[cfg(feature = "fastcgi")]
fn web_servers_are_addresses() {
    assert_eq!(web_servers(None).unwrap().len(), 0);
    assert_eq!(web_servers(Some("199.170.183.28, 199.170.183.71")).unwrap().len(), 2);
    assert!(web_servers(Some("localhost")).is_err());
}
