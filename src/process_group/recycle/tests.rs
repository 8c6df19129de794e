use super::*;

const SECOND: u64 = 1_000_000;
const READY: u64 = 1_000 * SECOND;

fn recycle(arguments: &[&str]) -> Recycle {
    Recycle::new(&GroupOptions::parse("g", arguments).unwrap(), READY, 1)
}

fn facts() -> ProcessUsage {
    ProcessUsage {
        now_us: READY + 10 * SECOND,
        last_request_us: READY + 5 * SECOND,
        ..ProcessUsage::default()
    }
}

/// Each limit with every other one off, as in mod_wsgi's trap, and with every other one on.
#[test]
fn each_limit_works_by_itself() {
    let now_us = facts().now_us;
    let all = [
        "maximum-requests=100",
        "restart-interval=1h",
        "inactivity-timeout=10min",
        "request-timeout=1min",
        "memory-limit=1G",
        "cpu-time-limit=1h",
        "jitter=0",
    ];
    let off = ["queue-timeout=0", "startup-timeout=0", "graceful-timeout=0", "jitter=0"];
    let below = facts();
    for (only, before, due, reason) in [
        (
            "maximum-requests=100",
            ProcessUsage { requests: 99, ..below },
            ProcessUsage { requests: 100, ..below },
            Reason::MaximumRequests,
        ),
        (
            "restart-interval=1h",
            ProcessUsage {
                now_us: READY + 3600 * SECOND - 1,
                last_request_us: now_us * 4,
                ..below
            },
            ProcessUsage { now_us: READY + 3600 * SECOND, last_request_us: now_us * 4, ..below },
            Reason::RestartInterval,
        ),
        (
            "inactivity-timeout=10min",
            ProcessUsage { now_us: below.last_request_us + 600 * SECOND - 1, ..below },
            ProcessUsage { now_us: below.last_request_us + 600 * SECOND, ..below },
            Reason::InactivityTimeout,
        ),
        (
            "request-timeout=1min",
            ProcessUsage { oldest_us: Some(now_us - 60 * SECOND + 1), busy: true, ..below },
            ProcessUsage { oldest_us: Some(now_us - 60 * SECOND), busy: true, ..below },
            Reason::RequestTimeout,
        ),
        (
            "memory-limit=1G",
            ProcessUsage { resident: 1 << 30, ..below },
            ProcessUsage { resident: (1 << 30) + 1, ..below },
            Reason::MemoryLimit,
        ),
        (
            "cpu-time-limit=1h",
            ProcessUsage { cpu_us: 3600 * SECOND - 1, ..below },
            ProcessUsage { cpu_us: 3600 * SECOND, ..below },
            Reason::CpuTimeLimit,
        ),
    ] {
        let mut arguments = off.to_vec();
        arguments.push(only);
        for limits in [recycle(&arguments), recycle(&all)] {
            assert_eq!(limits.check(&before), None, "{only}");
            assert_eq!(limits.check(&due), Some(reason), "{only}");
        }
        let others: Vec<&str> = all.into_iter().filter(|other| *other != only).collect();
        let without = recycle(&others).check(&due);
        assert_ne!(without, Some(reason), "{only} is off");
    }
}

#[test]
fn without_limits_nothing_ends() {
    let limits = recycle(&[]);
    let extreme = ProcessUsage {
        now_us: u64::MAX,
        requests: u64::MAX,
        last_request_us: 0,
        busy: false,
        oldest_us: Some(0),
        resident: u64::MAX,
        cpu_us: u64::MAX,
        asked: None,
    };
    assert_eq!((limits.check(&extreme), limits.next_us(&facts())), (None, None));
}

#[test]
fn a_requested_replacement_comes_first() {
    for asked in [Reason::GracefulSignal, Reason::ShutdownSignal, Reason::CpuTimeLimit] {
        let facts = ProcessUsage { asked: Some(asked), requests: 7, ..facts() };
        assert_eq!(recycle(&["maximum-requests=1"]).check(&facts), Some(asked));
        assert_eq!(recycle(&[]).check(&facts), Some(asked));
    }
}

#[test]
fn a_busy_process_is_not_idle() {
    let limits = recycle(&["inactivity-timeout=1"]);
    let idle = ProcessUsage { now_us: READY + 100 * SECOND, ..facts() };
    assert_eq!(limits.check(&ProcessUsage { busy: true, ..idle }), None);
    assert_eq!(limits.check(&idle), Some(Reason::InactivityTimeout));
}

#[test]
fn sleeps_exactly_as_long_as_it_may() {
    let at = facts();
    for (arguments, facts, expected) in [
        (&["restart-interval=1h", "jitter=0"][..], at, Some(READY + 3600 * SECOND)),
        (&["request-timeout=30"], at, Some(at.now_us + 30 * SECOND)),
        (
            &["request-timeout=30"],
            ProcessUsage { oldest_us: Some(READY), busy: true, ..at },
            Some(READY + 30 * SECOND),
        ),
        (&["inactivity-timeout=30"], at, Some(at.last_request_us + 30 * SECOND)),
        (
            &["inactivity-timeout=30"],
            ProcessUsage { busy: true, ..at },
            Some(at.now_us + 30 * SECOND),
        ),
        (&["memory-limit=1G"], at, Some(at.now_us + MEASURE_US)),
        (&["cpu-time-limit=1h"], at, Some(at.now_us + MEASURE_US)),
        (&["maximum-requests=5"], at, None),
        (&["memory-limit=1G", "request-timeout=500ms"], at, Some(at.now_us + SECOND / 2)),
    ] {
        assert_eq!(recycle(arguments).next_us(&facts), expected, "{arguments:?}");
    }
}

#[test]
fn the_timer_misses_nothing() {
    // A thread that sleeps until next_us and checks then finds each limit at the moment that it is
    // due.
    for arguments in [
        &["restart-interval=20", "jitter=0"][..],
        &["request-timeout=20"],
        &["inactivity-timeout=20"],
        &["restart-interval=25", "inactivity-timeout=20", "jitter=0"],
    ] {
        let limits = recycle(arguments);
        let mut facts =
            ProcessUsage { now_us: READY, last_request_us: READY, ..ProcessUsage::default() };
        if arguments[0].starts_with("request") {
            (facts.oldest_us, facts.busy) = (Some(READY), true);
        }
        let mut looks = 0;
        while limits.check(&facts).is_none() {
            let next = limits.next_us(&facts).unwrap();
            assert!(next > facts.now_us, "it would spin");
            facts.now_us = next;
            looks += 1;
        }
        assert_eq!((facts.now_us, looks), (READY + 20 * SECOND, 1), "{arguments:?}");
    }
}

#[test]
fn jitter_spreads_and_only_shortens() {
    let arguments = ["maximum-requests=1000", "restart-interval=1000", "jitter=20%"];
    let options = GroupOptions::parse("g", &arguments).unwrap();
    let all: Vec<Recycle> =
        (0..400).map(|pid| Recycle::new(&options, READY, 40_000 + pid)).collect();
    let requests: Vec<u64> = all.iter().filter_map(|limits| limits.requests).collect();
    let ends: Vec<u64> =
        all.iter().filter_map(|limits| Some(limits.life_end_us? - READY)).collect();
    for values in [&requests, &ends.iter().map(|us| us / SECOND).collect()] {
        let (least, most) = (values.iter().min().unwrap(), values.iter().max().unwrap());
        assert!(*least >= 800 && *least < 820 && *most <= 1000 && *most > 980, "{least} {most}");
    }
    assert!(requests.iter().zip(&ends).any(|(n, us)| n.abs_diff(us / SECOND) > 50), "linked");
    let again = Recycle::new(&options, READY, 40_000);
    assert_eq!(again, all[0], "decided once");
}

#[test]
fn without_jitter_limits_are_exact() {
    let options = GroupOptions::parse("g", &["maximum-requests=1000", "jitter=0"]).unwrap();
    for chance in 0..50 {
        let limits = Recycle::new(&options, READY, chance);
        assert!(!limits.has_done_enough(999) && limits.has_done_enough(1000));
    }
    let one = GroupOptions::parse("g", &["maximum-requests=1", "jitter=50"]).unwrap();
    for chance in 0..50 {
        assert!(!Recycle::new(&one, READY, chance).has_done_enough(0), "{chance}");
    }
}
