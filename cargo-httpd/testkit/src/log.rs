//! Reading httpd's logs, and finding in them what must not be there.

use std::path::Path;

/// Texts that no test may leave in the ErrorLog or on standard error, whichever module wrote them.
const BAD: &[&str] = &[
    "panicked",
    // A child that a signal ended: AH00051 when it also dumped core.
    "AH00051",
    "AH00052",
    // AddressSanitizer, LeakSanitizer, ThreadSanitizer.
    "Sanitizer:",
    // The messages of glibc before it aborts.
    "double free or corruption",
    "stack smashing detected",
    "free(): invalid",
    "malloc(): ",
];

const BAD_LEVELS: [&str; 4] = ["error", "crit", "alert", "emerg"];

/// Returns the text of a log file, empty when there is none; bytes that are not UTF-8 replaced.
pub(crate) fn read(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

/// Returns the last lines.
pub(crate) fn tail(text: &str) -> &str {
    const LINES: usize = 80;
    let starts = text.trim_end().rmatch_indices('\n').map(|(at, _)| at + 1);
    &text[starts.take(LINES).nth(LINES - 1).unwrap_or(0)..]
}

/// Counts the generations that have begun to serve. httpd writes this line at every `LogLevel`.
pub(crate) fn generations(error_log: &str) -> usize {
    error_log.lines().filter(|line| line.contains("resuming normal operations")).count()
}

/// Returns the lines of a log that must not be there. `modules` are the names by which the modules
/// under test log, `allowed` the texts that excuse a line.
pub(crate) fn problems(text: &str, modules: &[String], allowed: &[String]) -> Vec<String> {
    let levels: Vec<_> = modules
        .iter()
        .flat_map(|module| BAD_LEVELS.map(|level| format!("[{module}:{level}]")))
        .collect();
    let is_bad = |line: &str| {
        BAD.iter().any(|bad| line.contains(bad))
            || levels.iter().any(|level| line.contains(level))
            || is_valgrind_finding(line)
    };
    let lines: Vec<_> = text.lines().collect();
    let bad = (0..lines.len()).filter(|&at| is_bad(lines[at])).map(|at| {
        // Rust's own panic message names the place in one line and the reason in the next.
        let reason = lines.get(at + 1).filter(|_| lines[at].ends_with(':'));
        reason.map_or_else(|| lines[at].to_owned(), |reason| format!("{}\n{reason}", lines[at]))
    });
    bad.filter(|problem| !allowed.iter().any(|text| problem.contains(text))).collect()
}

/// Returns true for a line of memcheck's: an error, or the count of them, which `--quiet` leaves
/// out.
fn is_valgrind_finding(line: &str) -> bool {
    const ERRORS: &[&str] = &[
        "Argument '",
        "Conditional jump",
        "Invalid ",
        "Jump to the invalid",
        "Mismatched free",
        "Source and destination overlap",
        "Syscall param",
        "Use of uninitialised",
    ];
    let pid = line.strip_prefix("==").and_then(|rest| rest.split_once("== "));
    let Some((_, text)) = pid.filter(|(pid, _)| pid.bytes().all(|byte| byte.is_ascii_digit()))
    else {
        return false;
    };
    let count = text.strip_prefix("ERROR SUMMARY: ");
    count.is_some_and(|count| !count.starts_with("0 errors"))
        || ERRORS.iter().any(|error| text.starts_with(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, allowed: &[&str]) -> Vec<String> {
        let allowed: Vec<_> = allowed.iter().map(|text| (*text).to_owned()).collect();
        problems(text, &["rust".to_owned(), "hello".to_owned()], &allowed)
    }

    #[test]
    fn errors_of_the_modules_under_test_are_problems() {
        let text = "[rust:error] a\n[hello:crit] b\n[rust:warn] c\n[core:error] d\n[ssl:emerg] e";
        assert_eq!(found(text, &[]), ["[rust:error] a", "[hello:crit] b"]);
        assert_eq!(found(text, &["] a"]), ["[hello:crit] b"]);
    }

    #[test]
    fn panics_are_allowed_by_position_or_by_reason() {
        let text = "thread '<unnamed>' panicked at src/lib.rs:3:5:\nno luck\nnote: run with";
        let problem = "thread '<unnamed>' panicked at src/lib.rs:3:5:\nno luck";
        assert_eq!(found(text, &[]), [problem]);
        assert!(found(text, &["no luck"]).is_empty());
        assert!(found(text, &["src/lib.rs"]).is_empty());
        assert_eq!(found(text, &["note:"]), [problem]);
    }

    #[test]
    fn crashes_and_checkers_are_problems() {
        let text = "AH00052: child pid 5 exit signal Aborted (6)\n==5== ERROR SUMMARY: 2 errors\n\
                    ==6== ERROR SUMMARY: 0 errors from 0 contexts\n==6== Memcheck, a memory\n\
                    ==8== Invalid read of size 8\n==8==    at 0x109177: main (v.c:3)\n\
                    ==7==ERROR: AddressSanitizer: heap-use-after-free";
        assert_eq!(found(text, &[]).len(), 4, "{:?}", found(text, &[]));
    }

    #[test]
    fn tails() {
        assert_eq!(tail(""), "");
        assert_eq!(tail("a\nb\n"), "a\nb\n");
        let text: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert!(tail(&text).starts_with("20\n"), "{}", tail(&text));
        assert_eq!(tail(&text).lines().count(), 80);
    }
}
