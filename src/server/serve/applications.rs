//! Which applications a program has, where they are mounted, with which options.

use std::sync::Arc;

use super::config::ProgramConfig;
use super::gateway::Gateway;
use crate::gateway::{Application, Code, Options, start_logging};
use crate::server::site::{Mount, Mounts};

/// The mounts that the command line names, else the program's own.
///
/// # Errors
///
/// The value is not allowed; the text says why and what is.
pub(super) fn mounts(
    gateway: &Gateway,
    wanted: &[String],
    prefix: Option<&str>,
) -> Result<Vec<(String, String)>, String> {
    if gateway.applications.is_empty() {
        return Err("the program has no application".into());
    }
    let mut mounts = Vec::new();
    if wanted.is_empty() {
        for (path, name) in &gateway.mounts {
            mounts.push(mount(gateway, "mount", path, name)?);
        }
        if mounts.is_empty()
            && let [(name, _)] = &gateway.applications[..]
        {
            mounts.push(("/".into(), name.clone()));
        }
    }
    for text in wanted {
        let what = format!("--mount {text}");
        let (path, name) = text
            .rsplit_once('=')
            .ok_or_else(|| format!("{what}: expected PATH=APP, such as /shop=shop"))?;
        mounts.push(mount(gateway, &what, path, name)?);
    }
    if mounts.is_empty() {
        return Err(format!("no mount; expected --mount PATH=APP with one of {}", gateway.names()));
    }
    if let Some(prefix) = prefix {
        check_path("--url-prefix", prefix)?;
        for (path, _) in &mut mounts {
            path.insert_str(0, prefix.trim_end_matches('/'));
        }
    }
    Ok(mounts)
}

fn mount(
    gateway: &Gateway,
    what: &str,
    path: &str,
    name: &str,
) -> Result<(String, String), String> {
    check_path(what, path)?;
    if gateway.find(name).is_none() {
        return Err(format!(
            "{what}: application \"{name}\": unknown; expected one of {}",
            gateway.names()
        ));
    }
    Ok((path.into(), name.into()))
}

fn check_path(what: &str, path: &str) -> Result<(), String> {
    if !path.starts_with('/') || path.contains(['?', '#', '\0']) || path.contains("//") {
        return Err(format!(
            "{what}: path \"{path}\": not usable; expected a decoded path with a leading slash"
        ));
    }
    Ok(())
}

/// Each application's options, checked.
///
/// # Errors
///
/// The value is not allowed; the text says why and what is.
pub(super) fn options(gateway: &Gateway, wanted: &[String]) -> Result<Vec<Options>, String> {
    let mut all = vec![Options::new(); gateway.applications.len()];
    for text in wanted {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            format!("--option {text}: expected KEY=VALUE, or APP:KEY=VALUE for one application")
        })?;
        if let Some((name, key)) = key.split_once(':') {
            let at = gateway.find(name).ok_or_else(|| {
                let names = gateway.names();
                format!("--option {text}: application \"{name}\": unknown; expected one of {names}")
            })?;
            all[at].set(key, value);
            continue;
        }
        let mut is_known = false;
        for ((_, factory), options) in gateway.applications.iter().zip(&mut all) {
            if factory.knows(key) {
                options.set(key, value);
                is_known = true;
            }
        }
        if !is_known {
            return Err(format!("--option {text}: option \"{key}\": unknown to every application"));
        }
    }
    Ok(all)
}

/// Whether the mounted applications can be built with their options, as far as types tell.
///
/// # Errors
///
/// Which cannot, and why.
pub(super) fn check(gateway: &Gateway, config: &ProgramConfig) -> Result<(), String> {
    for (at, (name, factory)) in gateway.applications.iter().enumerate() {
        if is_mounted(config, name) {
            factory
                .check(&config.options[at])
                .map_err(|error| format!("application {name}: {error} (--option)"))?;
        }
    }
    Ok(())
}

/// Builds the mounted applications, each once.
///
/// # Errors
///
/// The line for the log.
pub(super) fn build(gateway: &Gateway, config: &ProgramConfig) -> Result<Mounts, String> {
    #[cfg(feature = "tower")]
    if gateway
        .applications
        .iter()
        .any(|(name, factory)| factory.needs_runtime() && is_mounted(config, name))
    {
        crate::gateway::service::runtime::set_threads(config.runtime_threads);
        crate::gateway::service::runtime::start().map_err(|error| error.to_string())?;
    }
    let mut built: Vec<Option<Arc<dyn Application>>> = Vec::new();
    for ((name, factory), options) in gateway.applications.iter().zip(&config.options) {
        if !is_mounted(config, name) {
            built.push(None);
            continue;
        }
        let application = factory.build_caught(options).map_err(|error| {
            Code::NotBuilt.line(format_args!("application {name} cannot be built: {error}"))
        })?;
        built.push(Some(application));
    }
    // A factory may have installed a logger of its own.
    start_logging();
    Ok(Mounts::new(config.mounts.iter().filter_map(|(path, name)| {
        let application = built[gateway.find(name)?].clone()?;
        Some(Mount { path: path.clone(), name: name.as_str().into(), application })
    })))
}

fn is_mounted(config: &ProgramConfig, name: &str) -> bool {
    config.mounts.iter().any(|(_, mounted)| mounted == name)
}
