//! The memory of this process.

/// Returns the resident set in bytes (`proc_pid_statm(5)`), if the kernel says.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_has_some() {
        let bytes = super::resident_bytes().unwrap();
        assert!(bytes > 64 * 1024 && bytes < 1 << 40, "{bytes}");
    }
}
