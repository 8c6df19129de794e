//! Runs the table of cases through every server. Each case gives its own result, or that of the
//! server's row.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::case::{Case, Level};
use crate::rows::{Logs, NOTHING, PASSES, Row, SHORT};
use crate::target::Target;
use crate::way::{MOUNT, Way};
use crate::{cases, driver, rows, ways};

/// The number of clients at once.
const CLIENTS: usize = 8;

/// Runs every case, and holds it to the table or to the row of the server.
fn run(name: &str, way: &Way) {
    let cases = cases::all();
    let rows = rows::of(name);
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(String::new());
    let used = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let row = rows.iter().position(|row| row.is_for(case));
                    if let Some(row) = row {
                        used.lock().expect("no panic").insert((row, case.name));
                    }
                    if let Err(what) = judge(way, case, row.map(|row| rows[row])) {
                        let mut failures = failures.lock().expect("no panic");
                        let _ = writeln!(failures, "--- {}\n{what}", case.name);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no panic");
    let used = used.into_inner().expect("no panic");
    for (at, row) in rows.iter().enumerate() {
        for case in row.cases.iter().filter(|case| !used.contains(&(at, **case))) {
            let _ = writeln!(failures, "--- {case}: there is no such case for {row:?}");
        }
    }
    check_log(way, &cases, &rows, &mut failures);
    assert!(failures.is_empty(), "{name}: of {} cases, these failed:\n{failures}", cases.len());
}

/// Checks that the log has every record that the cases and rows expect, as often as they say, and
/// no other error.
fn check_log(way: &Way, cases: &[Case], rows: &[&Row], failures: &mut String) {
    // The number of times that a record must occur, and whether more are allowed.
    let mut expected: BTreeMap<(Level, &str), (usize, bool)> = BTreeMap::new();
    for case in cases {
        let logs = rows.iter().find(|row| row.is_for(case)).map_or(Logs::Same, |row| row.logs);
        for (level, text) in &case.logs {
            let entry = expected.entry((*level, text)).or_default();
            match logs {
                Logs::Same => entry.0 += 1,
                Logs::Nothing => {}
                Logs::Anything => entry.1 = true,
            }
        }
    }
    let end = Instant::now() + way.patience();
    for ((level, text), (least, may_be_more)) in &expected {
        let fits = |count: usize| count == *least || (*may_be_more && count > *least);
        // A record may be written after its response.
        while !fits(way.records(*level, text).len()) && Instant::now() < end {
            thread::sleep(Duration::from_millis(10));
        }
        let found = way.records(*level, text);
        if !fits(found.len()) {
            let _ = writeln!(
                failures,
                "--- the log has {} and not {least} records of level {level:?} with `{text}`: \
                 {found:#?}",
                found.len()
            );
        }
    }
    for record in way.records(Level::Info, "odd-") {
        if record.contains(char::is_control) {
            let _ = writeln!(failures, "--- a record has control characters: {record:?}");
        }
    }
    for level in [Level::Error, Level::Warn] {
        for record in way.records(level, "") {
            if !expected.keys().any(|(_, text)| record.contains(text)) {
                let _ = writeln!(failures, "--- the log has what no case expects: {record}");
            }
        }
    }
}

fn judge(way: &Way, case: &Case, row: Option<&Row>) -> Result<(), String> {
    let Some(row) = row else { return driver::converse(way, case, way.patience()) };
    let is_short = row.seen.contains(&NOTHING);
    let met = driver::converse(way, case, if is_short { SHORT } else { way.patience() });
    let met = met.err().unwrap_or_else(|| PASSES.to_owned());
    let is_nothing = |seen: &str| seen == NOTHING && met.contains(&format!("(after {SHORT:?})"));
    if row.seen.iter().any(|seen| met.contains(seen) || is_nothing(seen)) {
        return Ok(());
    }
    Err(format!("expected {:?} ({}), and saw: {met}", row.seen, row.why))
}

macro_rules! ways {
    ($($name:ident)+) => {$(
        #[test]
        fn $name() {
            run(stringify!($name), &ways::$name(MOUNT).start());
        }
    )+};
}

ways! {
    nginx_fastcgi nginx_unbuffered nginx_fastcgi_kept nginx_fastcgi_socket nginx_scgi nginx_uwsgi nginx_http spawn_fcgi
    lighttpd_fastcgi lighttpd_spawns lighttpd_scgi lighttpd_uwsgi lighttpd_cgi
    proxy_fcgi proxy_fcgi_socket proxy_scgi proxy_uwsgi proxy_http
    fcgid cgid cgi_prefork cgi_fcgi
    http
}
