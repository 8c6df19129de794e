//! Errors of a search, each with its remedy.

use std::fmt;

/// The class of a [`LocateError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LocateErrorKind {
    /// No httpd program.
    Program,
    /// A program that is there but does not answer as httpd 2.4 does.
    Unusable,
    /// No folder with httpd's `mod_*.so`.
    Modules,
    /// No headers of httpd.
    HttpdHeaders,
    /// No headers of APR or APR-util.
    AprHeaders,
    /// A variable of [`ENV`](crate::ENV) that is set to something unusable.
    Environment,
}

/// A search that found nothing usable. Displays as two sentences: what is missing, and the remedy.
#[derive(Clone, Debug)]
pub struct LocateError {
    kind: LocateErrorKind,
    what: String,
}

impl LocateError {
    /// Returns the kind of the error, for a program to decide on.
    pub fn kind(&self) -> LocateErrorKind {
        self.kind
    }

    /// Returns the first sentence: what is missing and where it was looked for.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Returns the second sentence: what to install or to set.
    pub fn remedy(&self) -> &'static str {
        match self.kind {
            LocateErrorKind::Program => {
                "Install apache2 (Debian, Ubuntu) or httpd (Fedora, RHEL), or set HTTPD to its \
                 program."
            }
            LocateErrorKind::Unusable => {
                "Install a working httpd 2.4, or set HTTPD to the program of one."
            }
            LocateErrorKind::Modules => {
                "Install apache2-bin (Debian, Ubuntu) or httpd (Fedora, RHEL), or set \
                 HTTPD_MODULESDIR to the folder with its mod_*.so."
            }
            LocateErrorKind::HttpdHeaders => {
                "Install apache2-dev (Debian, Ubuntu) or httpd-devel (Fedora, RHEL), or set APXS \
                 or HTTPD_INCLUDEDIR."
            }
            LocateErrorKind::AprHeaders => {
                "Install libapr1-dev and libaprutil1-dev (Debian, Ubuntu) or apr-devel and \
                 apr-util-devel (Fedora, RHEL), or set APR_CONFIG and APU_CONFIG."
            }
            LocateErrorKind::Environment => "Correct the variable, or unset it to search again.",
        }
    }

    pub(crate) fn new(kind: LocateErrorKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }

    /// `variable` holds `value`, and that does not serve, because of `why`.
    pub(crate) fn environment(variable: &str, value: &std::path::Path, why: &str) -> Self {
        let what = format!("{variable} is set to `{}`, {why}.", value.display());
        Self::new(LocateErrorKind::Environment, what)
    }
}

impl fmt::Display for LocateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.remedy())
    }
}

impl std::error::Error for LocateError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_packages_of_both_families() {
        for kind in [
            LocateErrorKind::Program,
            LocateErrorKind::Modules,
            LocateErrorKind::HttpdHeaders,
            LocateErrorKind::AprHeaders,
        ] {
            let text = LocateError::new(kind, "It is not there.").to_string();
            assert!(text.starts_with("It is not there. Install "), "{text}");
            assert!(text.contains("(Debian, Ubuntu)"), "{text}");
            assert!(text.contains("(Fedora, RHEL)"), "{text}");
            assert!(text.ends_with('.'), "{text}");
        }
    }
}
