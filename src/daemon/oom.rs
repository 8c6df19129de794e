//! Whether the system has killed for want of memory.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often it had when it was last asked.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// Notes how things stand.
pub(super) fn watch() {
    SEEN.store(count().unwrap_or(0), Ordering::Relaxed);
}

/// Whether the out-of-memory killer has struck since it was last asked (proc(5), `oom_kill` in
/// /proc/vmstat).
pub(super) fn has_struck() -> bool {
    let Some(now) = count() else { return false };
    SEEN.swap(now, Ordering::Relaxed) < now
}

fn count() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_was_killed_meanwhile() {
        super::watch();
        assert!(super::count().is_some() && !super::has_struck());
    }
}
