//! Why a process is replaced, or ends.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal $word:literal,)*) => {
        /// Why a process is replaced, or ends. Words are mod_wsgi's where it has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum Reason {
            $($(#[$doc])* $name = $code,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns its word in logs and snapshots, which stays the same.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            pub(super) const fn from_code(code: u32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    /// It has had `maximum-requests`.
    MaximumRequests = 1 "maximum_requests",
    /// `restart-interval` is over.
    RestartInterval = 2 "restart_interval",
    /// The group had no request for `inactivity-timeout`.
    InactivityTimeout = 3 "inactivity_timeout",
    /// It has more than `memory-limit` resident.
    MemoryLimit = 4 "memory_limit",
    /// A request took longer than `request-timeout`.
    RequestTimeout = 5 "request_timeout",
    /// It has used `cpu-time-limit`.
    CpuTimeLimit = 6 "cpu_time_limit",
    /// It was not ready within `startup-timeout`.
    StartupTimeout = 7 "startup_timeout",
    /// SIGUSR1.
    GracefulSignal = 8 "graceful_signal",
    /// SIGTERM or SIGINT.
    ShutdownSignal = 9 "shutdown_signal",
    /// The load asks for fewer processes.
    ScaleDown = 10 "scale_down",
    /// All of its generation's httpd children are gone.
    GenerationOver = 11 "generation_over",
    /// The control command asked for it.
    ControlCommand = 12 "control_command",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_distinct_names() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(Reason::from_code(*reason as u32), Some(*reason));
            assert!(Reason::ALL[..index].iter().all(|other| other.word() != reason.word()));
            assert!(reason.word().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        }
        assert_eq!((Reason::from_code(0), Reason::from_code(99)), (None, None));
    }
}
