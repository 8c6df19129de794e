//! Installing a module into the system's httpd, and taking it out again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::change::Change;
use super::layout::System;
use super::manifest::{Installed, Manifest, PREVIOUS, State, with_suffix};
use crate::fill::fill;

const LOAD: &str = include_str!("../../templates/system/load.in");

/// The end of the name of a file that was changed, and outlived the module.
const KEPT: &str = ".kept";

/// The files to install.
#[derive(Debug)]
pub(crate) struct Installation {
    /// The module's name, without `mod_`.
    pub(crate) module: String,
    /// The file that httpd is to load.
    pub(crate) file: PathBuf,
    /// The configuration that mounts its applications.
    pub(crate) conf: String,
    /// The package that it was built from, and its version.
    pub(crate) package: (String, String),
    /// A program beside it: the file, and where it belongs.
    pub(crate) program: Option<(PathBuf, PathBuf)>,
}

/// The result of an installation.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// The files that were written or removed.
    pub(crate) files: Vec<PathBuf>,
    /// Files that were changed since their installation: the present path, and a remark.
    pub(crate) kept: Vec<(PathBuf, String)>,
}

impl System {
    /// Whether this account may write where an installation writes.
    ///
    /// # Errors
    /// With the folder that it may not write to.
    pub(crate) fn writable(&self) -> Result<()> {
        for folder in self.folders() {
            let probe = folder.join(format!(".cargo-httpd-{}", std::process::id()));
            if let Err(error) = fs::File::create(&probe).and_then(|_| fs::remove_file(&probe)) {
                bail!(
                    "{} is not writable ({error}); call this as root, with sudo as `sudo env \
                     \"PATH=$PATH\" cargo httpd …`",
                    folder.display()
                );
            }
        }
        Ok(())
    }
}

/// Puts a module and its configuration into the system's httpd, and has httpd check them. If it
/// refuses, everything is as it was before.
pub(crate) fn install(system: &System, installation: &Installation) -> Result<Report> {
    let module = &installation.module;
    system.configtest().context(
        "httpd refuses its configuration as it is now, before anything was installed; mend that first",
    )?;
    let earlier = Manifest::read(&system.manifests(), module)?;
    let module_file = system.module_file(module);
    let package = format!("{} {}", installation.package.0, installation.package.1);
    let load = fill(
        LOAD,
        &[
            ("PACKAGE", &package),
            ("MODULE", module),
            ("MODULE_FILE", &module_file.to_string_lossy()),
        ],
    );
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    let conf_file = system.conf_file(module);
    let mut files = vec![
        (module_file, read(&installation.file)?, 0o644),
        (system.load_file(module), load.into_bytes(), 0o644),
        (conf_file.clone(), installation.conf.clone().into_bytes(), 0o644),
    ];
    if let Some((program, place)) = &installation.program {
        files.push((place.clone(), read(program)?, 0o755));
    }

    let mut report = Report::default();
    let mut change = Change::default();
    let mut manifest = Manifest {
        module: module.clone(),
        package: installation.package.0.clone(),
        version: installation.package.1.clone(),
        files: Vec::new(),
    };
    for (path, bytes, mode) in files {
        let before = earlier.as_ref().and_then(|earlier| earlier.of(&path));
        let new = Installed::new(path.clone(), &bytes);
        let kept = with_suffix(&path, KEPT);
        let state = |before| earlier.as_ref().map(|earlier| earlier.state(before));
        match (before, before.and_then(state).transpose()?) {
            // A configuration that `uninstall` kept comes into force again.
            (None, _) if path == conf_file && !path.exists() && kept.exists() => {
                change.move_to(&kept, &path)?;
                let beside = with_suffix(&path, ".new");
                change.put(&beside, &bytes, mode)?;
                report.kept.push((path, format!("the new one is {}", beside.display())));
                manifest.files.extend([new, Installed::new(beside, &bytes)]);
                continue;
            }
            (None, _) if path.exists() => bail!(
                "{} exists already, and no `cargo httpd install` put it there; a package may have: \
                 remove that, or move the file away",
                path.display()
            ),
            // The administrator's: it stays, and counts as changed from then on.
            (Some(before), Some(State::Changed)) => {
                let remark = if *before == new {
                    "there is no newer one".to_owned()
                } else {
                    let beside = with_suffix(&path, ".new");
                    change.put(&beside, &bytes, mode)?;
                    let remark = format!("the new one is {}", beside.display());
                    manifest.files.push(Installed::new(beside, &bytes));
                    remark
                };
                report.kept.push((path, remark));
                manifest.files.push(before.clone());
                continue;
            }
            // The predecessor of a module stays beside it, so that it can be put back.
            (Some(_), Some(State::Unchanged)) if path == system.module_file(module) => {
                let present = read(&path)?;
                if present != bytes {
                    let beside = with_suffix(&path, PREVIOUS);
                    change.put(&beside, &present, mode)?;
                    manifest.files.push(Installed::new(beside.clone(), &present));
                    report.files.push(beside);
                }
            }
            _ => {}
        }
        change.put(&path, &bytes, mode)?;
        manifest.files.push(new);
        report.files.push(path);
    }
    // Files of an earlier version that this one lacks are removed: the program, without --gateway.
    if let Some(earlier) = earlier {
        let is_left = |file: &Installed| manifest.of(&file.path).is_none();
        let left: Vec<_> = earlier.files.into_iter().filter(is_left).collect();
        manifest.files.extend(left);
    }
    change.put(&Manifest::file(&system.manifests(), module), &manifest.bytes()?, 0o644)?;

    let was_enabled = system.is_enabled(module);
    let check = || {
        if !was_enabled {
            system.set_enabled(module, true)?;
        }
        system.configtest()?;
        if !system.loads(module)? {
            bail!("httpd's configuration does not read {}", system.load_file(module).display());
        }
        Ok(())
    };
    if let Err(error) = check() {
        if !was_enabled {
            system.set_enabled(module, false)?;
        }
        drop(change);
        remove_if_empty(&system.manifests());
        return Err(error.context("httpd refuses it, and everything is as it was before"));
    }
    change.keep()?;
    Ok(report)
}

/// Takes out what [`install`] put in. If httpd refuses to go without it, everything stays.
pub(crate) fn uninstall(system: &System, manifest: &Manifest) -> Result<Report> {
    let module = &manifest.module;
    let was_enabled = system.is_enabled(module);
    let mut report = Report::default();
    let mut change = Change::default();
    system.set_enabled(module, false)?;
    let mut take_out = || -> Result<()> {
        for file in &manifest.files {
            match manifest.state(file)? {
                State::Unchanged => {
                    change.remove(&file.path)?;
                    report.files.push(file.path.clone());
                }
                State::Gone => {}
                State::Changed => {
                    let kept = with_suffix(&file.path, KEPT);
                    change.move_to(&file.path, &kept)?;
                    report.kept.push((kept, "it was changed since it was installed".to_owned()));
                }
            }
        }
        change.remove(&Manifest::file(&system.manifests(), module))?;
        system.configtest()
    };
    if let Err(error) = take_out() {
        drop(change);
        if was_enabled {
            system.set_enabled(module, true)?;
        }
        return Err(error.context(format!(
            "httpd refuses its configuration without mod_{module}, and everything is as it was \
             before; take what needs it out of the configuration first"
        )));
    }
    change.keep()?;
    remove_if_empty(&system.manifests());
    Ok(report)
}

/// Returns what is installed: the module `name`, or that of `package`.
pub(crate) fn installed(
    system: &System,
    name: Option<&str>,
    package: Option<&str>,
) -> Result<Manifest> {
    let all = Manifest::all(&system.manifests())?;
    let wanted = |manifest: &&Manifest| match (name, package) {
        (Some(name), _) => manifest.module == name,
        (None, Some(package)) => manifest.package == package,
        (None, None) => false,
    };
    let found: Vec<_> = all.iter().filter(wanted).collect();
    if let [found] = found[..] {
        return Ok(found.clone());
    }
    let known: Vec<_> = all.iter().map(|manifest| manifest.module.as_str()).collect();
    let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
    match (name.or(package), found.len()) {
        (Some(what), 0) => bail!(
            "`{what}` is not installed in {} by `cargo httpd install`; installed are: {known}",
            system.name()
        ),
        _ => bail!("say which module to uninstall; installed are: {known}"),
    }
}

fn remove_if_empty(folder: &Path) {
    // It is not, if other modules are installed.
    let _ = fs::remove_dir(folder);
}
