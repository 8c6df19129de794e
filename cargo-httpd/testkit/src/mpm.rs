//! Which MPMs a test runs with.

use httpd_config::Mpm;

use crate::modules;

/// Makes one test for each MPM out of a function that takes it: `name::prefork`, `name::worker` and
/// `name::event`.
///
/// Attributes before the function go to each test. `HTTPD_TESTKIT_MPMS=event,worker` leaves the
/// other MPMs out, for an httpd that was built without them; an MPM that is missing otherwise fails
/// its test.
///
/// ```no_run
/// httpd_testkit::mpm_tests! {
///     fn serves_files(mpm) {
///         let server =
///             httpd_testkit::Server::builder().mpm(mpm).file("htdocs/a.txt", "a").start();
///         assert_eq!(server.get("/a.txt").text(), "a");
///     }
/// }
/// ```
#[macro_export]
macro_rules! mpm_tests {
    ($($(#[$attribute:meta])* fn $name:ident($mpm:ident) $body:block)+) => {$(
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn run($mpm: $crate::Mpm) $body

            $(#[$attribute])*
            #[test]
            fn prefork() {
                if $crate::is_wanted($crate::Mpm::Prefork) {
                    run($crate::Mpm::Prefork);
                }
            }

            $(#[$attribute])*
            #[test]
            fn worker() {
                if $crate::is_wanted($crate::Mpm::Worker) {
                    run($crate::Mpm::Worker);
                }
            }

            $(#[$attribute])*
            #[test]
            fn event() {
                if $crate::is_wanted($crate::Mpm::Event) {
                    run($crate::Mpm::Event);
                }
            }
        }
    )+};
}

/// True if tests with `mpm` should run: unless `HTTPD_TESTKIT_MPMS` is set and does not name it.
///
/// # Panics
/// Panics when `HTTPD_TESTKIT_MPMS` names something that is not an MPM.
pub fn is_wanted(mpm: Mpm) -> bool {
    let wanted = std::env::var("HTTPD_TESTKIT_MPMS").unwrap_or_default();
    match named(&wanted) {
        Ok(mpms) => mpms.is_empty() || mpms.contains(&mpm),
        Err(error) => panic!("HTTPD_TESTKIT_MPMS is `{wanted}`: {error}"),
    }
}

/// Returns the MPM of a server that asks for none.
pub(crate) fn default() -> Result<Mpm, String> {
    match std::env::var("MPM").unwrap_or_default().as_str() {
        "" => match modules::httpd()?.mpms().as_slice() {
            // An httpd with one compiled in has no choice.
            [only] => Ok(*only),
            _ => Ok(Mpm::Event),
        },
        name => name.parse().map_err(|error| format!("MPM is `{name}`: {error}")),
    }
}

fn named(text: &str) -> Result<Vec<Mpm>, httpd_config::ParseMpmError> {
    text.split([',', ' ']).filter(|name| !name.is_empty()).map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_mpms() {
        assert_eq!(named(""), Ok(vec![]));
        assert_eq!(named("event, prefork"), Ok(vec![Mpm::Event, Mpm::Prefork]));
        assert!(named("event,perl").is_err());
    }
}
