//! Finds the Apache httpd of this machine: its program, modules and MPMs ([`Httpd`]), and the
//! headers to build a module with ([`Headers`]).
//!
//! Called by build scripts of crates that bind httpd, by `cargo httpd` and by test kits, so that
//! all of them mean the same installation. Std only, no state, no threads: each `locate` looks
//! again.
//!
//! # Order of the search
//! 1. The environment, in the variables of [`ENV`]. One that is set and unusable is an error, never
//!    skipped: what the user asked for is what he gets.
//! 2. `apxs` (or `apxs2`), and `apr-1-config` and `apu-1-config`, in `PATH`.
//! 3. The places where Debian, Fedora and RHEL, FreeBSD and Homebrew install them.
//!
//! ```no_run
//! let httpd = httpd_config::Httpd::locate()?;
//! println!("{} with MMN {}", httpd.server_string(), httpd.mmn());
//! # Ok::<(), httpd_config::LocateError>(())
//! ```
#![forbid(unsafe_code)]

mod apxs;
mod error;
mod headers;
mod httpd;
mod module;
mod places;
mod probe;

pub use apxs::Apxs;
pub use error::{LocateError, LocateErrorKind};
pub use headers::Headers;
pub use httpd::{Httpd, Mmn};
pub use module::{ModuleFile, Mpm, ParseMpmError};

/// Every environment variable that a search looks at, but for `PATH`.
///
/// A build script prints `cargo::rerun-if-env-changed` for each.
///
/// | variable | meaning |
/// | --- | --- |
/// | `APXS` | the `apxs` of the httpd to build for |
/// | `HTTPD` | httpd's program |
/// | `HTTPD_MODULESDIR` | the folder with httpd's `mod_*.so` |
/// | `HTTPD_INCLUDEDIR` | the folder with `httpd.h` |
/// | `APR_CONFIG`, `APU_CONFIG` | `apr-1-config` and `apu-1-config` |
pub const ENV: &[&str] =
    &["APXS", "HTTPD", "HTTPD_MODULESDIR", "HTTPD_INCLUDEDIR", "APR_CONFIG", "APU_CONFIG"];
