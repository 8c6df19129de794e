//! Reads `key=value` arguments into [`GroupOptions`], and checks them against each other.

use std::time::Duration;

use super::super::units;
use super::table::{ELSEWHERE, OPTIONS};
use super::{GroupOptions, check_name};

/// The most processes of a group: with the one for a replacement, the slots of a scoreboard.
const MOST_PROCESSES: i64 = super::super::process_score::MOST_SLOTS as i64 - 1;
const MIB: u64 = 1 << 20;

pub(super) fn parse(name: &str, arguments: &[&str]) -> Result<GroupOptions, String> {
    check_name(name)?;
    let mut group = GroupOptions {
        name: name.to_owned(),
        min_processes: 1,
        max_processes: 1,
        multiprocess: false,
        threads: 15,
        runtime_threads: 0,
        display_name: "%{GROUP}".into(),
        user: None,
        group: None,
        supplementary_groups: None,
        umask: None,
        home: None,
        chroot: None,
        lang: None,
        locale: None,
        socket_user: None,
        listen_backlog: 100,
        connect_timeout: Duration::from_secs(15),
        socket_timeout: None,
        response_socket_timeout: None,
        queue_timeout: Some(Duration::from_secs(45)),
        receive_buffer_size: None,
        send_buffer_size: None,
        header_buffer_size: MIB,
        response_buffer_size: 8 * MIB,
        response_flush_delay: Duration::ZERO,
        maximum_requests: None,
        restart_interval: None,
        inactivity_timeout: None,
        request_timeout: None,
        startup_timeout: Some(Duration::from_secs(60)),
        graceful_timeout: Duration::from_secs(15),
        eviction_timeout: Duration::ZERO,
        shutdown_timeout: Duration::from_secs(5),
        cpu_time_limit: None,
        cpu_priority: None,
        memory_limit: None,
        virtual_memory_limit: None,
        stack_size: None,
        queue_size: 100,
        crash_backoff: Duration::from_secs(1),
        jitter: 10,
    };
    let mut given: Vec<&'static str> = Vec::new();
    for argument in arguments {
        let Some((key, value)) = argument.split_once('=') else {
            return Err(format!("\"{}\": expected option=value", argument.escape_debug()));
        };
        let key = known(key)?;
        if given.contains(&key) {
            return Err(format!("option \"{key}\" is given twice"));
        }
        given.push(key);
        let wrong =
            |reason| format!("option \"{key}\": value \"{}\": {reason}", value.escape_debug());
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(wrong("expected a value without control characters".into()));
        }
        set(&mut group, key, value).map_err(wrong)?;
    }
    settle(&mut group, &given)?;
    Ok(group)
}

/// The option of that name.
fn known(key: &str) -> Result<&'static str, String> {
    if let Some(option) = OPTIONS.iter().find(|option| option.name == key) {
        return Ok(option.name);
    }
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(name, _)| *name == key) {
        return Err(format!("option \"{key}\" is mod_wsgi's; {instead}"));
    }
    let near = OPTIONS
        .iter()
        .map(|option| (distance(&key.to_ascii_lowercase(), option.name), option.name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().div_ceil(3));
    Err(match near {
        Some((_, name)) => {
            format!("option \"{}\" is unknown; did you mean \"{name}\"?", key.escape_debug())
        }
        None => {
            let names: Vec<&str> = OPTIONS.iter().map(|option| option.name).collect();
            format!(
                "option \"{}\" is unknown; allowed are {}",
                key.escape_debug(),
                names.join(", ")
            )
        }
    })
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn set(group: &mut GroupOptions, key: &str, value: &str) -> Result<(), String> {
    let processes = |value| units::count(value, 1, MOST_PROCESSES).map(|count| count as u32);
    let number = |value, least, most| units::count(value, least, most);
    let buffer = |value| units::size_or_off(value, 512, 1 << 30);
    match key {
        "processes" => {
            group.min_processes = processes(value)?;
            group.max_processes = group.min_processes;
        }
        "min-processes" => group.min_processes = processes(value)?,
        "max-processes" => group.max_processes = processes(value)?,
        "threads" => group.threads = number(value, 0, 4096)? as u32,
        "runtime-threads" => {
            group.runtime_threads = number(value, 0, units::MOST_RUNTIME_THREADS)? as usize;
        }
        "display-name" => value.clone_into(&mut group.display_name),
        "user" => group.user = Some(account(value, true)?),
        "group" => group.group = Some(account(value, true)?),
        "supplementary-groups" => group.supplementary_groups = Some(units::list(value)?),
        "umask" => group.umask = Some(units::creation_mask(value)?),
        "home" => group.home = Some(units::path(value)?),
        "chroot" => group.chroot = Some(units::path(value)?),
        "lang" => group.lang = Some(value.to_owned()),
        "locale" => group.locale = Some(value.to_owned()),
        "socket-user" => group.socket_user = Some(account(value, false)?),
        "listen-backlog" => group.listen_backlog = number(value, 1, 65535)? as u32,
        "connect-timeout" => group.connect_timeout = units::duration(value)?,
        "socket-timeout" => group.socket_timeout = units::time_or_off(value)?,
        "response-socket-timeout" => group.response_socket_timeout = units::time_or_off(value)?,
        "queue-timeout" => group.queue_timeout = units::time_or_off(value)?,
        "queue-size" => group.queue_size = number(value, 0, 1_000_000)? as u32,
        "receive-buffer-size" => group.receive_buffer_size = buffer(value)?,
        "send-buffer-size" => group.send_buffer_size = buffer(value)?,
        "header-buffer-size" => {
            group.header_buffer_size = units::size_within(value, 8192, 64 * MIB)?;
        }
        "response-buffer-size" => {
            group.response_buffer_size = units::size_within(value, 65536, 1 << 40)?;
        }
        "response-flush-delay" => {
            let most = Duration::from_secs(10);
            group.response_flush_delay = units::time_within(value, Duration::ZERO, most)?;
        }
        "maximum-requests" => {
            let requests = number(value, 0, i64::MAX)? as u64;
            group.maximum_requests = Some(requests).filter(|requests| *requests > 0);
        }
        "restart-interval" => group.restart_interval = units::time_or_off(value)?,
        "jitter" => group.jitter = units::percent(value, 50)?,
        "inactivity-timeout" => group.inactivity_timeout = units::time_or_off(value)?,
        "request-timeout" => group.request_timeout = units::time_or_off(value)?,
        "startup-timeout" => group.startup_timeout = units::time_or_off(value)?,
        "graceful-timeout" => group.graceful_timeout = units::duration(value)?,
        "eviction-timeout" => group.eviction_timeout = units::duration(value)?,
        "shutdown-timeout" => group.shutdown_timeout = units::duration(value)?,
        "cpu-time-limit" => group.cpu_time_limit = units::time_or_off(value)?,
        "cpu-priority" => group.cpu_priority = Some(number(value, -20, 19)? as i32),
        "memory-limit" => group.memory_limit = units::size_or_off(value, MIB, 1 << 50)?,
        "virtual-memory-limit" => {
            group.virtual_memory_limit = units::size_or_off(value, 16 * MIB, 1 << 50)?;
        }
        "stack-size" => group.stack_size = units::size_or_off(value, 65536, 1 << 30)?,
        "crash-backoff" => {
            let (least, most) = (Duration::from_millis(100), Duration::from_secs(60));
            group.crash_backoff = units::time_within(value, least, most)?;
        }
        _ => return Err(format!("option \"{key}\" has no rule: this is a bug of mod_rust")),
    }
    Ok(())
}

/// The name of a user or group, or `#` and its number.
fn account(text: &str, not_root: bool) -> Result<String, String> {
    let number = text.strip_prefix('#').map(str::parse::<u32>);
    if matches!(number, Some(Err(_))) {
        return Err("expected a name, or # and a number".into());
    }
    if not_root && (text == "root" || number == Some(Ok(0))) {
        return Err("root is refused: name an account without its rights".into());
    }
    Ok(text.to_owned())
}

/// Fills in what depends on other options, and refuses what contradicts itself.
fn settle(group: &mut GroupOptions, given: &[&str]) -> Result<(), String> {
    let has = |key| given.contains(&key);
    for other in ["min-processes", "max-processes"] {
        if has("processes") && has(other) {
            return Err(format!("options \"processes\" and \"{other}\": give one of the two"));
        }
    }
    if has("min-processes") && !has("max-processes") {
        group.max_processes = group.min_processes;
    }
    if group.min_processes > group.max_processes {
        return Err(format!(
            "min-processes={} is more than max-processes={}",
            group.min_processes, group.max_processes
        ));
    }
    group.multiprocess = ["processes", "min-processes", "max-processes"].into_iter().any(has);
    group.display_name = group.display_name.replace("%{GROUP}", &format!("(rust:{})", group.name));
    if group.eviction_timeout.is_zero() {
        group.eviction_timeout = group.graceful_timeout;
    }
    if group.threads == 0 {
        serves_nobody(group, given)?;
    }
    never_reached(group)
}

/// A service process has no use for options about requests.
fn serves_nobody(group: &GroupOptions, given: &[&str]) -> Result<(), String> {
    const OF_REQUESTS: [&str; 14] = [
        "socket-user",
        "listen-backlog",
        "connect-timeout",
        "socket-timeout",
        "response-socket-timeout",
        "queue-timeout",
        "queue-size",
        "receive-buffer-size",
        "send-buffer-size",
        "header-buffer-size",
        "response-buffer-size",
        "maximum-requests",
        "inactivity-timeout",
        "request-timeout",
    ];
    if let Some(option) = OF_REQUESTS.into_iter().find(|option| given.contains(option)) {
        return Err(format!("option \"{option}\": a group with threads=0 takes no requests"));
    }
    if group.min_processes < group.max_processes {
        return Err("min-processes and max-processes: a group with threads=0 has no load, give \
                    \"processes\""
            .into());
    }
    Ok(())
}

/// A limit that another one always forestalls is a mistake.
fn never_reached(group: &GroupOptions) -> Result<(), String> {
    let show = units::show;
    if let (Some(idle), Some(life)) = (group.inactivity_timeout, group.restart_interval)
        && idle >= life
    {
        return Err(format!(
            "inactivity-timeout={} is never reached: restart-interval={} is not longer",
            show(idle),
            show(life)
        ));
    }
    if let (Some(request), Some(life)) = (group.request_timeout, group.restart_interval)
        && request > life + group.graceful_timeout
    {
        return Err(format!(
            "request-timeout={} is never reached: a process ends after restart-interval={} and \
             graceful-timeout={}",
            show(request),
            show(life),
            show(group.graceful_timeout)
        ));
    }
    let Some(space) = group.virtual_memory_limit else { return Ok(()) };
    if group.memory_limit.is_some_and(|resident| resident >= space) {
        return Err("memory-limit is never reached: virtual-memory-limit is not larger".into());
    }
    if let Some(stack) = group.stack_size
        && stack.saturating_mul(u64::from(group.threads)) >= space
    {
        return Err(format!(
            "stack-size={stack} of threads={} does not fit into virtual-memory-limit={space}",
            group.threads
        ));
    }
    Ok(())
}
