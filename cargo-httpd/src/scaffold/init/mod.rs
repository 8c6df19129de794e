//! A module and a gateway program around an application that is there already: what `cargo httpd
//! init` writes.

mod manifest;
pub(crate) mod router;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Kit, Name, put};
use crate::fill::fill;
use crate::project::{Package, Project};
use manifest::Members;
use router::RouterFn;

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../../templates/", $path))
    };
}

/// The files below the package's folder, and their templates.
const FILES: [(&str, &str); 6] = [
    ("module/Cargo.toml", template!("init/module/Cargo.toml.in")),
    ("module/httpd.conf", template!("new/hello/module/httpd.conf")),
    ("module/src/lib.rs", template!("init/module/src/lib.rs")),
    ("module/tests/httpd.rs", template!("init/module/tests/httpd.rs")),
    ("gateway/Cargo.toml", template!("init/gateway/Cargo.toml.in")),
    ("gateway/src/main.rs", template!("init/gateway/src/main.rs")),
];

/// The program of a crate whose code has become a library.
const SEAM: &str = "//! The application's own server; the application is the library.\n\n\
    fn main() -> std::process::ExitCode {\n    std::process::Termination::report(@KRATE@::main())\n}\n";

/// An application of the workspace, and what is to be written for it.
pub(crate) struct Application<'p> {
    package: &'p Package,
    name: Name,
    /// Its library's name in Rust.
    krate: String,
    function: RouterFn,
    /// The main.rs that becomes the library.
    seam: Option<PathBuf>,
}

/// The files that were written, and those that were changed.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) made: Vec<PathBuf>,
    pub(crate) changed: Vec<PathBuf>,
}

impl<'p> Application<'p> {
    /// Finds the application in `package`: the function that returns its router.
    ///
    /// # Errors
    /// Fails when it is not clear which that is, with what to write or to choose.
    pub(crate) fn find(package: &'p Package, name: Name, router: Option<&str>) -> Result<Self> {
        let main = package.dir.join("src/main.rs");
        let (krate, root, seam) = match &package.library {
            Some((krate, root)) => (krate.clone(), root.clone(), None),
            None if main.is_file() => (package.name.replace('-', "_"), main.clone(), Some(main)),
            None => bail!(
                "package \"{}\": has neither a library nor a src/main.rs; expected one of them",
                package.name
            ),
        };
        let function = choose(package, &krate, &root, router::find(&root)?, router)?;
        Ok(Self { package, name, krate, function, seam })
    }

    /// Returns the function that returns the router.
    pub(crate) fn function(&self) -> String {
        format!("{}::{}", self.krate, self.function.path)
    }

    /// Writes the two packages, and makes them members of the workspace.
    ///
    /// # Errors
    /// Fails before anything is written when one of the files is there already, or a file cannot
    /// be changed.
    pub(crate) fn write(&self, project: &Project, kit: &Kit) -> Result<Written> {
        let folder = &self.package.dir;
        for name in ["module", "gateway"].map(|name| folder.join(name)) {
            if name.exists() {
                bail!("path \"{}\": exists already; move it away", name.display());
            }
        }
        let mut changes = self.sources()?;
        let root = project.root.join("Cargo.toml");
        let below = folder.strip_prefix(&project.root).unwrap_or(folder);
        let [module, gateway] = ["module", "gateway"].map(|name| below.join(name));
        let members = Members {
            file: &root,
            module: &module.to_string_lossy(),
            gateway: &gateway.to_string_lossy(),
            edition: &self.package.edition,
        };
        let mut own = folder.join("Cargo.toml");
        let mut text = read(&root)?;
        if self.seam.is_some() && own == root {
            text = manifest::with_library(&text)?;
            own.clear();
        }
        changes.push((root.clone(), members.add_to(&text)?));
        if self.seam.is_some() && own.is_file() {
            changes.push((own.clone(), manifest::with_library(&read(&own)?)?));
        }

        let mut written = Written::default();
        if let Some(main) = &self.seam {
            let library = main.with_file_name("lib.rs");
            fs::rename(main, &library)
                .with_context(|| format!("{} cannot be moved", main.display()))?;
            put(main, &fill(SEAM, &[("KRATE", &self.krate)]))?;
            written.changed.extend([main.clone(), library]);
        }
        for (path, text) in changes {
            put(&path, &text)?;
            if !written.changed.contains(&path) {
                written.changed.push(path);
            }
        }
        for (path, template) in FILES {
            let file = folder.join(path);
            let package = file.ancestors().find(|folder| folder.ends_with(path_start(path)));
            let values = self.values(kit, package.unwrap_or(folder))?;
            let values: Vec<_> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
            put(&file, &fill(template, &values))?;
            written.made.push(file);
        }
        Ok(written)
    }

    /// Returns the names of the packages that are made.
    pub(crate) fn packages(&self) -> [String; 2] {
        ["module", "gateway"].map(|kind| format!("{}-{kind}", self.name.as_str()))
    }

    /// Returns the application's files that change, so that other crates can call the function.
    fn sources(&self) -> Result<Vec<(PathBuf, String)>> {
        let library = self.seam.as_ref().map(|main| main.with_file_name("lib.rs"));
        let mut private = self.function.private.clone();
        if let Some(main) = &self.seam {
            private.push((main.clone(), "main".to_owned()));
        }
        let mut changes: Vec<(PathBuf, String)> = Vec::new();
        for (file, name) in &private {
            let is_moved = self.seam.as_ref() == Some(file);
            let place = if is_moved { library.as_ref().unwrap_or(file) } else { file };
            let known = changes.iter().position(|(path, _)| path == place);
            let text = match known {
                Some(index) => changes.remove(index).1,
                None => read(file)?,
            };
            let text = router::publish(&text, name).with_context(|| {
                format!("{}: `{name}` must be public; write `pub` before it", file.display())
            })?;
            changes.push((place.clone(), text));
        }
        Ok(changes)
    }

    fn values(&self, kit: &Kit, folder: &Path) -> Result<Vec<(&'static str, String)>> {
        let name = &self.name;
        Ok(vec![
            ("NAME", name.as_str().to_owned()),
            ("CRATE", name.ident()),
            ("DEFINE", format!("{}_DAEMON", name.upper())),
            ("PACKAGE", self.package.name.clone()),
            ("VERSION", self.package.about.version.clone()),
            ("FUNCTION", self.function()),
            ("FACTORY", self.function.factory(&self.krate)),
            ("KIT", kit.library(folder)?),
            ("TESTKIT", kit.testkit(folder)?),
        ])
    }
}

fn path_start(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// Chooses among the functions that were found: the one of that path, or else the only one that
/// needs no arguments.
fn choose(
    package: &Package,
    krate: &str,
    root: &Path,
    found: Vec<RouterFn>,
    wanted: Option<&str>,
) -> Result<RouterFn> {
    let shown = |function: &RouterFn| {
        let file = function.file.strip_prefix(&package.dir).unwrap_or(&function.file);
        format!("{} ({})", function.path, file.display())
    };
    let list = |all: &[RouterFn]| all.iter().map(shown).collect::<Vec<_>>().join(", ");
    // A name that is not taken.
    let is_taken = found.iter().any(|function| function.path == "router");
    let new = if is_taken { "application" } else { "router" };
    let (with, without): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|function| function.takes_arguments);
    let root = root.strip_prefix(&package.dir).unwrap_or(root).display();
    let example = format!(
        "write the lines of `main` that make the Router as `pub fn {new}() -> Router` in {root}, or \
         as `pub async fn {new}() -> Result<Router, Box<dyn std::error::Error + Send + Sync>>` if \
         they wait or fail, and let `main` call it; then call `cargo httpd init` again"
    );
    let wanted = wanted.map(|wanted| {
        let path = wanted.strip_prefix(krate).and_then(|path| path.strip_prefix("::"));
        path.or(wanted.strip_prefix("crate::")).unwrap_or(wanted)
    });
    let fitting = without.iter().filter(|function| wanted.is_none_or(|path| path == function.path));
    match (&fitting.collect::<Vec<_>>()[..], wanted) {
        ([one], _) => Ok((*one).clone()),
        ([], Some(path)) if !without.is_empty() => bail!(
            "--router \"{path}\": not a function without arguments that returns a Router; expected \
             one of: {}",
            list(&without)
        ),
        ([], _) if with.is_empty() => {
            bail!("package \"{}\": no function returns a Router; {example}", package.name)
        }
        ([], _) => bail!(
            "package \"{}\": a function that returns a Router needs arguments: {}; {example}",
            package.name,
            list(&with)
        ),
        _ => bail!("several functions return a Router; choose with --router: {}", list(&without)),
    }
}
