//! What the gateway does in each phase of httpd.

use std::marker::PhantomData;
use std::sync::Arc;

use super::config::{Choice, Gateway, MapHeadToGet, Mounts, Section};
use super::instance::Instance;
use super::mount::Mount;
use super::{Gate, Module, check, process, state};
use crate::adapter::Facts;
use crate::embedded;
use crate::gateway::Application;
use crate::httpd::{HookStatus, Kept, Pool, Request, Server, log};
use crate::module::{
    CheckConfigHook, ChildInitHook, Named, Note, Order, Records, Registrar, RequestHook,
};

/// The handler that answers with an application.
const HANDLER: &std::ffi::CStr = c"rust-app";

/// URLs are claimed after mod_alias and mod_rewrite have had their say, and before mod_userdir and
/// mod_vhost_alias: the latter takes every URL that it is asked for.
const AFTER: &[Named] = &[Named::new(c"mod_alias.c"), Named::new(c"mod_rewrite.c"), Named::END];
const BEFORE: &[Named] =
    &[Named::new(c"mod_userdir.c"), Named::new(c"mod_vhost_alias.c"), Named::END];

pub(super) fn register<M: Module>(registrar: &Registrar<'_>) {
    log::set_module(M::record());
    let module = M::NAME.to_str().unwrap_or_default();
    let module = module.strip_suffix(".c").unwrap_or(module);
    state::start(module, M::applications(), registrar.pool());
    registrar.translate_name::<Hook<M, Translate>>(AFTER, BEFORE, Order::Middle);
    registrar.map_to_storage::<Hook<M, Storage>>(&[], &[], Order::First);
    registrar.fixups::<Hook<M, Fixups>>(&[], &[], Order::First);
    registrar.handler::<Hook<M, Handler>>(&[], &[], Order::Middle);
    registrar.check_config::<Hook<M, Own>>(Order::Middle);
    registrar.check_config::<Hook<M, All>>(Order::ReallyLast);
    registrar.child_init::<Hook<M, Child>>(Order::Middle);
}

struct Hook<M, P>(PhantomData<(M, P)>);
struct Translate;
struct Storage;
struct Fixups;
struct Handler;
struct Own;
struct All;
struct Child;

// SAFETY: mounts are all that the gateway notes for a request.
unsafe impl<M: Module> Note<Mount> for Gate<M> {}

/// The first mount of the request's server that answers its path.
fn mounted<'r, M: Module>(request: &Request<'r>) -> Option<(Kept<Mount>, usize)> {
    let mounts: &Mounts = Gate::<M>::server(request.server());
    let path = request.uri_c_str();
    mounts.list.iter().find_map(|mount| Some((*mount, mount.matches(path)?)))
}

impl<M: Module> RequestHook for Hook<M, Translate> {
    fn run(request: &Request<'_>) -> HookStatus {
        match mounted::<M>(request) {
            // Another module's mount comes first: the URL is that module's.
            Some((mount, path_info)) if mount.application.is_some() => {
                claim::<M>(request, mount, path_info);
                HookStatus::Ok
            }
            _ => HookStatus::Declined,
        }
    }
}

fn claim<M: Module>(request: &Request<'_>, mount: Kept<Mount>, path_info: usize) {
    // SAFETY: P3: the name lives with the configuration, longer than the request.
    let file = unsafe { &*mount.file.as_ptr() };
    request.set_file(file, path_info);
    request.set_handler(HANDLER);
    if request.is_subrequest() {
        request.stand_in_for_file();
    }
    Gate::<M>::note(request, mount);
}

impl<M: Module> RequestHook for Hook<M, Storage> {
    /// A mount has no file behind it, so nothing is to be looked for on disk.
    fn run(request: &Request<'_>) -> HookStatus {
        match Gate::<M>::noted::<Mount>(request) {
            // TRACE is httpd's own, as TraceEnable says.
            Some(_) if !request.is_trace() => HookStatus::Ok,
            _ => HookStatus::Declined,
        }
    }
}

impl<M: Module> RequestHook for Hook<M, Fixups> {
    fn run(request: &Request<'_>) -> HookStatus {
        let section: &Section<M::Config> = Gate::<M>::dir(request);
        if let Choice::Own(_) = section.gateway.application {
            request.set_handler(HANDLER);
        }
        match M::FIXUPS {
            Some(fixups) => fixups(request, &section.own),
            None => HookStatus::Declined,
        }
    }
}

impl<M: Module> RequestHook for Hook<M, Handler> {
    fn run(request: &Request<'_>) -> HookStatus {
        let Some(handler) = request.handler() else { return HookStatus::Declined };
        let section: &Section<M::Config> = Gate::<M>::dir(request);
        if handler.as_ptr() != HANDLER.as_ptr() && handler != HANDLER {
            return match M::HANDLER {
                Some(own) => own(request, &section.own),
                None => HookStatus::Declined,
            };
        }
        let gateway = &section.gateway;
        let mount = match Gate::<M>::noted::<Mount>(request) {
            Some(mount) => Some(*mount),
            // A fast internal redirect (DirectoryIndex) brings the handler and not the note.
            None if request.filename().is_some_and(|name| name.starts_with(b"rust:")) => {
                mounted::<M>(request).map(|(mount, _)| mount)
            }
            None => None,
        };
        let (named, usual) = match (gateway.application, &mount) {
            (Choice::Own(named), _) => (named, None),
            (Choice::Other, _) => return HookStatus::Declined,
            (choice, Some(mount)) => match mount.application {
                Some(_) if matches!(choice, Choice::Off) => {
                    return HookStatus::Http(http::StatusCode::NOT_FOUND);
                }
                Some(named) => (named, Some(&mount.usual)),
                None => return HookStatus::Declined,
            },
            (Choice::Unset | Choice::Off, None) => return HookStatus::Declined,
        };
        let Some(application) = built(usual, named, gateway) else {
            return HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR);
        };
        let facts = Facts {
            application: name_of(named),
            mount_point: mount.as_ref().and_then(|mount| path_of(*mount)),
            pass_authorization: gateway.pass_authorization.unwrap_or(false),
            error_override: gateway.error_override.unwrap_or(false),
            sendfile: gateway.enable_sendfile.unwrap_or(false),
            head_as_get: request.is_head()
                && match gateway.map_head_to_get.unwrap_or_default() {
                    MapHeadToGet::Off => false,
                    MapHeadToGet::On => true,
                    MapHeadToGet::Auto => request.has_content_filter(),
                },
        };
        embedded::serve(request, &*application, facts)
    }
}

/// The application that answers, built before or now.
fn built(
    usual: Option<&Instance>,
    named: Kept<state::Named>,
    gateway: &Gateway,
) -> Option<Arc<dyn Application>> {
    match usual {
        Some(instance) => instance.get(named, gateway.options),
        None => named.sectional.get(named, gateway.options),
    }
}

fn name_of<'r>(named: Kept<state::Named>) -> &'r str {
    // SAFETY: P3: names live with the configuration, longer than any request.
    unsafe { &(*named.as_ptr()).name }
}

fn path_of<'r>(mount: Kept<Mount>) -> Option<&'r str> {
    // SAFETY: P3: mounts live with the configuration, longer than any request.
    unsafe { (*mount.as_ptr()).path() }
}

impl<M: Module> CheckConfigHook for Hook<M, Own> {
    fn run(pconf: Pool<'_>, main: Server<'_>) -> Result<(), Vec<String>> {
        check::own(pconf, main, &|server| Gate::<M>::usual_dir(server).gateway.options)
    }
}

impl<M: Module> CheckConfigHook for Hook<M, All> {
    fn run(pconf: Pool<'_>, _main: Server<'_>) -> Result<(), Vec<String>> {
        check::all(pconf)
    }
}

impl<M: Module> ChildInitHook for Hook<M, Child> {
    /// Builds what is mounted, so that the first request finds it ready.
    fn run(pchild: Pool<'_>, main: Server<'_>) {
        process::start(pchild);
        let sections = state::sections();
        for server in main.iter() {
            let usual = Gate::<M>::usual_dir(server).gateway.options;
            let servers = [state::identity(main), state::identity(server)];
            for mount in &Gate::<M>::server(server).list {
                let options = match mount.path() {
                    Some(path) => check::covering(pchild, usual, servers, &sections, path),
                    None => usual,
                };
                if let Some(named) = mount.application {
                    // Where it fails the log says why, and requests try again.
                    let _ = mount.usual.get(named, options);
                }
            }
        }
    }
}
