//! The module's knowledge beside its configuration records: its applications, and those of the
//! other modules of this httpd.
//!
//! All of it lives in the pool of the configuration, and is made anew with it: nothing in a static
//! is older than the configuration that is in force.

use std::path::PathBuf;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

use super::config::GatewayDirectives;
use super::instance::{Instance, NamedApplication};
use super::options::OptionLine;
use super::selection::Selection;
use crate::gateway::Factory;
use crate::httpd::{Pool, PoolRef, Server, SharedKey};
use crate::process_group::GroupOptions;

/// The module's state under the configuration that is in force.
pub(super) struct Registry {
    /// `mod_x`, as `mod_x:application` has it.
    module: String,
    applications: Vec<PoolRef<NamedApplication>>,
    /// The uses of applications, which are checked when all of the configuration is read.
    uses: Mutex<Vec<Use>>,
    /// The sections that have option lines, or choose a process group.
    sections: Mutex<Vec<Scope>>,
    /// The process groups.
    groups: Mutex<Vec<GroupDefinition>>,
    /// The groups' names that directives use.
    wanted_groups: Mutex<Vec<WantedGroup>>,
    /// `RustSocketPrefix`.
    socket_prefix: Mutex<Option<PathBuf>>,
    configuration: usize,
}

/// One `RustDaemonProcess`.
pub(super) struct GroupDefinition {
    pub(super) name: String,
    pub(super) options: GroupOptions,
    /// The server that it stands in, by its address.
    pub(super) server: usize,
    pub(super) place: String,
}

/// A section or mount that names an application of this module's.
pub(super) struct Use {
    /// The process group that the alias chooses, if any.
    pub(super) process_group: Option<Selection>,
    pub(super) application: PoolRef<NamedApplication>,
    pub(super) directive: String,
    pub(super) place: String,
    pub(super) at: UsePlace,
    /// The server, by its address.
    pub(super) server: usize,
}

/// A process group that a directive names.
pub(super) struct WantedGroup {
    pub(super) name: String,
    pub(super) directive: &'static str,
    pub(super) place: String,
    /// The server, by its address.
    pub(super) server: usize,
}

/// The place of a use.
pub(super) enum UsePlace {
    /// In a section, whose own record this is.
    Section(PoolRef<GatewayDirectives>),
    /// At a path, without a slash at its end.
    Path(String),
    /// At the paths that a regular expression matches.
    Pattern,
}

/// A section with option lines, or with a process group.
#[derive(Clone)]
pub(super) struct Scope {
    pub(super) section: PoolRef<GatewayDirectives>,
    /// The server that it stands in, by its address.
    pub(super) server: usize,
    /// The path, if it is a plain `<Location>`, without a slash at its end.
    pub(super) location: Option<String>,
}

impl Scope {
    /// Returns whether it applies to every request for what is mounted at `path`.
    pub(super) fn covers(&self, path: &str) -> bool {
        self.location.as_deref().is_some_and(|location| is_below(path, location))
    }

    /// Returns whether it applies to some requests for what is mounted at `path`, as far as can be
    /// told.
    pub(super) fn touches(&self, path: &str) -> bool {
        self.location
            .as_deref()
            .is_none_or(|location| is_below(path, location) || is_below(location, path))
    }
}

fn is_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

static STATE: AtomicPtr<Registry> = AtomicPtr::new(std::ptr::null_mut());

/// The applications of all modules: name and module. A table of APR's, as modules that were built
/// with other versions of the kit share it.
const APPLICATIONS: SharedKey = SharedKey::new(c"mod_rust:applications:1");

/// The names that directives use: what they wrote, and where.
const WANTED: SharedKey = SharedKey::new(c"mod_rust:wanted:1");

/// The option lines that stand where no application is named.
const LINES: SharedKey = SharedKey::new(c"mod_rust:lines:1");

/// The errors that each module has found.
const WRONG: SharedKey = SharedKey::new(c"mod_rust:wrong:1");

/// Starts over with a new configuration.
pub(super) fn start(module: &str, applications: Vec<(&'static str, Factory)>, pool: Pool<'_>) {
    let applications: Vec<_> = applications
        .into_iter()
        .zip(0..)
        .map(|((name, factory), number)| {
            let name = name.to_owned();
            let sectional = Instance::default();
            // SAFETY: P3: in pconf; those who refer to it are records and hooks of this
            // configuration, and daemon processes, which never clear it.
            unsafe { pool.keep(NamedApplication { name, factory, number, sectional }) }
        })
        .collect();
    for application in &applications {
        pool.shared_table(APPLICATIONS).add(pool, application.name.as_bytes(), module.as_bytes());
    }
    let state = pool.own(Registry {
        module: module.to_owned(),
        applications,
        uses: Mutex::new(Vec::new()),
        sections: Mutex::new(Vec::new()),
        groups: Mutex::new(Vec::new()),
        wanted_groups: Mutex::new(Vec::new()),
        socket_prefix: Mutex::new(None),
        configuration: pool.as_ptr() as usize,
    });
    STATE.store(std::ptr::from_ref(state).cast_mut(), Ordering::Release);
    pool.on_clear(|| STATE.store(std::ptr::null_mut(), Ordering::Release));
}

fn state() -> Option<PoolRef<Registry>> {
    // SAFETY: P3: it lives in pconf, and the pointer is taken back when that is cleared.
    let state = unsafe { STATE.load(Ordering::Acquire).as_ref() }?;
    // SAFETY: P3: as above; the functions of this file use it for the time of a call.
    Some(unsafe { PoolRef::from_ref(state) })
}

/// Looks up `name`, which may be `mod_x:name`, among this module's applications.
pub(super) fn find(name: &str) -> Option<PoolRef<NamedApplication>> {
    let state = state()?;
    let name = match name.split_once(':') {
        Some((module, name)) if module == state.module => name,
        Some(_) => return None,
        None => name,
    };
    state.applications.iter().find(|application| application.name == name).copied()
}

/// Remembers that a directive of the configuration wants `name`.
pub(super) fn want(pool: Pool<'_>, name: &str, directive: &str, place: &str) {
    let wanted = pool.shared_table(WANTED);
    let value = format!("{directive} at {place}");
    let known = wanted.get_bytes(name.as_bytes());
    if known != Some(value.as_bytes()) {
        wanted.add(pool, name.as_bytes(), value.as_bytes());
    }
}

/// Remembers where an application of this module's is used.
pub(super) fn used(used: Use) {
    if let Some(state) = state() {
        state.uses.lock().unwrap_or_else(PoisonError::into_inner).push(used);
    }
}

/// Visits what [`used`] remembered.
pub(super) fn with_uses<T>(visit: impl FnOnce(&[Use]) -> T) -> T {
    match state() {
        None => visit(&[]),
        Some(state) => visit(&state.uses.lock().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Remembers a section that has option lines, or chooses a process group.
pub(super) fn remember_section(
    section: PoolRef<GatewayDirectives>,
    server: Server<'_>,
    location: Option<&str>,
) {
    let Some(state) = state() else { return };
    let mut sections = state.sections.lock().unwrap_or_else(PoisonError::into_inner);
    if sections.last().is_none_or(|last| last.section.as_ptr() != section.as_ptr()) {
        sections.push(Scope {
            section,
            server: identity(server),
            location: location.map(|path| path.trim_end_matches('/').to_owned()),
        });
    }
}

/// Returns the sections that [`remember_section`] added.
pub(super) fn sections() -> Vec<Scope> {
    state().map_or_else(Vec::new, |state| {
        state.sections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    })
}

/// Adds a process group.
///
/// # Errors
///
/// Where the name is taken: it is one name for all of httpd.
pub(super) fn define(group: GroupDefinition) -> Result<(), String> {
    let Some(state) = state() else { return Ok(()) };
    let mut groups = state.groups.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(other) = groups.iter().find(|other| other.name == group.name) {
        return Err(format!(
            "process group \"{}\": defined at {} already; expected a name that is unique in httpd",
            group.name, other.place
        ));
    }
    groups.push(group);
    Ok(())
}

/// Visits what [`define`] added.
pub(super) fn with_groups<T>(visit: impl FnOnce(&[GroupDefinition]) -> T) -> T {
    match state() {
        None => visit(&[]),
        Some(state) => visit(&state.groups.lock().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Remembers that a directive names a process group.
pub(super) fn want_group(name: &str, directive: &'static str, place: &str, server: Server<'_>) {
    let Some(state) = state() else { return };
    state.wanted_groups.lock().unwrap_or_else(PoisonError::into_inner).push(WantedGroup {
        name: name.to_owned(),
        directive,
        place: place.to_owned(),
        server: identity(server),
    });
}

/// Visits what [`want_group`] remembered.
pub(super) fn with_wanted_groups<T>(visit: impl FnOnce(&[WantedGroup]) -> T) -> T {
    match state() {
        None => visit(&[]),
        Some(state) => visit(&state.wanted_groups.lock().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Sets `RustSocketPrefix`.
pub(super) fn set_socket_prefix(prefix: PathBuf) {
    if let Some(state) = state() {
        *state.socket_prefix.lock().unwrap_or_else(PoisonError::into_inner) = Some(prefix);
    }
}

/// `RustSocketPrefix`.
pub(super) fn socket_prefix() -> Option<PathBuf> {
    state()?.socket_prefix.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Returns this module's applications, in their order.
pub(super) fn applications() -> Vec<PoolRef<NamedApplication>> {
    state().map_or_else(Vec::new, |state| state.applications.clone())
}

/// Enters an option line in the list that all modules share; `is_known` says that an application of
/// this module's takes it.
pub(super) fn line(pool: Pool<'_>, line: &OptionLine, is_known: bool) {
    let lines = pool.shared_table(LINES);
    let key = pool.c_str(format!("{}: RustAppOption {}", line.place, line.name).as_bytes());
    if is_known || lines.get(key).is_none() {
        lines.set(pool, key, if is_known { b"known" } else { b"" });
    }
}

/// Returns the option lines that no application of any module takes, once each.
pub(super) fn unknown_lines(pool: Pool<'_>) -> Vec<String> {
    let lines = pool.shared_table(LINES);
    let mut unknown = Vec::new();
    lines.each(|key, value| {
        if value.is_empty() {
            unknown.push(String::from_utf8_lossy(key).into_owned());
        }
    });
    lines.clear();
    unknown
}

/// Keeps what this module has found to be wrong until all modules have looked.
pub(super) fn found_wrong(pool: Pool<'_>, lines: &[String]) {
    let wrong = pool.shared_table(WRONG);
    for line in lines {
        wrong.add(pool, line.as_bytes(), b"");
    }
}

/// Returns the errors that all modules have found, once each, as several may see the same one. Only
/// the first module that asks gets them.
pub(super) fn all_wrong(pool: Pool<'_>) -> Vec<String> {
    let table = pool.shared_table(WRONG);
    let mut wrong = Vec::new();
    table.each(|line, _| {
        let line = String::from_utf8_lossy(line).into_owned();
        if !wrong.contains(&line) {
            wrong.push(line);
        }
    });
    table.clear();
    wrong
}

/// Returns the errors in the names that the directives of all modules use. Only the first module
/// that asks gets them.
pub(super) fn wrong_names(pool: Pool<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let wanted = pool.shared_table(WANTED);
    wanted.each(|name, place| {
        let name = String::from_utf8_lossy(name);
        if let Err(reason) = resolve(pool, &name) {
            wrong.push(format!("{}: {reason}", String::from_utf8_lossy(place)));
        }
    });
    wanted.clear();
    wrong.dedup();
    wrong
}

/// Checks that `name` is an application of exactly one module.
///
/// # Errors
///
/// Says which there are.
pub(super) fn resolve(pool: Pool<'_>, name: &str) -> Result<(), String> {
    let (module, bare) = match name.split_once(':') {
        Some((module, bare)) => (Some(module), bare),
        None => (None, name),
    };
    let (mut found, mut all) = (Vec::new(), Vec::new());
    pool.shared_table(APPLICATIONS).each(|known, by| {
        let (known, by) = (String::from_utf8_lossy(known), String::from_utf8_lossy(by));
        if known == bare && module.is_none_or(|module| module == by) {
            found.push(format!("{by}:{known}"));
        }
        all.push(known.into_owned());
    });
    match found.len() {
        1 => Ok(()),
        0 => {
            all.sort_unstable();
            all.dedup();
            Err(format!(
                "no loaded module has an application \"{name}\"; there are {}",
                all.join(", ")
            ))
        }
        _ => Err(format!(
            "several modules have an application \"{name}\": write {}",
            found.join(" or ")
        )),
    }
}

/// Checks that `name` is an application, while requests are served.
pub(super) fn resolve_now(name: &str) -> Result<(), String> {
    let Some(state) = state() else { return Err("the module has no applications".into()) };
    // SAFETY: P3: the configuration's pool, which the state itself lives in.
    let pool = unsafe { Pool::from_ptr(state.configuration as *mut _) };
    resolve(pool, name)
}

/// Returns a server's address, to tell it from others.
pub(super) fn identity(server: Server<'_>) -> usize {
    server.as_ptr() as usize
}
