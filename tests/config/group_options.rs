//! The options of `RustDaemonProcess`, as `configtest` takes and refuses them.

use mod_rust::internal::process_group::OPTIONS;

use crate::support::{configtest, refused, stock, taken};

/// Each option with values that are taken, and with wrong ones and what is said of them.
type Values = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

const VALUES: &[Values] = &[
    ("processes", &["1", "4"], &[("0", COUNT), ("-1", COUNT), ("x", COUNT), ("1.5", COUNT)]),
    ("min-processes", &["1", "3"], &[("0", COUNT)]),
    ("max-processes", &["1", "7"], &[("many", COUNT)]),
    ("runtime-threads", &["0", "1", "512"], &[("513", COUNT), ("-1", COUNT)]),
    ("threads", &["0", "1", "4096"], &[("4097", COUNT), ("-1", COUNT), ("\"\"", EMPTY)]),
    ("display-name", &["x", "%{GROUP}", "'a b'"], &[("\"\"", EMPTY)]),
    ("user", &["{user}"], &[("root", ROOT), ("#0", ROOT), ("#x", "expected a name, or # and a")]),
    ("group", &["{user}"], &[("root", ROOT), ("#0", ROOT), ("#-1", "expected a name, or #")]),
    ("supplementary-groups", &["{user}", "'{user}, {user}'"], &[("a,,b", LIST), (",", LIST)]),
    ("umask", &["0", "0027", "777"], &[("8", OCTAL), ("1000", OCTAL), ("u=rwx", OCTAL)]),
    ("home", &["/srv"], &[("srv", PATH)]),
    ("chroot", &["{chroot}"], &[("./srv", PATH)]),
    ("lang", &["de_DE.UTF-8"], &[("\"\"", EMPTY)]),
    ("locale", &["C"], &[("\"\"", EMPTY)]),
    ("socket-user", &["{user}", "#{uid}"], &[("#x", "expected a name, or # and a number")]),
    ("listen-backlog", &["1", "65535"], &[("0", COUNT), ("65536", COUNT)]),
    ("connect-timeout", &["0", "15", "500ms", "2min"], &[("5m", MINUTES), ("-1", TIME)]),
    ("socket-timeout", &["0", "1h"], &[("1.5s", TIME)]),
    ("response-socket-timeout", &["0", "3s"], &[("soon", TIME)]),
    ("queue-timeout", &["0", "45s"], &[("45 s", TIME)]),
    ("queue-size", &["0", "1000000"], &[("1000001", COUNT), ("1K", COUNT)]),
    ("receive-buffer-size", &["0", "512", "1M"], &[("511", "expected 0, or a size from 512 to ")]),
    ("send-buffer-size", &["0", "64k"], &[("1T", SIZE), ("-1", SIZE)]),
    (
        "header-buffer-size",
        &["8192", "64M"],
        &[("0", "expected a size from 8192 to "), ("x", SIZE)],
    ),
    ("response-buffer-size", &["64K", "8G"], &[("1K", "expected a size from 65536 to ")]),
    ("response-flush-delay", &["0", "10s"], &[("11s", "expected a time from 0 to 10s")]),
    ("maximum-requests", &["0", "10000"], &[("-1", COUNT), ("10k", COUNT)]),
    ("restart-interval", &["0", "1d"], &[("3651d", "expected 3650d at most")]),
    ("jitter", &["0", "10%", "50"], &[("51%", "expected a share from 0% to 50%")]),
    ("inactivity-timeout", &["0", "10min"], &[("10m", MINUTES)]),
    ("request-timeout", &["0", "1min"], &[("1minute", TIME)]),
    ("startup-timeout", &["0", "60"], &[("s", TIME)]),
    ("graceful-timeout", &["0", "15"], &[("x", TIME)]),
    ("eviction-timeout", &["0", "15"], &[("x", TIME)]),
    ("shutdown-timeout", &["0", "5"], &[("x", TIME)]),
    ("cpu-time-limit", &["0", "1h"], &[("x", TIME)]),
    ("cpu-priority", &["-20", "0", "19"], &[("20", COUNT), ("-21", COUNT)]),
    ("memory-limit", &["0", "1M", "2G"], &[("1", "expected 0, or a size from 1048576 to ")]),
    ("virtual-memory-limit", &["0", "16M"], &[("1M", "expected 0, or a size from 16777216 to ")]),
    ("stack-size", &["0", "64K", "1G"], &[("1K", "expected 0, or a size from 65536 to ")]),
    ("crash-backoff", &["100ms", "1min"], &[("0", "expected a time from 100ms to 1min")]),
];

const COUNT: &str = "expected a whole number from ";
const EMPTY: &str = "expected a value without control characters";
const ROOT: &str = "root is refused: name an account without its rights";
const LIST: &str = "expected names with commas between them";
const OCTAL: &str = "expected an octal number from 0 to 777, such as 0027";
const PATH: &str = "expected an absolute path";
const TIME: &str = "expected a whole number with a unit of ms, s, min, h or d";
const MINUTES: &str = "expected \"min\" for minutes or \"ms\" for milliseconds";
const SIZE: &str = "expected a number of bytes, or with K, M or G";

/// Returns the value for this machine: an account that is not root's, if httpd may use one.
fn filled(value: &str) -> Option<String> {
    let is_root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").ok()?) == 0;
    if !is_root && value.contains('{') {
        return None;
    }
    Some(value.replace("{user}", "www-data").replace("{uid}", "33").replace("{chroot}", "/srv"))
}

#[test]
fn every_option_is_here() {
    let here: Vec<_> = VALUES.iter().map(|(name, _, _)| *name).collect();
    let mut known: Vec<_> = OPTIONS.iter().map(|option| option.name).collect();
    known.sort_by_key(|name| here.iter().position(|other| other == name));
    assert_eq!(here, known);
}

#[test]
fn good_values_are_taken() {
    let mut lines = String::new();
    for (name, good, _) in VALUES {
        for value in good.iter().filter_map(|value| filled(value)) {
            let number = lines.lines().count();
            let value = value.trim_matches('\'');
            lines.push_str(&format!("RustDaemonProcess g{number} \"{name}={value}\"\n"));
        }
    }
    assert!(lines.lines().count() > 70, "{lines}");
    // All at once, and in any order.
    lines.push_str(
        "RustDaemonProcess all jitter=5% memory-limit=256M min-processes=2 max-processes=4 threads=3 \
         queue-size=7 startup-timeout=10s restart-interval=1d\n",
    );
    taken(stock(), &lines);
}

#[test]
fn wrong_values_say_what_is_allowed() {
    for (name, _, wrong) in VALUES {
        for (value, expected) in *wrong {
            let bare = value.trim_matches('"');
            let lines = format!("\nRustDaemonProcess shop threads=2 \"{name}={bare}\"\n");
            let lines = lines.replace("threads=2 \"threads", "\"threads");
            let test = configtest(stock(), &lines);
            let expected =
                format!("RustDaemonProcess option \"{name}\": value \"{bare}\": {expected}");
            refused(&lines, &test, &expected);
            refused(&lines, &test, "Syntax error on line 2 of ");
        }
    }
}

#[test]
fn none_is_given_twice() {
    for (name, good, _) in VALUES {
        let value = filled(good[0]).unwrap_or_else(|| "x".into());
        let lines = format!("RustDaemonProcess shop {name}={value} {name}={value}\n");
        let test = configtest(stock(), &lines);
        refused(&lines, &test, &format!("RustDaemonProcess option \"{name}\" is given twice"));
    }
}

#[test]
fn others_are_refused() {
    for (arguments, expected) in [
        ("", "takes the name of a process group, and options as key=value"),
        (
            "a/b",
            "\"a/b\" is not a name for a process group: expected 1 to 64 letters, digits, \"_\"",
        ),
        ("\"a b\"", "\"a b\" is not a name for a process group: expected 1 to 64 letters"),
        ("threads=2", "\"threads=2\" is not a name for a process group: expected 1 to 64 letters"),
        // httpd leaves a last argument out that is empty.
        ("\"\"", "\"\" is not a name for a process group: expected 1 to 64 letters"),
        ("\"\" threads=2", "\"\" is not a name for a process group: expected 1 to 64 letters"),
        ("%{GLOBAL}", "\"%{GLOBAL}\" is not a name for a process group"),
        ("shop threads", "\"threads\": expected option=value"),
        ("shop thread=2", "option \"thread\" is unknown; did you mean \"threads\"?"),
        ("shop Threads=2", "option \"Threads\" is unknown; did you mean \"threads\"?"),
        ("shop proceses=2", "option \"proceses\" is unknown; did you mean \"processes\"?"),
        (
            "shop queue_timeout=2",
            "option \"queue_timeout\" is unknown; did you mean \"queue-timeout\"?",
        ),
        (
            "shop colour=blue",
            "option \"colour\" is unknown; allowed are processes, min-processes, ",
        ),
        ("shop =2", "option \"\" is unknown; allowed are processes, "),
        ("shop python-home=/x", "option \"python-home\" is mod_wsgi's; there is no Python: "),
        ("shop deadlock-timeout=9", "option \"deadlock-timeout\" is mod_wsgi's; there is no "),
        (
            "shop interrupt-timeout=9",
            "option \"interrupt-timeout\" is mod_wsgi's; a thread that is",
        ),
        ("shop script-user=x", "option \"script-user\" is mod_wsgi's; there are no scripts with"),
        (
            "shop processes=2 min-processes=1",
            "options \"processes\" and \"min-processes\": give one",
        ),
        (
            "shop max-processes=3 processes=2",
            "options \"processes\" and \"max-processes\": give one",
        ),
        ("shop min-processes=3 max-processes=2", "min-processes=3 is more than max-processes=2"),
    ] {
        let lines = format!("RustDaemonProcess {arguments}\n");
        let test = configtest(stock(), &lines);
        refused(&lines, &test, &format!("RustDaemonProcess {expected}"));
        refused(&lines, &test, "Syntax error on line 1 of ");
    }
}
