//! The soak tests take minutes or hours, so they run by name. Each prints a table, and fails by its
//! exit status.
//!
//! ```text
//! cargo test --test soak -- --requests 1000000 --mpm event
//! cargo test --test soak -- --daemon --minutes 60 --mpm event
//! cargo test --test soak -- --restarts 200 --gateway daemon --mpm worker
//! ```

#[path = "../restart/load.rs"]
mod load;
#[path = "../restart/many.rs"]
mod many;
mod minutes;
mod requests;
mod restarts;
#[path = "../restart/targets.rs"]
mod targets;

use std::fmt::Display;
use std::process::ExitCode;
use std::str::FromStr;

use httpd_testkit::Mpm;

use self::targets::Gateway;

const USAGE: &str = "usage: cargo test --test soak -- [what] [--mpm event|worker|prefork]
what:
  --requests N        so many requests to applications in httpd's children (1000000)
  --daemon            requests of every kind to a process group, for so many minutes:
    --minutes N       (60)
  --restarts N        so many graceful restarts under load, with
    --gateway embedded|daemon|mod_wsgi
                      the applications there (daemon)";

enum What {
    Requests(u32),
    Minutes(u64),
    Restarts(u32, Gateway),
}

fn arguments() -> Result<(What, Mpm), String> {
    fn value<T: FromStr<Err: Display>>(word: &str, value: Option<String>) -> Result<T, String> {
        let value = value.ok_or_else(|| format!("{word}: a value is missing\n{USAGE}"))?;
        value.parse().map_err(|error| format!("{word} {value}: {error}\n{USAGE}"))
    }
    let mut words = std::env::args().skip(1);
    let (mut mpm, mut what) = (Mpm::Event, What::Requests(1_000_000));
    let (mut gateway, mut minutes) = (Gateway::Daemon, 60);
    while let Some(word) = words.next() {
        match &*word {
            "--requests" => what = What::Requests(value(&word, words.next())?),
            "--daemon" => what = What::Minutes(0),
            "--minutes" => minutes = value(&word, words.next())?,
            "--restarts" => what = What::Restarts(value(&word, words.next())?, gateway),
            "--gateway" => gateway = value(&word, words.next())?,
            "--mpm" => mpm = value(&word, words.next())?,
            _ => return Err(format!("{word}: there is no such option\n{USAGE}")),
        }
    }
    match &mut what {
        What::Requests(_) => {}
        What::Minutes(length) => *length = minutes,
        What::Restarts(_, of) => *of = gateway,
    }
    Ok((what, mpm))
}

fn main() -> ExitCode {
    match arguments() {
        Ok((What::Requests(requests), mpm)) => requests::run(requests, mpm),
        Ok((What::Minutes(minutes), mpm)) => minutes::run(minutes, mpm),
        Ok((What::Restarts(count, gateway), mpm)) => restarts::run(count, gateway, mpm),
        Err(usage) => {
            eprintln!("{usage}");
            ExitCode::from(2)
        }
    }
}
