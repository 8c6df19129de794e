//! The folders in which known systems install httpd, used if neither the environment nor apxs names
//! one.
//!
//! Debian and Ubuntu come first, then Fedora, RHEL and Arch, openSUSE, FreeBSD, Homebrew on Arm and
//! on Intel, and httpd's own default prefix.

/// httpd's program.
pub(crate) const PROGRAMS: &[&str] = &[
    "/usr/sbin/apache2",
    "/usr/sbin/httpd",
    "/usr/bin/httpd",
    "/usr/local/sbin/httpd",
    "/opt/homebrew/bin/httpd",
    "/usr/local/bin/httpd",
    "/usr/local/apache2/bin/httpd",
];

/// A program, by its start, and the folder of the modules that come with it.
pub(crate) const MODULES: &[(&str, &str)] = &[
    ("/usr/sbin/apache2", "/usr/lib/apache2/modules"),
    ("/usr/", "/usr/lib64/httpd/modules"),
    ("/usr/", "/usr/lib/httpd/modules"),
    ("/usr/", "/usr/lib64/apache2"),
    ("/usr/local/sbin/", "/usr/local/libexec/apache24"),
    ("/opt/homebrew/", "/opt/homebrew/lib/httpd/modules"),
    ("/usr/local/bin/", "/usr/local/lib/httpd/modules"),
    ("/usr/local/apache2/", "/usr/local/apache2/modules"),
];

/// The folder with `httpd.h`.
pub(crate) const HTTPD_INCLUDES: &[&str] = &[
    "/usr/include/apache2",
    "/usr/include/httpd",
    "/usr/local/include/apache24",
    "/opt/homebrew/include/httpd",
    "/usr/local/include/httpd",
    "/usr/local/apache2/include",
];

/// The folder with `apr.h`.
pub(crate) const APR_INCLUDES: &[&str] = &[
    "/usr/include/apr-1.0",
    "/usr/include/apr-1",
    "/usr/local/include/apr-1",
    "/opt/homebrew/opt/apr/include/apr-1",
    "/usr/local/opt/apr/include/apr-1",
    "/usr/local/apache2/include",
    "/usr/local/apr/include/apr-1",
];

/// The folder with `apu.h`.
pub(crate) const APU_INCLUDES: &[&str] = &[
    "/usr/include/apr-1.0",
    "/usr/include/apr-1",
    "/usr/local/include/apr-1",
    "/opt/homebrew/opt/apr-util/include/apr-1",
    "/usr/local/opt/apr-util/include/apr-1",
    "/usr/local/apache2/include",
    "/usr/local/apr/include/apr-1",
];

/// The account that httpd's children get when httpd starts as root.
pub(crate) const ACCOUNTS: &[&str] = &["www-data", "apache", "http", "wwwrun", "www", "_www"];
