//! `ErrorLog syslog:facility:tag`, for processes that open the system's log themselves.

use std::ffi::{CStr, CString, c_int};

use super::server::Server;

/// The system's log as the main server's ErrorLog names it.
pub(super) struct Syslog {
    /// The name at the beginning of each line, which the C library keeps a pointer to.
    tag: CString,
    facility: c_int,
}

impl Syslog {
    /// Returns what `main` says, if its ErrorLog is the system's log.
    pub(super) fn of(main: Server<'_>) -> Option<Self> {
        let error_log = String::from_utf8_lossy(main.syslog()?).into_owned();
        let program = main.program_name().map_or(Vec::new(), |name| {
            // SAFETY: P5, P14: httpd's own command line.
            unsafe { CStr::from_ptr(name) }.to_bytes().to_vec()
        });
        let program = String::from_utf8_lossy(&program);
        let (facility, tag) = parse(&error_log);
        let tag = tag.unwrap_or_else(|| program.rsplit('/').next().unwrap_or_default());
        Some(Self { tag: CString::new(tag).unwrap_or_default(), facility })
    }

    /// Connects to the system's log.
    pub(super) fn open(&'static self) {
        let options = libc::LOG_NDELAY | libc::LOG_CONS | libc::LOG_PID;
        // SAFETY: P13: one thread; the tag lives as long as the process.
        unsafe { libc::openlog(self.tag.as_ptr(), options, self.facility) };
    }
}

/// Splits ErrorLog as httpd does: the facility may be shortened, and the first that fits counts.
fn parse(error_log: &str) -> (c_int, Option<&str>) {
    let mut words = error_log.splitn(3, ':').skip(1);
    let (facility, tag) = (words.next().unwrap_or_default(), words.next());
    let fits = |name: &str| {
        let start = name.as_bytes().get(..facility.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(facility.as_bytes()))
    };
    let found = FACILITIES.iter().find(|(name, _)| !facility.is_empty() && fits(name));
    (found.map_or(libc::LOG_LOCAL7, |(_, number)| *number), tag.filter(|tag| !tag.is_empty()))
}

const FACILITIES: &[(&str, c_int)] = &[
    ("auth", libc::LOG_AUTH),
    ("authpriv", libc::LOG_AUTHPRIV),
    ("cron", libc::LOG_CRON),
    ("daemon", libc::LOG_DAEMON),
    ("ftp", libc::LOG_FTP),
    ("kern", libc::LOG_KERN),
    ("lpr", libc::LOG_LPR),
    ("mail", libc::LOG_MAIL),
    ("news", libc::LOG_NEWS),
    ("syslog", libc::LOG_SYSLOG),
    ("user", libc::LOG_USER),
    ("uucp", libc::LOG_UUCP),
    ("local0", libc::LOG_LOCAL0),
    ("local1", libc::LOG_LOCAL1),
    ("local2", libc::LOG_LOCAL2),
    ("local3", libc::LOG_LOCAL3),
    ("local4", libc::LOG_LOCAL4),
    ("local5", libc::LOG_LOCAL5),
    ("local6", libc::LOG_LOCAL6),
    ("local7", libc::LOG_LOCAL7),
];

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn facility_and_tag() {
        for (error_log, facility, tag) in [
            ("syslog", libc::LOG_LOCAL7, None),
            ("syslog:local3", libc::LOG_LOCAL3, None),
            ("syslog:USER:shop", libc::LOG_USER, Some("shop")),
            ("syslog::shop", libc::LOG_LOCAL7, Some("shop")),
            ("syslog:daemon:", libc::LOG_DAEMON, None),
            ("syslog:auth", libc::LOG_AUTH, None),
            ("syslog:authp", libc::LOG_AUTHPRIV, None),
        ] {
            assert_eq!(parse(error_log), (facility, tag), "{error_log}");
        }
    }
}
