//! The installed program: which version, which modules, where they are.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::apxs::Apxs;
use crate::error::{LocateError, LocateErrorKind};
use crate::module::{self, ModuleFile, Mpm};
use crate::places;
use crate::probe::{self, Env};

/// An installed httpd 2.4.
#[derive(Clone, Debug)]
pub struct Httpd {
    program: PathBuf,
    about: About,
    modules_dir: PathBuf,
    static_modules: Vec<String>,
}

/// httpd's module magic number: a module built for another `major`, or for a larger `minor`, does
/// not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mmn {
    /// Grows when the binary interface breaks: `20120211` throughout 2.4.
    pub major: u32,
    /// Grows when something is added.
    pub minor: u32,
}

impl Httpd {
    /// Looks for httpd: `HTTPD`, the one that apxs belongs to, `PATH`, the known places.
    ///
    /// # Errors
    /// Fails when there is none, it does not run, or its modules are not found.
    pub fn locate() -> Result<Self, LocateError> {
        Self::locate_in(&Env(&|name| std::env::var_os(name)))
    }

    /// Returns the program: `/usr/sbin/apache2`, `/usr/sbin/httpd`.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Returns the version: `2.4.71`.
    pub fn version(&self) -> &str {
        &self.about.version
    }

    /// Returns its own description: `Apache/2.4.71 (Debian)`.
    pub fn server_string(&self) -> &str {
        &self.about.server_string
    }

    /// Returns its module magic number.
    pub fn mmn(&self) -> Mmn {
        self.about.mmn
    }

    /// `HTTPD_ROOT` that it was compiled with, if it says so.
    pub fn root(&self) -> Option<&Path> {
        self.about.root.as_deref()
    }

    /// Returns the folder with its `mod_*.so`.
    pub fn modules_dir(&self) -> &Path {
        &self.modules_dir
    }

    /// Returns the source files of the modules compiled in, as `httpd -l` lists them: `core.c`,
    /// `mod_so.c`.
    pub fn static_modules(&self) -> &[String] {
        &self.static_modules
    }

    /// Finds the module `name`: `authz_core`, `mpm_event`, `ssl`.
    pub fn module(&self, name: &str) -> ModuleFile {
        module::find(name, &self.static_modules, &self.modules_dir)
    }

    /// Returns the MPMs that can be used: the one compiled in, or every one that can be loaded.
    pub fn mpms(&self) -> Vec<Mpm> {
        let of_kind = |wanted: fn(&ModuleFile) -> bool| -> Vec<Mpm> {
            let mpms = Mpm::ALL.into_iter();
            mpms.filter(|mpm| wanted(&self.module(mpm.module_name()))).collect()
        };
        let compiled_in = of_kind(|file| *file == ModuleFile::Static);
        if compiled_in.is_empty() { of_kind(ModuleFile::is_available) } else { compiled_in }
    }

    /// Returns the user and group that its children should have when it is started as root: those
    /// of this system's httpd package, if `/etc/passwd` and `/etc/group` have them.
    pub fn user_and_group() -> Option<(&'static str, &'static str)> {
        let read = |file| std::fs::read_to_string(file).unwrap_or_default();
        account(&read("/etc/passwd"), &read("/etc/group"))
    }

    pub(crate) fn locate_in(env: &Env<'_>) -> Result<Self, LocateError> {
        let apxs = Apxs::locate_in(env)?;
        let program = find_program(env, apxs.as_ref())?;
        let unusable = |what: &str| {
            let what = format!("`{} {what}", program.display());
            LocateError::new(LocateErrorKind::Unusable, what)
        };
        // An empty configuration: what stands in the system's may not even parse here.
        let about = probe::output(&program, &["-V", "-f", "/dev/null"])
            .as_deref()
            .and_then(parse_about)
            .ok_or_else(|| unusable("-V` does not answer as httpd does."))?;
        if !about.version.starts_with("2.4.") {
            return Err(unusable(&format!("` is httpd {}, not 2.4.", about.version)));
        }
        let static_modules = probe::output(&program, &["-l"])
            .map(|text| parse_static_modules(&text))
            .filter(|modules| !modules.is_empty())
            .ok_or_else(|| unusable("-l` does not list its modules."))?;
        let modules_dir = find_modules(env, apxs.as_ref(), &program, about.root.as_deref())?;
        Ok(Self { program, about, modules_dir, static_modules })
    }
}

impl fmt::Display for Mmn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

fn find_program(env: &Env<'_>, apxs: Option<&Apxs>) -> Result<PathBuf, LocateError> {
    if let Some(program) = env.program("HTTPD")? {
        return Ok(program);
    }
    apxs.map(Apxs::program)
        .filter(|program| probe::is_program(program))
        .or_else(|| env.in_path(&["apache2", "httpd"]))
        .or_else(|| places::PROGRAMS.iter().map(PathBuf::from).find(|p| probe::is_program(p)))
        .ok_or_else(|| {
            let what = "Apache httpd is not installed: no apxs, apache2 or httpd in PATH, nor in \
                        the usual places.";
            LocateError::new(LocateErrorKind::Program, what)
        })
}

fn find_modules(
    env: &Env<'_>,
    apxs: Option<&Apxs>,
    program: &Path,
    root: Option<&Path>,
) -> Result<PathBuf, LocateError> {
    if let Some(folder) = env.path("HTTPD_MODULESDIR") {
        return if has_modules(&folder) {
            Ok(folder)
        } else {
            let why = "which holds no mod_*.so";
            Err(LocateError::environment("HTTPD_MODULESDIR", &folder, why))
        };
    }
    let of_apxs = apxs
        .filter(|apxs| same_file(&apxs.program(), program))
        .map(|apxs| apxs.modules_dir().to_owned());
    let of_root = root.map(|root| root.join("modules"));
    let known = places::MODULES
        .iter()
        .filter(|(start, _)| program.to_str().is_some_and(|program| program.starts_with(start)))
        .map(|(_, folder)| PathBuf::from(folder));
    of_apxs.into_iter().chain(of_root).chain(known).find(|f| has_modules(f)).ok_or_else(|| {
        let what = format!("The modules of `{}` are not found.", program.display());
        LocateError::new(LocateErrorKind::Modules, what)
    })
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other
        || one.canonicalize().is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

fn has_modules(folder: &Path) -> bool {
    folder.read_dir().is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with("mod_") && name.ends_with(".so"))
        })
    })
}

/// The answers of `httpd -V`.
#[derive(Clone, Debug, PartialEq)]
struct About {
    server_string: String,
    version: String,
    mmn: Mmn,
    root: Option<PathBuf>,
}

fn parse_about(text: &str) -> Option<About> {
    let field = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name));
    let server_string = field("Server version:")?.trim();
    let version = server_string.split_once('/')?.1.split([' ', '-']).next()?;
    let (major, minor) = field("Server's Module Magic Number:")?.trim().split_once(':')?;
    let root = field("-D HTTPD_ROOT=\"").and_then(|rest| rest.strip_suffix('"'));
    Some(About {
        server_string: server_string.to_owned(),
        version: version.to_owned(),
        mmn: Mmn { major: major.parse().ok()?, minor: minor.parse().ok()? },
        root: root.map(PathBuf::from),
    })
}

/// Reads `httpd -l`: a heading, then one indented source file a line.
fn parse_static_modules(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| line.ends_with(".c")).map(str::to_owned).collect()
}

fn account(passwd: &str, group: &str) -> Option<(&'static str, &'static str)> {
    let has = |file: &str, name: &str| {
        file.lines().any(|line| line.split_once(':').is_some_and(|(first, _)| first == name))
    };
    places::ACCOUNTS
        .iter()
        .find(|name| has(passwd, name) && has(group, name))
        .map(|name| (*name, *name))
        // openSUSE's wwwrun has the group www.
        .or_else(|| (has(passwd, "wwwrun") && has(group, "www")).then_some(("wwwrun", "www")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "\
Server version: Apache/2.4.71 (Debian)
Server built:   2026-11-12T08:58:41
Server's Module Magic Number: 20120211:142
Server loaded:  APR 1.7.2, APR-UTIL 1.6.3, PCRE 10.42 2022-12-11
Compiled using: APR 1.7.2, APR-UTIL 1.6.3, PCRE 10.42 2022-12-11
Architecture:   64-bit
Server MPM:     \n\
Server compiled with....
 -D APR_HAS_SENDFILE
 -D DYNAMIC_MODULE_LIMIT=256
 -D HTTPD_ROOT=\"/etc/apache2\"
 -D SUEXEC_BIN=\"/usr/lib/apache2/suexec\"
 -D SERVER_CONFIG_FILE=\"apache2.conf\"
";
    const RHEL: &str = "\
Server version: Apache/2.4.37 (Red Hat Enterprise Linux)
Server built:   Jun 17 2024 14:32:14
Server's Module Magic Number: 20120211:83
Server loaded:  APR 1.6.3, APR-UTIL 1.6.1
Compiled using: APR 1.6.3, APR-UTIL 1.6.1
Architecture:   64-bit
Server MPM:     event
  threaded:     yes (fixed thread count)
    forked:     yes (variable process count)
Server compiled with....
 -D HTTPD_ROOT=\"/etc/httpd\"
";

    #[test]
    fn reads_what_debian_prints() {
        let about = parse_about(DEBIAN).unwrap();
        assert_eq!(about.server_string, "Apache/2.4.71 (Debian)");
        assert_eq!(about.version, "2.4.71");
        assert_eq!(about.mmn, Mmn { major: 20120211, minor: 142 });
        assert_eq!(about.mmn.to_string(), "20120211:142");
        assert_eq!(about.root.as_deref(), Some(Path::new("/etc/apache2")));
    }

    #[test]
    fn reads_what_rhel_prints() {
        let about = parse_about(RHEL).unwrap();
        assert_eq!(about.version, "2.4.37");
        assert_eq!(about.mmn, Mmn { major: 20120211, minor: 83 });
        assert_eq!(about.root.as_deref(), Some(Path::new("/etc/httpd")));
    }

    #[test]
    fn reads_a_development_version() {
        let about = parse_about(
            "Server version: Apache/2.4.72-dev (Unix)\nServer's Module Magic Number: 20120211:143",
        )
        .unwrap();
        assert_eq!(about.version, "2.4.72");
        assert_eq!(about.root, None);
    }

    #[test]
    fn refuses_other_programs() {
        for text in ["", "nginx version: nginx/1.22.1", "Server version: Apache/2.4.71"] {
            assert_eq!(parse_about(text), None, "{text:?}");
        }
    }

    #[test]
    fn lists_the_static_modules() {
        let text = "Compiled in modules:\n  core.c\n  mod_so.c\n  http_core.c\n";
        assert_eq!(parse_static_modules(text), ["core.c", "mod_so.c", "http_core.c"]);
        assert!(parse_static_modules("no such option -- 'l'\n").is_empty());
    }

    #[test]
    fn the_account_needs_its_user_and_its_group() {
        let debian = ("root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:\n", "www-data:x:33:\n");
        assert_eq!(account(debian.0, debian.1), Some(("www-data", "www-data")));
        assert_eq!(account("wwwrun:x:30:8:\n", "www:x:8:\n"), Some(("wwwrun", "www")));
        assert_eq!(account("www-data:x:33:33::/:\n", "wheel:x:1:\n"), None);
        assert_eq!(account("", ""), None);
    }
}
