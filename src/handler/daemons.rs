//! Process groups as this module has them: which it needs, what their processes build, and how a
//! request names what it wants of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::config::Choice;
use super::groups::is_visible;
use super::instance::NamedApplication;
use super::options::{Chain, decode, encode};
use super::registry::{self, GroupDefinition, UsePlace};
use super::selection::Selection;
use super::{check, instance, process};
use crate::daemon::{self, Plan};
use crate::gateway::{Application, Code, Error, ErrorKind, Options, Result, start_logging};
use crate::httpd::{Pool, PoolRef, Server};
use crate::protocol::bridge::Pairs;
use crate::server::daemon_process::Applications;

/// An application with its options, which a process builds before it takes requests.
type Wanted = (u32, Options);

/// The part of the configuration that decides on process groups, as the hooks see it.
pub(super) struct View<'v> {
    pub(super) main: Server<'v>,
    /// The option lines of a server outside its sections.
    pub(super) usual: &'v dyn Fn(Server<'v>) -> Chain,
    /// `RustProcessGroup` of a server outside its sections.
    pub(super) selected: &'v dyn Fn(Server<'v>) -> Option<PoolRef<Selection>>,
    /// `RustRestrictEmbedded` of a server.
    pub(super) restricted: &'v dyn Fn(Server<'v>) -> bool,
}

/// Returns an error for each use that would run in httpd's children where none may.
pub(super) fn check_embedded(view: &View<'_>) -> Vec<String> {
    let sections = registry::sections();
    let mut wrong = Vec::new();
    registry::with_uses(|uses| {
        for server in view.main.iter().filter(|server| (view.restricted)(*server)) {
            let servers = [registry::identity(view.main), registry::identity(server)];
            for used in uses {
                let inner = match &used.at {
                    UsePlace::Section(section) if used.server == servers[1] => {
                        section.process_group
                    }
                    UsePlace::Path(path) if servers.contains(&used.server) => {
                        check::covering_group(servers, &sections, path)
                    }
                    // Only requests tell, if a regular expression or another server decides.
                    _ => continue,
                };
                let selected = (view.selected)(server);
                let selection = used.process_group.as_ref().or(inner.as_deref());
                if matches!(selection.or(selected.as_deref()), None | Some(Selection::Embedded))
                    && !sections.iter().any(|scope| {
                        scope.section.process_group.is_some() && scope.location.is_none()
                    })
                {
                    wrong.push(Code::NoGroupChosen.line(format_args!(
                        "{}: {}: RustRestrictEmbedded lets no application run in httpd's \
                         children: choose a process group, by process-group= or RustProcessGroup",
                        used.place, used.directive
                    )));
                }
            }
        }
    });
    wrong.dedup();
    wrong
}

/// Finds what is wrong with the process groups that this module's applications need.
pub(super) fn check_groups(pconf: Pool<'_>, view: &View<'_>) -> Vec<String> {
    registry::with_groups(|groups| {
        let check = |group: &GroupDefinition| {
            wanted(pconf, group, view)?;
            let error = daemon::check(pconf, registry::socket_prefix(), &group.options).err()?;
            let GroupDefinition { name, place, .. } = group;
            Some(Code::WrongGroup.line(format_args!("{place}: RustDaemonProcess {name}: {error}")))
        };
        groups.iter().filter_map(check).collect()
    })
}

/// Starts the process groups that this module's applications need.
pub(super) fn start(pconf: Pool<'_>, view: &View<'_>) -> std::result::Result<(), Vec<String>> {
    let plans = registry::with_groups(|groups| {
        let plan = |group: &GroupDefinition| {
            let wanted = wanted(pconf, group, view)?;
            Some(Plan {
                options: group.options.clone(),
                build: Box::new(move || build(&wanted)),
                finish: process::finish,
                server: Some(group.server).filter(|own| *own != registry::identity(view.main)),
            })
        };
        groups.iter().filter_map(plan).collect::<Vec<_>>()
    });
    daemon::start(pconf, view.main, registry::socket_prefix(), plans)
}

/// Returns the applications that the processes of `group` build; `None` when no application of this
/// module can be sent to it.
fn wanted(pool: Pool<'_>, group: &GroupDefinition, view: &View<'_>) -> Option<Vec<Wanted>> {
    let sections = registry::sections();
    let (mut wanted, mut is_needed) = (Vec::new(), false);
    registry::with_uses(|uses| {
        for server in view.main.iter() {
            if !is_visible(group.server, server, view.main) {
                continue;
            }
            let servers = [registry::identity(view.main), registry::identity(server)];
            for used in uses {
                let is_here = match used.at {
                    UsePlace::Section(_) => used.server == servers[1],
                    UsePlace::Path(_) | UsePlace::Pattern => servers.contains(&used.server),
                };
                if !is_here {
                    continue;
                }
                let usual = (view.usual)(server);
                let selected = (view.selected)(server);
                // The directives of the sections around the use, the outermost first.
                let (options, inner) = match &used.at {
                    UsePlace::Section(section) => {
                        (usual.around(section.options, pool), section.process_group)
                    }
                    UsePlace::Path(path) => (
                        check::covering(pool, usual, servers, &sections, path),
                        check::covering_group(servers, &sections, path),
                    ),
                    UsePlace::Pattern => (usual, None),
                };
                let selection = used.process_group.as_ref().or(inner.as_deref());
                match selection.or(selected.as_deref()) {
                    Some(Selection::Named(name)) if *name == group.name => {
                        is_needed = true;
                        let NamedApplication { factory, number, .. } = &*used.application;
                        let one = (*number, options.resolve(|name| factory.knows(name)));
                        if !wanted.contains(&one) {
                            wanted.push(one);
                        }
                    }
                    // It is known when the request is: then it is built.
                    Some(Selection::Variable(_)) => is_needed = true,
                    _ => {}
                }
            }
        }
        // Sections that choose a group for what is mounted elsewhere: a part of a mount, or what
        // only requests tell.
        is_needed |= sections.iter().any(|scope| {
            let is_chosen = match scope.section.process_group.as_deref() {
                Some(Selection::Named(name)) => *name == group.name,
                Some(Selection::Variable(_)) => true,
                Some(Selection::Embedded) | None => false,
            };
            is_chosen
                && !matches!(scope.section.application, Choice::Other)
                && uses.iter().any(|used| match &used.at {
                    UsePlace::Path(path) => scope.touches(path),
                    UsePlace::Pattern | UsePlace::Section(_) => true,
                })
        });
    });
    is_needed.then_some(wanted)
}

/// Builds the applications of a process: those that are known beforehand now, others when asked
/// for.
fn build(wanted: &[Wanted]) -> std::result::Result<Arc<dyn Applications>, String> {
    process::start_daemon();
    let named = registry::applications();
    let applications = OfModule {
        usual: named.iter().map(|_| OnceLock::new()).collect(),
        named,
        others: Mutex::default(),
    };
    for (number, options) in wanted {
        applications.build(*number, options.clone()).map_err(|error| {
            let name = applications.named.get(*number as usize).map(|named| named.name.as_str());
            format!("application {}: {error}", name.unwrap_or_default())
        })?;
    }
    // A factory may have installed a logger of its own.
    start_logging();
    Ok(Arc::new(applications))
}

/// An application's number, and its options as REQUEST has them.
type Key = (u32, Box<[u8]>);

/// This module's applications in a daemon process.
struct OfModule {
    named: Vec<PoolRef<NamedApplication>>,
    /// Those without options, found without a lock.
    usual: Vec<OnceLock<Arc<dyn Application>>>,
    others: Mutex<HashMap<Key, Arc<dyn Application>>>,
}

impl OfModule {
    fn build(&self, number: u32, options: Options) -> Result<Arc<dyn Application>> {
        let unknown = || Error::of(ErrorKind::Options, format!("there is no application {number}"));
        let named = *self.named.get(number as usize).ok_or_else(unknown)?;
        let key = encode(&options);
        let application = instance::build_for(named, options, false)?;
        if key.pairs().is_empty() {
            return Ok(Arc::clone(self.usual[number as usize].get_or_init(|| application)));
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.insert((number, key.pairs().as_bytes().into()), Arc::clone(&application));
        Ok(application)
    }
}

impl Applications for OfModule {
    fn find(&self, index: u32, options: Pairs<'_>) -> Result<Arc<dyn Application>> {
        if options.is_empty() {
            if let Some(Some(application)) = self.usual.get(index as usize).map(OnceLock::get) {
                return Ok(Arc::clone(application));
            }
            return self.build(index, Options::new()).map_err(unbuilt);
        }
        let key = (index, Box::from(options.as_bytes()));
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(application) = others.get(&key) {
            return Ok(Arc::clone(application));
        }
        drop(others);
        self.build(index, decode(options)?).map_err(unbuilt)
    }
}

/// Why a request finds no application, as the log of its virtual host is to say it.
fn unbuilt(error: Error) -> Error {
    Error::of(ErrorKind::Options, format!("it cannot be built: {error}"))
}

/// Returns the group of that name, if it may be used in the request's server.
pub(super) fn find(name: &str, server: Server<'_>) -> Option<PoolRef<daemon::Group>> {
    daemon::find(name).filter(|group| group.serves(registry::identity(server)))
}
