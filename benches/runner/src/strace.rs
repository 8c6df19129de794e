//! Reads strace's summaries: how often each system call was made.

use std::collections::BTreeMap;
use std::path::Path;

/// Calls by name.
pub(crate) type Calls = BTreeMap<String, f64>;

/// Sums up the summaries of a folder, one a program. `None` while one of them is not complete.
pub(crate) fn read_folder(folder: &Path) -> Option<Calls> {
    let mut calls = Calls::new();
    let mut files = 0;
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("strace.") {
            read(&std::fs::read_to_string(entry.path()).ok()?, &mut calls)?;
            files += 1;
        }
    }
    (files > 0).then_some(calls)
}

/// Calls of the long run less those of the short one, for one of the requests that differ; the most
/// frequent first, without what happens less than once in twenty requests.
pub(crate) fn difference(long: &Calls, short: &Calls, requests: f64) -> Vec<(String, f64)> {
    let mut calls: Vec<_> = long
        .iter()
        .map(|(name, count)| {
            let before = short.get(name).copied().unwrap_or(0.0);
            (name.clone(), (count - before) / requests)
        })
        .filter(|(_, count)| *count >= 0.05)
        .collect();
    calls.sort_by(|one, other| other.1.total_cmp(&one.1));
    calls
}

/// Columns: share of time, seconds, microseconds a call, calls, errors if any, name.
fn read(text: &str, calls: &mut Calls) -> Option<()> {
    for line in text.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (Some(count), Some(name)) = (fields.get(3), fields.last()) else { continue };
        // Neither the heading nor the rulers have a number there.
        let Ok(count) = count.parse::<f64>() else { continue };
        if *name == "total" {
            return Some(());
        }
        *calls.entry((*name).to_owned()).or_default() += count;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUMMARY: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 93.02    1.234567          12      1000           futex
  6.98    0.012345           2       200        17 read
------ ----------- ----------- --------- --------- ----------------
100.00    1.246912           1      1200        17 total
";

    #[test]
    fn calls_with_and_without_errors() {
        let mut calls = Calls::new();
        assert_eq!(read(SUMMARY, &mut calls), Some(()));
        assert_eq!(calls, Calls::from([("futex".into(), 1000.0), ("read".into(), 200.0)]));
        let short = Calls::from([("futex".into(), 500.0), ("read".into(), 199.0)]);
        assert_eq!(difference(&calls, &short, 100.0), [("futex".to_owned(), 5.0)]);
    }

    #[test]
    fn a_summary_without_its_end_is_not_complete() {
        let end = SUMMARY.find("100.00").unwrap();
        assert_eq!(read(&SUMMARY[..end], &mut Calls::new()), None);
    }
}
