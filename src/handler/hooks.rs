//! The gateway's work in each phase of httpd.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::time::Instant;

use super::config::{Choice, HostDirectives, Section};
use super::daemons::View;
use super::mode::{RoutedRequest, name_of};
use super::mount::AliasMount;
use super::request_note::{self, RequestNote};
use super::selection::Selection;
use super::{Gate, Module};
use super::{check, daemons, groups, process, registry, status_page};
use crate::adapter;
use crate::daemon;
use crate::gateway::start_logging;
use crate::httpd::suspend;
use crate::httpd::{HookStatus, Pool, PoolRef, Request, Server, log};
use crate::module::{
    CheckConfigHook, ChildInitHook, ChildStoppingHook, LogFormatHook, ModuleName, MonitorHook,
    Order, PostConfigHook, PreConfigHook, Records, Registrar, RequestHook, WRAPPER, log_format,
};

/// The handler that answers with an application.
const HANDLER: &CStr = c"rust-app";

/// URLs are claimed after mod_alias and mod_rewrite have had their say, and before mod_userdir and
/// mod_vhost_alias: the latter takes every URL that it is asked for.
const AFTER: &[ModuleName] =
    &[ModuleName::new(c"mod_alias.c"), ModuleName::new(c"mod_rewrite.c"), ModuleName::END];
const BEFORE: &[ModuleName] =
    &[ModuleName::new(c"mod_userdir.c"), ModuleName::new(c"mod_vhost_alias.c"), ModuleName::END];

pub(super) fn register<M: Module>(registrar: &Registrar<'_>) {
    log::set_module(M::record());
    let module = M::NAME.to_str().unwrap_or_default();
    let module = module.strip_suffix(".c").unwrap_or(module);
    registry::start(module, M::applications(), registrar.pool());
    registrar.translate_name::<Hook<M, Translate>>(AFTER, BEFORE, Order::Middle);
    registrar.map_to_storage::<Hook<M, Storage>>(&[], &[], Order::First);
    registrar.fixups::<Hook<M, Fixups>>(&[], &[], Order::First);
    registrar.handler::<Hook<M, Handler>>(Order::Middle);
    registrar.check_config::<Hook<M, Own>>(Order::Middle);
    registrar.check_config::<Hook<M, All>>(Order::ReallyLast);
    // The last of all: what other modules refuse has been refused by then.
    registrar.post_config::<Hook<M, Start>>(Order::ReallyLast);
    registrar.child_init::<Hook<M, Child>>(Order::Middle);
    registrar.child_stopping::<Hook<M, Child>>(Order::Middle);
    registrar.connections();
    registrar.monitor::<Hook<M, Refill>>(Order::Middle);
    registrar.pre_config::<Hook<M, Formats>>(Order::Middle);
    registrar.status_page::<status_page::Page<M>>();
}

struct Hook<M, P>(PhantomData<(M, P)>);
struct Translate;
struct Storage;
struct Fixups;
struct Handler;
struct Own;
struct All;
struct Start;
struct Formats;
struct Refill;
struct Child;

/// Returns the first mount of the request's server that answers its path, and PATH_INFO.
fn mounted<'r, M: Module>(request: &Request<'r>) -> Option<(PoolRef<AliasMount>, &'r CStr)> {
    let host: &HostDirectives = Gate::<M>::server(request.server());
    let path = request.uri_c_str();
    host.mounts.iter().find_map(|mount| Some((*mount, mount.matches(path)?)))
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

fn claim<'r, M: Module>(request: &Request<'r>, mount: PoolRef<AliasMount>, path_info: &'r CStr) {
    request.set_file(mount.get(request).file.get(request), path_info);
    request.set_handler(HANDLER);
    if request.is_subrequest() {
        request.stand_in_for_file();
    }
    Gate::<M>::note(request, RequestNote::of(Some(mount)));
}

impl<M: Module> RequestHook for Hook<M, Storage> {
    fn passes_by(request: &Request<'_>) -> bool {
        Gate::<M>::noted(request).is_none() && !request.is_subrequest()
    }

    /// Keeps httpd from looking for a file: a mount has none.
    fn run(request: &Request<'_>) -> HookStatus {
        if request.is_translated_only() {
            return HookStatus::Ok;
        }
        match Gate::<M>::noted(request) {
            // TRACE is httpd's own, as TraceEnable says.
            Some(_) if !request.is_trace() => HookStatus::Ok,
            _ => HookStatus::Declined,
        }
    }
}

impl<M: Module> RequestHook for Hook<M, Fixups> {
    fn passes_by(request: &Request<'_>) -> bool {
        let is_own = |section: &Section<_>| matches!(section.gateway.application, Choice::Own(_));
        M::FIXUPS.is_none() && Gate::<M>::whole_dir(request).is_some_and(|section| !is_own(section))
    }

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
    fn passes_by(request: &Request<'_>) -> bool {
        M::HANDLER.is_none() && !request.has_handler(HANDLER)
    }

    fn run(request: &Request<'_>) -> HookStatus {
        let section: &Section<M::Config> = Gate::<M>::dir(request);
        if !request.has_handler(HANDLER) {
            return match M::HANDLER {
                Some(own) if request.handler().is_some() => own(request, &section.own),
                _ => HookStatus::Declined,
            };
        }
        let gateway = &section.gateway;
        let noted = match Gate::<M>::noted(request) {
            Some(noted) => noted,
            None => {
                // A fast internal redirect (DirectoryIndex) brings the handler and not the note.
                let is_mount = request.filename().is_some_and(|name| name.starts_with(b"rust:"));
                let mount = is_mount.then(|| mounted::<M>(request)).flatten();
                Gate::<M>::note(request, RequestNote::of(mount.map(|(mount, _)| mount)))
            }
        };
        let (named, mount) = match (gateway.application, noted.mount) {
            (Choice::Own(named), _) => (named, None),
            (Choice::Other, _) => return HookStatus::Declined,
            (choice, Some(mount)) => match mount.application {
                Some(_) if matches!(choice, Choice::Off) => {
                    return HookStatus::Http(http::StatusCode::NOT_FOUND);
                }
                Some(named) => (named, Some(mount)),
                None => return HookStatus::Declined,
            },
            (Choice::Unset | Choice::Off, None) => return HookStatus::Declined,
        };
        if request.refuses_path_info() {
            return HookStatus::Http(http::StatusCode::NOT_FOUND);
        }
        let host: &HostDirectives = Gate::<M>::server(request.server());
        let started = host.slow_requests.map(|_| Instant::now());
        let routed = RoutedRequest { request, gateway, host, named, mount, noted, started };
        let status = routed.answer();
        // A suspended request is logged at its end.
        if let (Some(threshold), Some(started)) = (host.slow_requests, started)
            && !suspend::is_parked(request)
        {
            request_note::log_if_slow(request, name_of(named, request), noted, threshold, started);
        }
        status
    }
}

impl<M: Module> CheckConfigHook for Hook<M, Own> {
    fn run(pconf: Pool<'_>, main: Server<'_>) -> Result<(), Vec<String>> {
        let mut wrong = groups::check(main);
        wrong.extend(daemons::check_embedded(&view::<M>(main)));
        wrong.extend(daemons::check_groups(pconf, &view::<M>(main)));
        let own = check::own(pconf, main, &|server| Gate::<M>::usual_dir(server).gateway.options);
        if let Err(more) = own {
            wrong.extend(more);
        }
        // All mistakes are told at once, when every module has looked: [`All`].
        registry::found_wrong(pconf, &wrong);
        Ok(())
    }
}

/// `%{…}^ru` in LogFormat: where a request went, and where its time did.
pub(super) struct Format<M>(PhantomData<M>);

impl<M: Module> LogFormatHook for Format<M> {
    const TAG: &'static CStr = c"^ru";

    fn text<'r>(request: &Request<'r>, name: &str) -> Option<&'r CStr> {
        let noted = Gate::<M>::noted(request)?;
        let group = noted.group.get();
        let phases = &noted.phases;
        let pid = phases.pid.get();
        let us = |us: u64| pid.map(|_| us.to_string());
        let text = match name {
            "process-group" => Some(group?.name().to_owned()),
            "pid" => pid.map(|pid| pid.to_string()),
            "connect" => us(phases.connect.get()),
            "queue" => us(phases.queue.get()),
            "application" => us(phases.application.get()),
            "first-byte" => us(phases.first_byte.get()),
            "body" => us(phases.body.get()),
            _ => None,
        };
        Some(request.pool().c_str(text?.as_bytes()))
    }
}

impl<M: Module> PreConfigHook for Hook<M, Formats> {
    fn run(pconf: Pool<'_>) {
        log_format::register::<Format<M>>(pconf);
    }
}

impl<M: Module> PostConfigHook for Hook<M, Start> {
    fn run(pconf: Pool<'_>, main: Server<'_>) -> Result<(), Vec<String>> {
        daemons::start(pconf, &view::<M>(main))
    }
}

/// Returns the part of the configuration that decides on process groups.
fn view<M: Module>(main: Server<'_>) -> View<'_> {
    View {
        main,
        usual: &|server| Gate::<M>::usual_dir(server).gateway.options,
        selected: &|server| Gate::<M>::usual_dir(server).gateway.process_group,
        restricted: &|server| Gate::<M>::server(server).restrict_embedded == Some(true),
    }
}

impl<M: Module> CheckConfigHook for Hook<M, All> {
    fn run(pconf: Pool<'_>, _main: Server<'_>) -> Result<(), Vec<String>> {
        check::all(pconf)
    }
}

impl<M: Module> MonitorHook for Hook<M, Refill> {
    fn run() {
        daemon::refill();
    }
}

impl<M: Module> ChildStoppingHook for Hook<M, Child> {
    fn run() {
        adapter::begin_end();
    }
}

impl<M: Module> ChildInitHook for Hook<M, Child> {
    /// Builds what is mounted, so that the first request finds it ready.
    fn run(pchild: Pool<'_>, main: Server<'_>) {
        let host: &HostDirectives = Gate::<M>::server(main);
        process::start(pchild, host.runtime_threads.unwrap_or_default());
        suspend::prepare(M::NAME, WRAPPER);
        daemon::in_child();
        let sections = registry::sections();
        for server in main.iter() {
            let usual = Gate::<M>::usual_dir(server).gateway.options;
            let servers = [registry::identity(main), registry::identity(server)];
            let host: &HostDirectives = Gate::<M>::server(server);
            for mount in &host.mounts {
                let options = match mount.path() {
                    Some(path) => check::covering(pchild, usual, servers, &sections, path),
                    None => usual,
                };
                let group = mount.process_group.as_ref().cloned().or_else(|| {
                    let inner = mount
                        .path()
                        .and_then(|path| check::covering_group(servers, &sections, path));
                    let usual = Gate::<M>::usual_dir(server).gateway.process_group;
                    Some((*inner.or(usual)?).clone())
                });
                // An application of a process group takes no memory here.
                let is_embedded = matches!(group, None | Some(Selection::Embedded));
                if let Some(named) = mount.application
                    && is_embedded
                    && host.restrict_embedded != Some(true)
                {
                    // The log tells why it fails, and requests try again.
                    let _ = mount.usual.get(named, options);
                }
            }
        }
        // A factory may have installed a logger of its own.
        start_logging();
    }
}
