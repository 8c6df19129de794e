//! The cargo project that a command works on: which module it builds, and which configuration
//! mounts that module's applications.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::cargo;

/// A workspace, as `cargo metadata` tells it.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    /// The folder that everything built goes to.
    pub(crate) target_dir: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// A package of the workspace.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The folder with its manifest.
    pub(crate) dir: PathBuf,
    /// Its cdylibs.
    pub(crate) modules: Vec<Target>,
    /// Its programs, if it uses mod_rust: what serves applications behind other servers.
    pub(crate) gateways: Vec<String>,
    pub(crate) about: About,
    /// Its library for other Rust crates: the name, and the file of its root.
    pub(crate) library: Option<(String, PathBuf)>,
    pub(crate) edition: String,
    is_default_member: bool,
}

/// A package's description in its manifest.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(crate) struct About {
    pub(crate) version: String,
    pub(crate) description: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) license_file: Option<PathBuf>,
    pub(crate) authors: Vec<String>,
    pub(crate) homepage: Option<String>,
    pub(crate) repository: Option<String>,
}

/// A library or an example of crate type cdylib.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) is_example: bool,
    source: PathBuf,
}

/// One module to build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'p> {
    pub(crate) package: &'p Package,
    pub(crate) target: &'p Target,
}

impl Project {
    /// The workspace around the current folder.
    pub(crate) fn load() -> Result<Self> {
        let mut metadata =
            cargo::args(cargo::command(), ["metadata", "--no-deps", "--format-version", "1"]);
        cargo::as_caller(&mut metadata);
        let output = metadata.output().context("cargo does not run; install Rust")?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            bail!("{}", text.trim().trim_start_matches("error: "));
        }
        let metadata = serde_json::from_slice(&output.stdout)?;
        Self::parse(&metadata).context("`cargo metadata` answers in a form that is not known")
    }

    /// Returns the module that is meant here: that of `package`, or else of the current folder.
    pub(crate) fn select(
        &self,
        package: Option<&str>,
        example: Option<&str>,
    ) -> Result<Selection<'_>> {
        let Some(name) = package else {
            return self.select_in(&std::env::current_dir()?, example);
        };
        let mut fitting = self.modules().filter(|found| fits(found.target, example));
        fitting.find(|found| found.package.name == name).with_context(|| {
            let known: Vec<_> = self.modules().map(|found| found.package.name.as_str()).collect();
            format!(
                "package \"{name}\": has no such module; expected one with a cdylib: {}",
                known.join(", ")
            )
        })
    }

    /// Returns the module that the folder `cwd` means: the example of that name, or else the
    /// library of the package around `cwd`, or else the only one in the workspace.
    fn select_in(&self, cwd: &Path, example: Option<&str>) -> Result<Selection<'_>> {
        let around = self
            .packages
            .iter()
            .filter(|package| cwd.starts_with(&package.dir))
            .max_by_key(|package| package.dir.components().count());
        let all: Vec<_> = self.modules().filter(|found| fits(found.target, example)).collect();
        let of = |wanted: &dyn Fn(&Package) -> bool| -> Vec<Selection<'_>> {
            all.iter().copied().filter(|found| wanted(found.package)).collect()
        };
        let here = of(&|package| around.is_some_and(|around| around.id == package.id));
        let default = of(&|package| package.is_default_member);
        for group in [&here, &default, &all] {
            if let [found] = group[..] {
                return Ok(found);
            }
        }
        match example {
            _ if !all.is_empty() => {
                let names: Vec<_> = all.iter().map(|found| found.package.name.as_str()).collect();
                bail!(
                    "packages {}: several modules fit here; go to the folder of one of them",
                    names.join(", ")
                )
            }
            Some(name) => {
                let known: Vec<_> = self
                    .modules()
                    .filter(|found| found.target.is_example)
                    .map(|found| found.target.name.as_str())
                    .collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                bail!("example \"{name}\": not found; expected one of crate type cdylib: {known}")
            }
            None => bail!(
                "workspace \"{}\": no package has a library of crate type cdylib; add `[lib]` with \
                 `crate-type = [\"cdylib\"]` to its Cargo.toml",
                self.root.display()
            ),
        }
    }

    /// Returns the program that serves the applications behind other servers: the one of that name,
    /// or the only one of the workspace.
    pub(crate) fn gateway(&self, name: Option<&str>) -> Result<(&Package, &str)> {
        let all: Vec<_> = self
            .packages
            .iter()
            .flat_map(|package| package.gateways.iter().map(move |name| (package, name.as_str())))
            .collect();
        let found: Vec<_> =
            all.iter().filter(|(_, known)| name.is_none_or(|name| name == *known)).collect();
        if let [found] = found[..] {
            return Ok(*found);
        }
        let known: Vec<_> = all.iter().map(|(_, name)| *name).collect();
        match name {
            _ if all.is_empty() => bail!(
                "workspace \"{}\": no package has a program that uses mod_rust; leave \
                 out --gateway",
                self.root.display()
            ),
            Some(name) => {
                bail!(
                    "program \"{name}\": not found; expected one that uses mod_rust: {}",
                    known.join(", ")
                )
            }
            None => bail!(
                "several programs use mod_rust; choose one with --gateway NAME: {}",
                known.join(", ")
            ),
        }
    }

    /// Returns the package `name`, or else the one around the current folder, or the only one.
    pub(crate) fn package(&self, name: Option<&str>) -> Result<&Package> {
        let cwd = std::env::current_dir()?;
        let around = self.packages.iter().filter(|package| cwd.starts_with(&package.dir));
        let found = match (name, &self.packages[..]) {
            (Some(name), all) => all.iter().find(|package| package.name == name),
            (None, [only]) => Some(only),
            (None, _) => around.max_by_key(|package| package.dir.components().count()),
        };
        found.with_context(|| {
            let known: Vec<_> = self.packages.iter().map(|package| package.name.as_str()).collect();
            format!("choose a package with --package NAME; expected one of: {}", known.join(", "))
        })
    }

    /// Returns every module of the workspace.
    pub(crate) fn modules(&self) -> impl Iterator<Item = Selection<'_>> {
        self.packages.iter().flat_map(|package| {
            package.modules.iter().map(move |target| Selection { package, target })
        })
    }

    pub(crate) fn has_package(&self, name: &str) -> bool {
        self.packages.iter().any(|package| package.name == name)
    }

    pub(crate) fn parse(metadata: &Value) -> Option<Self> {
        let ids = |key: &str| -> Vec<&str> {
            metadata[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
        };
        let (members, defaults) = (ids("workspace_members"), ids("workspace_default_members"));
        let package = |value: &Value| -> Option<Package> {
            let id = value["id"].as_str()?;
            Some(Package {
                id: id.to_owned(),
                name: value["name"].as_str()?.to_owned(),
                dir: Path::new(value["manifest_path"].as_str()?).parent()?.to_owned(),
                modules: value["targets"].as_array()?.iter().filter_map(target).collect(),
                gateways: gateways(value),
                about: About::deserialize(value).ok()?,
                library: value["targets"].as_array()?.iter().find_map(library),
                edition: value["edition"].as_str().unwrap_or_default().to_owned(),
                is_default_member: defaults.contains(&id),
            })
        };
        let packages = metadata["packages"].as_array()?.iter();
        Some(Self {
            root: metadata["workspace_root"].as_str()?.into(),
            target_dir: metadata["target_directory"].as_str()?.into(),
            packages: packages
                .filter(|value| value["id"].as_str().is_some_and(|id| members.contains(&id)))
                .map(package)
                .collect::<Option<_>>()?,
        })
    }
}

impl Selection<'_> {
    /// Returns the configuration for the system's httpd: `NAME.conf` or `NAME.conf.in` in the
    /// package's folder, after the module's name, where it is to have another than `run` has.
    pub(crate) fn system_conf(&self, module: &str) -> Result<PathBuf> {
        let places =
            ["conf", "conf.in"].map(|ext| self.package.dir.join(format!("{module}.{ext}")));
        match places.into_iter().find(|place| place.is_file() && !self.target.is_example) {
            Some(place) => Ok(place),
            None => self.application_conf(),
        }
    }

    /// Returns the configuration that mounts the module's applications: for an example, the `.conf`
    /// file beside its source; for a package, `apache/httpd.conf` or `httpd.conf` in its folder.
    pub(crate) fn application_conf(&self) -> Result<PathBuf> {
        let places = if self.target.is_example {
            vec![self.target.source.with_extension("conf")]
        } else {
            ["apache/httpd.conf", "httpd.conf"].map(|name| self.package.dir.join(name)).to_vec()
        };
        places.iter().find(|place| place.is_file()).cloned().with_context(|| {
            let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
            format!(
                "configuration \"{}\": not found; write one that mounts the module's \
                 applications, for example \
                 with `RustAppAlias / NAME`",
                places.join("\" or \"")
            )
        })
    }
}

/// Returns the names of a package's programs, if it uses mod_rust.
fn gateways(package: &Value) -> Vec<String> {
    let all = |key: &str| package[key].as_array().into_iter().flatten();
    if !all("dependencies").any(|dependency| dependency["name"] == "mod_rust") {
        return Vec::new();
    }
    let is_program = |target: &&Value| {
        target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"))
    };
    let programs = all("targets").filter(is_program);
    programs.filter_map(|target| Some(target["name"].as_str()?.to_owned())).collect()
}

/// Returns the name and the root file of a target that is a library.
fn library(target: &Value) -> Option<(String, PathBuf)> {
    let mut kinds = target["kind"].as_array()?.iter();
    kinds.any(|kind| kind == "lib" || kind == "rlib").then_some(())?;
    let name = target["name"].as_str()?.replace('-', "_");
    Some((name, target["src_path"].as_str()?.into()))
}

fn target(value: &Value) -> Option<Target> {
    let has = |key: &str, wanted: &str| {
        value[key].as_array().is_some_and(|all| all.iter().any(|one| one == wanted))
    };
    has("crate_types", "cdylib").then_some(())?;
    Some(Target {
        name: value["name"].as_str()?.to_owned(),
        is_example: has("kind", "example"),
        source: value["src_path"].as_str()?.into(),
    })
}

fn fits(target: &Target, example: Option<&str>) -> bool {
    match example {
        Some(name) => target.is_example && target.name == name,
        None => !target.is_example,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn project() -> Project {
        let package = |name: &str, dir: &str, targets: Value| {
            json!({
                "id": format!("path+file://{dir}#{name}@0.1.0"), "name": name, "targets": targets,
                "manifest_path": format!("{dir}/Cargo.toml"),
            })
        };
        let lib = |kind: &str, source: &str| json!({ "name": "x", "kind": [kind], "crate_types": [kind], "src_path": source });
        let example = |name: &str, crate_type: &str| {
            json!({ "name": name, "kind": ["example"], "crate_types": [crate_type],
                    "src_path": format!("/w/examples/{name}.rs") })
        };
        let kit =
            json!([lib("lib", "/w/src/lib.rs"), example("hello", "cdylib"), example("x", "bin")]);
        Project::parse(&json!({
            "workspace_root": "/w", "target_directory": "/w/target",
            "workspace_members":
                ["path+file:///w#kit@0.1.0", "path+file:///w/apache#so@0.1.0"],
            "workspace_default_members": ["path+file:///w#kit@0.1.0"],
            "packages": [
                package("kit", "/w", kit),
                package("so", "/w/apache", json!([lib("cdylib", "/w/apache/src/lib.rs")])),
                package("foreign", "/elsewhere", json!([lib("cdylib", "/elsewhere/lib.rs")])),
            ],
        }))
        .unwrap()
    }

    #[test]
    fn the_only_library_is_meant_from_anywhere() {
        let project = project();
        for cwd in ["/w", "/w/src", "/w/apache", "/"] {
            assert_eq!(project.select_in(Path::new(cwd), None).unwrap().package.name, "so");
        }
    }

    #[test]
    fn the_package_around_the_folder_comes_first() {
        let mut project = project();
        let mut other = self::project().packages.remove(1);
        other.name = "other".to_owned();
        other.id = "other".to_owned();
        other.dir = "/w/other".into();
        project.packages.push(other);
        let selected = |cwd: &str| {
            project.select_in(Path::new(cwd), None).map(|found| found.package.name.clone())
        };
        assert_eq!(selected("/w/other/src").unwrap(), "other");
        assert_eq!(selected("/w/apache").unwrap(), "so");
        let error = selected("/w").unwrap_err().to_string();
        assert!(error.starts_with("packages so, other: several modules"), "{error}");
    }

    #[test]
    fn examples_are_chosen_by_name() {
        let project = project();
        let hello = project.select_in(Path::new("/w/apache"), Some("hello")).unwrap();
        assert_eq!((hello.package.name.as_str(), hello.target.is_example), ("kit", true));
        let error = project.select_in(Path::new("/w"), Some("x")).unwrap_err().to_string();
        assert!(
            error.contains("example \"x\": not found") && error.ends_with("cdylib: hello"),
            "{error}"
        );
    }

    #[test]
    fn gateways_are_programs_that_use_the_kit() {
        let bin = |name: &str| json!({ "name": name, "kind": ["bin"], "crate_types": ["bin"] });
        let package = |dependency: &str, bins: Value| {
            gateways(&json!({ "dependencies": [{ "name": dependency }], "targets": bins }))
        };
        assert_eq!(package("mod_rust", json!([bin("shop-gateway")])), ["shop-gateway"]);
        assert!(package("serde", json!([bin("tool")])).is_empty());

        let mut project = project();
        let error = project.gateway(None).unwrap_err().to_string();
        assert!(error.ends_with("leave out --gateway"), "{error}");
        project.packages[0].gateways = vec!["one".into()];
        assert_eq!(project.gateway(None).unwrap().1, "one");
        project.packages[1].gateways = vec!["two".into()];
        assert_eq!(project.gateway(Some("two")).unwrap().0.name, "so");
        let error = project.gateway(None).unwrap_err().to_string();
        assert!(error.ends_with("--gateway NAME: one, two"), "{error}");
        assert!(project.gateway(Some("three")).is_err());
    }

    #[test]
    fn an_application_conf_must_exist() {
        let project = project();
        let error = |example| {
            let selection = project.select_in(Path::new("/w"), example).unwrap();
            selection.application_conf().unwrap_err().to_string()
        };
        assert!(
            error(Some("hello"))
                .starts_with("configuration \"/w/examples/hello.conf\": not found;")
        );
        assert!(error(None).contains("/w/apache/apache/httpd.conf\" or \"/w/apache/httpd.conf"));
    }
}
