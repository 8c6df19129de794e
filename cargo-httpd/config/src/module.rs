//! Modules and MPMs of an installed httpd.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The place of one module of an httpd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModuleFile {
    /// Compiled into the program: usable without `LoadModule`.
    Static,
    /// A shared object that `LoadModule` takes.
    Dso(PathBuf),
    /// Not installed.
    Missing,
}

impl ModuleFile {
    /// True unless it is missing.
    pub fn is_available(&self) -> bool {
        *self != Self::Missing
    }

    /// Returns the line of a configuration file that makes the module usable: empty for a static
    /// one, `None` for a missing one. `name` is the module's name without `mod_`, as in
    /// [`Httpd::module`].
    ///
    /// [`Httpd::module`]: crate::Httpd::module
    pub fn load_line(&self, name: &str) -> Option<String> {
        match self {
            Self::Static => Some(String::new()),
            Self::Dso(path) => Some(format!("LoadModule {name}_module \"{}\"\n", path.display())),
            Self::Missing => None,
        }
    }
}

/// A multi-processing module. One httpd runs with exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mpm {
    /// One process a connection, no threads.
    Prefork,
    /// Threads; each holds its connection.
    Worker,
    /// Threads, and a listener that holds idle connections. The usual one.
    Event,
}

impl Mpm {
    /// Every MPM of httpd 2.4 on Unix.
    pub const ALL: [Self; 3] = [Self::Prefork, Self::Worker, Self::Event];

    /// `prefork`, `worker` or `event`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prefork => "prefork",
            Self::Worker => "worker",
            Self::Event => "event",
        }
    }

    /// Returns its name as a module: `mpm_event`.
    pub fn module_name(self) -> &'static str {
        match self {
            Self::Prefork => "mpm_prefork",
            Self::Worker => "mpm_worker",
            Self::Event => "mpm_event",
        }
    }
}

impl fmt::Display for Mpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Mpm {
    type Err = ParseMpmError;

    fn from_str(text: &str) -> Result<Self, ParseMpmError> {
        Self::ALL.into_iter().find(|mpm| mpm.name() == text).ok_or(ParseMpmError)
    }
}

/// A text that is not an MPM's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseMpmError;

impl fmt::Display for ParseMpmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an MPM is one of prefork, worker and event")
    }
}

impl std::error::Error for ParseMpmError {}

/// Finds module `name` among those compiled in (`mod_so.c`, `core.c`, `event.c`) and in `folder`.
pub(crate) fn find(name: &str, compiled_in: &[String], folder: &Path) -> ModuleFile {
    // An MPM's source file is event.c, the core's core.c and http_core.c.
    let bare = name.strip_prefix("mpm_").unwrap_or(name);
    if compiled_in.iter().filter_map(|file| file.strip_suffix(".c")).any(|file| {
        file.strip_prefix("mod_") == Some(name)
            || file == name
            || (bare != name && (file == bare || file.strip_prefix("mpm_") == Some(bare)))
    }) {
        return ModuleFile::Static;
    }
    let path = folder.join(format!("mod_{name}.so"));
    if path.is_file() { ModuleFile::Dso(path) } else { ModuleFile::Missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mpm_names_go_there_and_back() {
        for mpm in Mpm::ALL {
            assert_eq!(mpm.to_string().parse(), Ok(mpm));
            assert_eq!(mpm.module_name(), format!("mpm_{mpm}"));
        }
        assert_eq!("Event".parse::<Mpm>(), Err(ParseMpmError));
        assert_eq!(format!("{:>8}", Mpm::Event), "   event");
    }

    #[test]
    fn static_modules_come_first() {
        let compiled_in = ["core.c", "mod_so.c", "http_core.c", "event.c"].map(str::to_owned);
        let folder = Path::new("/nonexistent");
        for name in ["core", "so", "http_core", "mpm_event"] {
            assert_eq!(find(name, &compiled_in, folder), ModuleFile::Static, "{name}");
        }
        for name in ["mpm_worker", "alias", "event_x", ""] {
            assert_eq!(find(name, &compiled_in, folder), ModuleFile::Missing, "{name}");
        }
    }

    #[test]
    fn load_lines() {
        let dso = ModuleFile::Dso("/usr/lib/apache2/modules/mod_alias.so".into());
        assert_eq!(
            dso.load_line("alias").as_deref(),
            Some("LoadModule alias_module \"/usr/lib/apache2/modules/mod_alias.so\"\n")
        );
        assert_eq!(ModuleFile::Static.load_line("so").as_deref(), Some(""));
        assert_eq!(ModuleFile::Missing.load_line("none"), None);
        assert!(dso.is_available() && !ModuleFile::Missing.is_available());
    }
}
