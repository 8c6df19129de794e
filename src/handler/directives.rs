//! The stock directives.

use std::ffi::CStr;
use std::path::PathBuf;
use std::time::Duration;

use super::config::{Choice, GatewayDirectives, HostDirectives};
use super::instance::Instance;
use super::mount::{AliasMount, At};
use super::options::OptionLine;
use super::registry::{self, GroupDefinition, Use, UsePlace};
use super::selection::Selection;
use crate::adapter::OnOffAuto;
use crate::httpd::{Pattern, PoolRef};
use crate::module::{Contexts, Directive, Parameters};
use crate::process_group::{GroupOptions, units};

/// Directives of a section.
pub(super) const SECTION: &[Directive<GatewayDirectives>] = &[
    Directive::arguments(
        c"RustApp",
        Contexts::DIRECTORY_AND_HTACCESS,
        c"The application that answers here: its name, module:name, or Off; RustAppAlias mounts one in a server",
        "one argument: the name of an application, module:name, or Off",
        application,
    ),
    Directive::arguments(
        c"RustAppOption",
        Contexts::CONFIG,
        c"An option of the application: its name and its value",
        "two arguments: the option's name and its value",
        option,
    ),
    Directive::flag(
        c"RustPassAuthorization",
        Contexts::ALL,
        c"On to hand Authorization to applications as HTTP_AUTHORIZATION",
        |section, on| section.pass_authorization = Some(on),
    ),
    Directive::flag(
        c"RustErrorOverride",
        Contexts::ALL,
        c"On to answer an application's error statuses with ErrorDocument",
        |section, on| section.error_override = Some(on),
    ),
    Directive::value(
        c"RustMapHeadToGet",
        Contexts::ALL,
        c"Whether applications see a HEAD as a GET: Off, On, or Auto",
        |section, map: OnOffAuto| section.map_head_to_get = Some(map),
    ),
    Directive::flag(
        c"RustEnableSendfile",
        Contexts::ALL,
        c"On to send the files of the file wrapper by sendfile",
        |section, on| section.enable_sendfile = Some(on),
    ),
    Directive::arguments(
        c"RustProcessGroup",
        Contexts::CONFIG,
        c"The process group that runs the applications: its name, %{GLOBAL}, or %{ENV:variable}",
        "one argument: the name of a process group, %{GLOBAL}, or %{ENV:variable}",
        process_group,
    ),
    Directive::arguments(
        c"RustRestrictProcess",
        Contexts::CONFIG,
        c"The process groups that RustProcessGroup may choose here, %{GLOBAL} among them",
        "the names of process groups, one or more, and %{GLOBAL} for embedded mode",
        restrict_process,
    ),
    Directive::flag(
        c"RustIgnoreActivity",
        Contexts::ALL,
        c"On to leave requests out of account for a process group's inactivity-timeout",
        |section, on| section.ignore_activity = Some(on),
    ),
];

/// Directives of a server.
pub(super) const SERVER: &[Directive<HostDirectives>] = &[
    Directive::arguments(
        c"RustAppAlias",
        Contexts::SERVER,
        c"Mounts an application: a URL path, the application's name, and process-group=name",
        "a URL path and the name of an application, and process-group=name if wanted",
        alias,
    ),
    Directive::arguments(
        c"RustAppAliasMatch",
        Contexts::SERVER,
        c"Mounts an application: a regular expression, the application's name, and process-group=name",
        "a regular expression and the name of an application, and process-group=name if wanted",
        alias_match,
    ),
    Directive::arguments(
        c"RustAppImport",
        Contexts::SERVER,
        c"Builds an application when processes of a group start: its name, and process-group=name",
        "the name of an application, and process-group=name",
        import,
    ),
    Directive::arguments(
        c"RustDaemonProcess",
        Contexts::SERVER,
        c"Defines a process group: its name, and options as key=value",
        "the name of a process group, and options as key=value",
        daemon_process,
    ),
    Directive::flag(
        c"RustRestrictEmbedded",
        Contexts::SERVER,
        c"On to run no application in httpd's own children",
        |host, on| host.restrict_embedded = Some(on),
    ),
    Directive::value(
        c"RustAsync",
        Contexts::SERVER,
        c"Whether requests of services wait without a thread: On, Off, or Auto",
        |host, mode: OnOffAuto| host.async_mode = Some(mode),
    ),
    Directive::arguments(
        c"RustGracefulTimeout",
        Contexts::SERVER,
        c"The time that endless streams have when their child ends; Off for any time",
        "one argument: a time (2, 500ms, 1min), or Off",
        graceful_timeout,
    ),
    Directive::flag(
        c"RustServeHalfClosed",
        Contexts::SERVER,
        c"On to serve clients that have shut down their sending side",
        |host, on| host.serve_half_closed = Some(on),
    ),
    Directive::arguments(
        c"RustRuntimeThreads",
        Contexts::SERVER,
        c"The threads of the runtime for services, in each child of httpd",
        "one argument: a number of threads, or 0",
        runtime_threads,
    ),
    Directive::arguments(
        c"RustSocketPrefix",
        Contexts::SERVER,
        c"The path that the names of process groups' sockets begin with",
        "one argument: a path, relative to ServerRoot",
        socket_prefix,
    ),
    Directive::arguments(
        c"RustSlowRequests",
        Contexts::SERVER,
        c"Logs requests that take longer than this, with their phases; Off for none",
        "one argument: a time (2, 500ms, 1min), or Off",
        slow_requests,
    ),
];

type Result = std::result::Result<(), String>;

/// Returns the error for a wrong number of arguments: the directive's own text on its arguments.
fn usage() -> Result {
    Err(String::new())
}

fn application(section: &mut GatewayDirectives, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [name] = arguments else { return usage() };
    if name.eq_ignore_ascii_case("off") {
        section.application = Choice::Off;
        return Ok(());
    }
    if at.is_htaccess() {
        registry::resolve_now(name)?;
    } else {
        registry::want(at.pool(), name, "RustApp", &at.place());
    }
    section.application = match registry::find(name) {
        None => Choice::Other,
        Some(application) => {
            if !at.is_htaccess() {
                registry::used(Use {
                    application,
                    process_group: None,
                    directive: format!("RustApp {name}"),
                    place: at.place(),
                    at: UsePlace::Section(record(at)),
                    server: registry::identity(at.server()),
                });
            }
            Choice::Own(application)
        }
    };
    Ok(())
}

/// Returns the section's own record, for those who look at it when the configuration has been read.
fn record(at: &Parameters<'_>) -> PoolRef<GatewayDirectives> {
    // SAFETY: P3: httpd keeps the record as long as the configuration, as this does not stand in
    // .htaccess. The directives here are those of `SECTION`, which have this type, and what
    // remembers the record compares its address only until all is read.
    unsafe { at.record() }
}

fn option(section: &mut GatewayDirectives, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [name, value] = arguments else { return usage() };
    if name.is_empty() {
        return Err("option \"\": the name is empty; expected a name".into());
    }
    let line = OptionLine { name: (*name).into(), value: (*value).into(), place: at.place() };
    section.options = section.options.with(line, at.pool());
    if at.path().is_some() {
        registry::remember_section(record(at), at.server(), at.location());
    }
    Ok(())
}

fn alias(host: &mut HostDirectives, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [path, name, options @ ..] = arguments else { return usage() };
    if !path.starts_with('/') {
        return Err(format!("URL path \"{path}\": it does not start with a slash; expected /path"));
    }
    if path.contains("//") || path.contains(['?', '#', '%']) {
        return Err(format!(
            "URL path \"{path}\": it holds //, ?, # or %; expected a decoded path"
        ));
    }
    let path = path.trim_end_matches('/').to_owned();
    let directive = format!("RustAppAlias {} {name}", arguments[0]);
    mount(host, At::Path(path), name, options, &directive, at)
}

fn alias_match(host: &mut HostDirectives, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [expression, name, options @ ..] = arguments else { return usage() };
    let pattern = Pattern::new(expression).ok_or_else(|| {
        format!("regular expression \"{expression}\": it does not compile; expected PCRE syntax")
    })?;
    let directive = format!("RustAppAliasMatch {expression} {name}");
    mount(host, At::Pattern(pattern), name, options, &directive, at)
}

fn mount(
    host: &mut HostDirectives,
    where_: At,
    name: &str,
    options: &[&str],
    directive: &str,
    at: &Parameters<'_>,
) -> Result {
    let mut process_group = None;
    for option in options {
        let Some(group) = option.strip_prefix("process-group=") else {
            return Err(format!("option \"{option}\": unknown; expected process-group=name"));
        };
        let selection = Selection::parse(group)?;
        if let Selection::Named(name) = &selection {
            registry::want_group(name, "process-group=", &at.place(), at.server());
        }
        if process_group.replace(selection).is_some() {
            return Err(format!(
                "option \"{option}\": process-group is given twice; expected it once"
            ));
        }
    }
    let pool = at.pool();
    registry::want(pool, name, directive, &at.place());
    let application = registry::find(name);
    if let Some(application) = application {
        registry::used(Use {
            application,
            process_group: process_group.clone(),
            directive: directive.to_owned(),
            place: at.place(),
            at: match &where_ {
                At::Path(path) => UsePlace::Path(path.clone()),
                At::Pattern(_) => UsePlace::Pattern,
            },
            server: registry::identity(at.server()),
        });
    }
    let file: &CStr = pool.c_str(format!("rust:{name}").as_bytes());
    // SAFETY: P3: it lives as long as the mount, in the same pool.
    let file = unsafe { PoolRef::from_ref(file) };
    let mount =
        AliasMount { at: where_, application, file, process_group, usual: Instance::default() };
    // SAFETY: P3: a mount stands in servers only, so this is pconf; servers' records refer to it.
    host.mounts.push(unsafe { pool.keep(mount) });
    Ok(())
}

fn import(_: &mut HostDirectives, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [name, option] = arguments else { return usage() };
    let group = option
        .strip_prefix("process-group=")
        .ok_or_else(|| format!("option \"{option}\": expected process-group=name"))?;
    let Selection::Named(group) = Selection::parse(group)? else {
        return Err(format!("option \"{option}\": expected the name of a process group"));
    };
    let place = at.place();
    registry::want_group(&group, IMPORT, &place, at.server());
    registry::want(at.pool(), name, IMPORT, &place);
    if let Some(application) = registry::find(name) {
        registry::used(Use {
            application,
            process_group: Some(Selection::Named(group)),
            directive: format!("{IMPORT} {name}"),
            place,
            // It answers nowhere: the options outside of sections are its own.
            at: UsePlace::Pattern,
            server: registry::identity(at.server()),
        });
    }
    Ok(())
}

/// The directive whose groups need not take requests.
pub(super) const IMPORT: &str = "RustAppImport";

fn process_group(
    section: &mut GatewayDirectives,
    arguments: &[&str],
    at: &Parameters<'_>,
) -> Result {
    let [name] = arguments else { return usage() };
    let selection = Selection::parse(name)?;
    if let Selection::Named(name) = &selection {
        registry::want_group(name, "RustProcessGroup", &at.place(), at.server());
    }
    // SAFETY: P3: the directive does not stand in .htaccess, so this is pconf; sections' records
    // refer to it.
    section.process_group = Some(unsafe { at.pool().keep(selection) });
    if at.path().is_some() {
        registry::remember_section(record(at), at.server(), at.location());
    }
    Ok(())
}

fn restrict_process(
    section: &mut GatewayDirectives,
    arguments: &[&str],
    at: &Parameters<'_>,
) -> Result {
    if arguments.is_empty() {
        return usage();
    }
    let mut names = Vec::new();
    for name in arguments {
        match Selection::parse(name)? {
            Selection::Embedded => {}
            Selection::Named(_) => {
                registry::want_group(name, "RustRestrictProcess", &at.place(), at.server());
            }
            Selection::Variable(_) => {
                return Err(format!(
                    "process group \"{name}\": not a name; expected names of process groups, or \
                     %{{GLOBAL}}"
                ));
            }
        }
        names.push((*name).to_owned());
    }
    // SAFETY: P3: as above.
    section.restrict_process = Some(unsafe { at.pool().keep(names) });
    Ok(())
}

fn daemon_process(_: &mut HostDirectives, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [name, options @ ..] = arguments else { return usage() };
    let options = GroupOptions::parse(name, options)?;
    registry::define(GroupDefinition {
        name: (*name).to_owned(),
        options,
        server: registry::identity(at.server()),
        place: at.place(),
    })
}

fn socket_prefix(_: &mut HostDirectives, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [path] = arguments else { return usage() };
    if path.is_empty() {
        return usage();
    }
    main_server_only(at)?;
    let path = at.pool().server_path(path).and_then(|path| path.to_str().ok());
    let path = path.ok_or_else(|| {
        format!(
            "path \"{}\": not a path; expected one that is absolute or relative to ServerRoot",
            arguments[0]
        )
    })?;
    registry::set_socket_prefix(PathBuf::from(path));
    Ok(())
}

/// Checks that a directive which holds for all of httpd stands where it may.
fn main_server_only(at: &Parameters<'_>) -> Result {
    if at.server().is_virtual() {
        return Err(
            "not allowed in a virtual host; expected in the main server, as it holds for all \
                    of httpd"
                .into(),
        );
    }
    Ok(())
}

fn slow_requests(host: &mut HostDirectives, arguments: &[&str], _: &Parameters<'_>) -> Result {
    host.slow_requests = Some(time_or_off(arguments)?);
    Ok(())
}

fn graceful_timeout(host: &mut HostDirectives, arguments: &[&str], _: &Parameters<'_>) -> Result {
    host.graceful_timeout = Some(time_or_off(arguments)?);
    Ok(())
}

/// Reads a time; zero is Off.
fn time_or_off(arguments: &[&str]) -> std::result::Result<Duration, String> {
    let [time] = arguments else { return Err(String::new()) };
    if time.eq_ignore_ascii_case("off") {
        return Ok(Duration::ZERO);
    }
    units::duration(time).map_err(|reason| format!("value \"{time}\": {reason}"))
}

fn runtime_threads(host: &mut HostDirectives, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [number] = arguments else { return usage() };
    main_server_only(at)?;
    let number = units::count(number, 0, units::MOST_RUNTIME_THREADS)
        .map_err(|reason| format!("value \"{number}\": {reason}"))?;
    host.runtime_threads = usize::try_from(number).ok();
    Ok(())
}
