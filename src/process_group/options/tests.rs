use super::*;

fn parse(arguments: &[&str]) -> Result<GroupOptions, String> {
    GroupOptions::parse("shop", arguments)
}

fn good(arguments: &[&str]) -> GroupOptions {
    parse(arguments).unwrap()
}

const fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

#[test]
fn defaults() {
    let group = good(&[]);
    assert_eq!((group.min_processes, group.max_processes, group.threads), (1, 1, 15));
    assert_eq!((group.multiprocess, group.slots(), group.listens()), (false, 2, true));
    assert_eq!(group.display_name, "(rust:shop)");
    assert_eq!((group.queue_timeout, group.startup_timeout), (seconds(45), seconds(60)));
    assert_eq!((group.request_timeout, group.memory_limit), (None, None));
    assert_eq!(group.eviction_timeout, Duration::from_secs(15));
    assert_eq!(group, GroupOptions::new("shop").unwrap());
}

/// A value for each option that is not its default.
const VALUES: [&str; 41] = [
    "processes=3",
    "min-processes=1",
    "max-processes=4",
    "threads=2",
    "runtime-threads=3",
    "display-name=%{GROUP} x",
    "user=www",
    "group=#33",
    "supplementary-groups=a,b",
    "umask=027",
    "home=/srv",
    "chroot=/jail",
    "lang=C.UTF-8",
    "locale=C",
    "socket-user=other",
    "listen-backlog=7",
    "connect-timeout=1",
    "socket-timeout=2",
    "response-socket-timeout=3",
    "queue-timeout=0",
    "queue-size=0",
    "receive-buffer-size=1K",
    "send-buffer-size=2K",
    "header-buffer-size=8K",
    "response-buffer-size=64K",
    "response-flush-delay=5ms",
    "maximum-requests=9",
    "restart-interval=1d",
    "jitter=0",
    "inactivity-timeout=4min",
    "request-timeout=5",
    "startup-timeout=6",
    "graceful-timeout=7",
    "eviction-timeout=8",
    "shutdown-timeout=9",
    "cpu-time-limit=10",
    "cpu-priority=-5",
    "memory-limit=11M",
    "virtual-memory-limit=16M",
    "stack-size=64K",
    "crash-backoff=250ms",
];

#[test]
fn each_option_of_the_table_has_an_effect_of_its_own() {
    assert_eq!(OPTIONS.len(), VALUES.len());
    let mut seen = vec![good(&[])];
    for option in OPTIONS {
        let key = format!("{}=", option.name);
        let value = VALUES.iter().find(|value| value.starts_with(&key)).expect(option.name);
        let group = good(&[value]);
        if option.name == "min-processes" {
            assert!(group.multiprocess, "all that 1 can change");
        }
        assert!(!seen.contains(&group), "{value} changes nothing");
        seen.push(group);
        assert!(!option.meaning.is_empty() && !option.takes.is_empty());
    }
}

#[test]
fn defaults_of_the_table_are_the_defaults() {
    let mut checked = 0;
    for option in OPTIONS {
        if !matches!(option.takes, "count" | "time" | "size" | "percent")
            || option.default == "min-processes"
        {
            continue;
        }
        let mut group = good(&[&format!("{}={}", option.name, option.default)]);
        group.multiprocess = false;
        assert_eq!(group, good(&[]), "{}={}", option.name, option.default);
        checked += 1;
    }
    assert!(checked > 25, "{checked}");
}

#[test]
fn values_get_where_they_belong() {
    let group = good(&VALUES[3..]);
    assert_eq!((group.threads, group.runtime_threads), (2, 3));
    assert_eq!(group.display_name, "(rust:shop) x");
    assert_eq!((group.user.as_deref(), group.group.as_deref()), (Some("www"), Some("#33")));
    assert_eq!(group.supplementary_groups, Some(vec!["a".into(), "b".into()]));
    assert_eq!(group.umask, Some(0o27));
    assert_eq!((group.home.as_deref(), group.chroot.as_deref()), (Some("/srv"), Some("/jail")));
    assert_eq!((group.lang.as_deref(), group.locale.as_deref()), (Some("C.UTF-8"), Some("C")));
    assert_eq!(group.socket_user.as_deref(), Some("other"));
    assert_eq!((group.listen_backlog, group.queue_size), (7, 0));
    assert_eq!(group.connect_timeout, Duration::from_secs(1));
    assert_eq!((group.socket_timeout, group.response_socket_timeout), (seconds(2), seconds(3)));
    assert_eq!(group.queue_timeout, None);
    assert_eq!((group.receive_buffer_size, group.send_buffer_size), (Some(1024), Some(2048)));
    assert_eq!((group.header_buffer_size, group.response_buffer_size), (8192, 65536));
    assert_eq!(group.response_flush_delay, Duration::from_millis(5));
    assert_eq!((group.maximum_requests, group.jitter), (Some(9), 0));
    assert_eq!((group.restart_interval, group.inactivity_timeout), (seconds(86400), seconds(240)));
    assert_eq!((group.request_timeout, group.startup_timeout), (seconds(5), seconds(6)));
    assert_eq!(group.graceful_timeout, Duration::from_secs(7));
    assert_eq!(group.eviction_timeout, Duration::from_secs(8));
    assert_eq!(group.shutdown_timeout, Duration::from_secs(9));
    assert_eq!((group.cpu_time_limit, group.cpu_priority), (seconds(10), Some(-5)));
    assert_eq!((group.memory_limit, group.virtual_memory_limit), (Some(11 << 20), Some(16 << 20)));
    assert_eq!((group.stack_size, group.crash_backoff), (Some(65536), Duration::from_millis(250)));
}

#[test]
fn numbers_of_processes() {
    for (arguments, (least, most), multiprocess) in [
        (&["processes=1"][..], (1, 1), true),
        (&["processes=5"], (5, 5), true),
        (&["min-processes=2"], (2, 2), true),
        (&["max-processes=4"], (1, 4), true),
        (&["max-processes=4", "min-processes=2"], (2, 4), true),
        (&["threads=0"], (1, 1), false),
    ] {
        let group = good(arguments);
        assert_eq!((group.min_processes, group.max_processes), (least, most), "{arguments:?}");
        assert_eq!(group.multiprocess, multiprocess, "{arguments:?}");
        assert_eq!(group.slots(), most + 1);
    }
    assert!(!good(&["threads=0"]).listens());
    assert_eq!(good(&["processes=1023"]).slots(), crate::process_group::process_score::MOST_SLOTS);
}

#[test]
fn eviction_follows_graceful() {
    assert_eq!(good(&["graceful-timeout=3"]).eviction_timeout, Duration::from_secs(3));
    let zero = good(&["eviction-timeout=0", "graceful-timeout=3"]);
    assert_eq!(zero.eviction_timeout, Duration::from_secs(3));
}

#[test]
fn names() {
    for name in ["a", "A.b-c_9", "..", &"x".repeat(64)] {
        assert_eq!(GroupOptions::new(name).unwrap().name, name);
    }
    for name in ["", "%{GLOBAL}", "%x", "a b", "a/b", "é", "a\n", &"x".repeat(65)] {
        let wrong = GroupOptions::new(name).unwrap_err();
        assert!(wrong.contains("is not a name for a process group: expected 1 to 64"), "{wrong}");
    }
}

#[test]
fn says_what_is_wrong_and_allowed() {
    for (argument, expected) in [
        ("threads", "\"threads\": expected option=value"),
        ("threads=", "option \"threads\": value \"\": expected a value without control characters"),
        ("lang=a\nb", "option \"lang\": value \"a\\nb\": expected a value without control"),
        ("threads=x", "option \"threads\": value \"x\": expected a whole number from 0 to 4096"),
        ("threads=4097", "expected a whole number from 0 to 4096"),
        (
            "processes=0",
            "option \"processes\": value \"0\": expected a whole number from 1 to 1023",
        ),
        ("thread=5", "option \"thread\" is unknown; did you mean \"threads\"?"),
        ("Threads=5", "did you mean \"threads\"?"),
        ("queue_size=5", "did you mean \"queue-size\"?"),
        ("max-request=5", "did you mean \"maximum-requests\"?"),
        ("frobnicate=5", "option \"frobnicate\" is unknown; allowed are processes, min-processes,"),
        ("=5", "option \"\" is unknown; allowed are"),
        ("connect-timeout=5m", "expected \"min\" for minutes or \"ms\" for milliseconds"),
        ("connect-timeout=1.5s", "expected a whole number with a unit of ms, s, min, h or d"),
        ("response-flush-delay=11s", "expected a time from 0 to 10s"),
        ("crash-backoff=0", "expected a time from 100ms to 1min"),
        ("memory-limit=64", "expected 0, or a size from 1048576 to"),
        ("memory-limit=64MB", "expected a number of bytes, or with K, M or G"),
        ("send-buffer-size=511", "expected 0, or a size from 512 to"),
        ("header-buffer-size=0", "expected a size from 8192 to"),
        ("umask=9", "expected an octal number from 0 to 777"),
        ("home=srv", "expected an absolute path"),
        ("chroot=.", "expected an absolute path"),
        ("cpu-priority=20", "expected a whole number from -20 to 19"),
        ("jitter=60%", "expected a share from 0% to 50%"),
        ("supplementary-groups=a,,b", "expected names with commas between them"),
        ("user=root", "option \"user\": value \"root\": root is refused"),
        ("user=#0", "root is refused"),
        ("group=#0", "root is refused"),
        ("user=#x", "expected a name, or # and a number"),
    ] {
        let wrong = parse(&[argument]).unwrap_err();
        assert!(wrong.contains(expected), "{argument}: {wrong}");
    }
    assert!(parse(&["socket-user=root"]).is_ok(), "root may own a socket");
}

#[test]
fn options_of_mod_wsgi_name_the_alternative() {
    for (argument, expected) in [
        ("python-home=/x", "RustAppOption"),
        ("python-path=/x", "RustAppOption"),
        ("python-eggs=/x", "RustAppOption"),
        ("switch-interval=1", "leave it out"),
        ("interrupt-timeout=1", "request-timeout"),
        ("deadlock-timeout=1", "request-timeout"),
        ("script-user=x", "LoadModule"),
        ("script-group=x", "RustRestrictProcess"),
        ("server-metrics=On", "mod_status"),
    ] {
        let wrong = parse(&[argument]).unwrap_err();
        let (key, _) = argument.split_once('=').unwrap();
        assert!(wrong.starts_with(&format!("option \"{key}\" is mod_wsgi's; ")), "{wrong}");
        assert!(wrong.contains(expected), "{wrong}");
    }
}

#[test]
fn contradictory_options_are_refused() {
    for (arguments, expected) in [
        (&["threads=1", "threads=1"][..], "option \"threads\" is given twice"),
        (&["processes=2", "max-processes=3"], "\"processes\" and \"max-processes\": give one"),
        (&["min-processes=2", "processes=2"], "\"processes\" and \"min-processes\": give one"),
        (&["min-processes=3", "max-processes=2"], "min-processes=3 is more than max-processes=2"),
        (
            &["inactivity-timeout=60", "restart-interval=1min"],
            "inactivity-timeout=1min is never reached: restart-interval=1min is not longer",
        ),
        (
            &["request-timeout=76", "restart-interval=60"],
            "request-timeout=76s is never reached: a process ends after restart-interval=1min and \
             graceful-timeout=15s",
        ),
        (&["memory-limit=1G", "virtual-memory-limit=1G"], "memory-limit is never reached"),
        (
            &["stack-size=2M", "threads=8", "virtual-memory-limit=16M"],
            "stack-size=2097152 of threads=8 does not fit into virtual-memory-limit=16777216",
        ),
        (
            &["threads=0", "queue-size=1"],
            "\"queue-size\": a group with threads=0 takes no requests",
        ),
        (&["request-timeout=1", "threads=0"], "\"request-timeout\": a group with threads=0"),
        (&["threads=0", "max-processes=2"], "a group with threads=0 has no load"),
    ] {
        let wrong = parse(arguments).unwrap_err();
        assert!(wrong.contains(expected), "{arguments:?}: {wrong}");
    }
    for arguments in [
        &["request-timeout=75", "restart-interval=60"][..],
        &["inactivity-timeout=59", "restart-interval=60"],
        &["threads=0", "processes=2", "restart-interval=60", "memory-limit=1G"],
    ] {
        assert!(parse(arguments).is_ok(), "{arguments:?}");
    }
}
