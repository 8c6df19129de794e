//! The clocks of the scoreboard and of the log.

use rustix::time::{ClockId, clock_gettime};

/// Microseconds of CLOCK_MONOTONIC: the same in every process of the machine. No system call.
#[must_use]
pub fn monotonic_us() -> u64 {
    us(ClockId::Monotonic)
}

/// Microseconds since the Unix epoch.
#[must_use]
pub fn wall_us() -> u64 {
    us(ClockId::Realtime)
}

fn us(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    now.tv_sec.cast_unsigned() * 1_000_000 + now.tv_nsec.cast_unsigned() / 1000
}
