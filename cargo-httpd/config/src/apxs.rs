//! apxs, httpd's own extension tool: it knows every path of the httpd that it was installed with.

use std::path::{Path, PathBuf};

use crate::error::LocateError;
use crate::probe::{self, Env};

const QUERY: [&str; 7] = [
    "progname",
    "sbindir",
    "libexecdir",
    "includedir",
    "EXTRA_CPPFLAGS",
    "APR_CONFIG",
    "APU_CONFIG",
];

/// An `apxs` and what it says about its httpd.
#[derive(Clone, Debug)]
pub struct Apxs {
    path: PathBuf,
    answers: Answers,
}

impl Apxs {
    /// Looks for apxs: `APXS`, then `apxs` and `apxs2` in `PATH`.
    ///
    /// # Errors
    /// Fails when `APXS` is set and does not hold a working apxs. No apxs that works is `Ok(None)`.
    pub fn locate() -> Result<Option<Self>, LocateError> {
        Self::locate_in(&Env(&|name| std::env::var_os(name)))
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the program of its httpd. It need not be there: Debian's apxs comes without httpd.
    pub fn program(&self) -> PathBuf {
        self.answers.sbindir.join(&self.answers.progname)
    }

    /// Returns the folder with its httpd's `mod_*.so`.
    pub fn modules_dir(&self) -> &Path {
        &self.answers.libexecdir
    }

    /// Returns the folder with its `httpd.h`.
    pub fn include_dir(&self) -> &Path {
        &self.answers.includedir
    }

    pub(crate) fn cppflags(&self) -> &[String] {
        &self.answers.cppflags
    }

    /// `apr-1-config` and `apu-1-config` as it was built with.
    pub(crate) fn config_programs(&self) -> (&Path, &Path) {
        (&self.answers.apr_config, &self.answers.apu_config)
    }

    pub(crate) fn locate_in(env: &Env<'_>) -> Result<Option<Self>, LocateError> {
        let asked_for = env.program("APXS")?;
        let explicit = asked_for.is_some();
        let Some(path) = asked_for.or_else(|| env.in_path(&["apxs", "apxs2"])) else {
            return Ok(None);
        };
        let mut args = vec!["-q"];
        args.extend(QUERY);
        match probe::output(&path, &args).as_deref().and_then(parse_query) {
            Some(answers) => Ok(Some(Self { path, answers })),
            None if explicit => {
                let why = "which does not answer `apxs -q` as httpd 2.4's does";
                Err(LocateError::environment("APXS", &path, why))
            }
            // One that nobody asked for and that does not work (no perl): the places know as much.
            None => Ok(None),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Answers {
    progname: String,
    sbindir: PathBuf,
    libexecdir: PathBuf,
    includedir: PathBuf,
    cppflags: Vec<String>,
    apr_config: PathBuf,
    apu_config: PathBuf,
}

/// Reads the answer to `apxs -q` with the names of [`QUERY`]: the values, `;;` between them.
fn parse_query(text: &str) -> Option<Answers> {
    let values: Vec<_> = text.trim_end_matches('\n').split(";;").map(str::trim).collect();
    let [progname, sbindir, libexecdir, includedir, cppflags, apr_config, apu_config] =
        values.try_into().ok()?;
    if [progname, sbindir, libexecdir, includedir].contains(&"") {
        return None;
    }
    Some(Answers {
        progname: progname.into(),
        sbindir: sbindir.into(),
        libexecdir: libexecdir.into(),
        includedir: includedir.into(),
        cppflags: shlex::split(cppflags)?,
        apr_config: apr_config.into(),
        apu_config: apu_config.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian() {
        let answers = parse_query(
            "apache2;;/usr/sbin;;/usr/lib/apache2/modules;;/usr/include/apache2;;-DLINUX \
             -D_REENTRANT -D_GNU_SOURCE ;;/usr/bin/apr-1-config;;/usr/bin/apu-1-config\n",
        )
        .unwrap();
        assert_eq!(answers.progname, "apache2");
        assert_eq!(answers.sbindir, Path::new("/usr/sbin"));
        assert_eq!(answers.libexecdir, Path::new("/usr/lib/apache2/modules"));
        assert_eq!(answers.includedir, Path::new("/usr/include/apache2"));
        assert_eq!(answers.cppflags, ["-DLINUX", "-D_REENTRANT", "-D_GNU_SOURCE"]);
        assert_eq!(answers.apr_config, Path::new("/usr/bin/apr-1-config"));
        assert_eq!(answers.apu_config, Path::new("/usr/bin/apu-1-config"));
    }

    #[test]
    fn flags_are_split_as_in_a_shell() {
        let text = r#"h;;/s;;/l;;/i;;-DA='"a b"' -DB;;;;"#;
        assert_eq!(parse_query(text).unwrap().cppflags, ["-DA=\"a b\"", "-DB"]);
    }

    #[test]
    fn without_the_apr_programs() {
        let answers =
            parse_query("httpd;;/usr/sbin;;/usr/lib64/httpd/modules;;/usr/include/httpd;;;;;;\n")
                .unwrap();
        assert_eq!(answers.libexecdir, Path::new("/usr/lib64/httpd/modules"));
        assert!(answers.cppflags.is_empty());
        assert_eq!(answers.apr_config, Path::new(""));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "\n", "apxs:Error: Invalid query string `progname'.\n", ";;;;;;;;;;;;"] {
            assert_eq!(parse_query(text), None, "{text:?}");
        }
    }
}
