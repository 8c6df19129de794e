//! 200 slow clients at a process group with two threads: everything is served and right, and fast
//! clients do not notice. `cargo test --test crowd` is the same with thousands.

mod fast;
mod plan;
mod run;
mod slow;

use std::time::Duration;

use self::plan::Plan;

fn plan() -> Plan {
    Plan {
        clients: [120, 30, 10, 36, 4],
        processes: 2,
        threads: 1,
        children: 2,
        child_threads: 100,
        alone: Duration::from_secs(1),
        together: Duration::from_secs(5),
        silence: Duration::from_secs(2),
        reads: (64 * 1024, Duration::from_millis(100)),
        sends: (10, Duration::from_millis(200)),
        // Other tests run at the same time; a client that slow clients delay is delayed by seconds.
        at_least_us: 100_000,
        body_seconds: 4,
    }
}

#[test]
fn slow_clients_delay_no_other() {
    let outcome = run::run(&plan());
    outcome.print();
    let faults = outcome.faults();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
