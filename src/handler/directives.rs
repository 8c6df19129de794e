//! The stock directives.

use std::ffi::CStr;

use super::config::{Choice, Gateway, MapHeadToGet, Mounts};
use super::instance::Instance;
use super::mount::{At, Mount};
use super::options::Line;
use super::state::{self, Place, Use};
use crate::httpd::{Kept, Pattern};
use crate::module::{Contexts, Directive, Parameters};

/// Directives of a section.
pub(super) const SECTION: &[Directive<Gateway>] = &[
    Directive::arguments(
        c"RustApp",
        Contexts::DIRECTORY_AND_HTACCESS,
        c"The application that answers here: its name, module:name, or Off",
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
        |section, map: MapHeadToGet| section.map_head_to_get = Some(map),
    ),
    Directive::flag(
        c"RustEnableSendfile",
        Contexts::ALL,
        c"On to send the files of the file wrapper by sendfile",
        |section, on| section.enable_sendfile = Some(on),
    ),
];

/// Directives of a server.
pub(super) const SERVER: &[Directive<Mounts>] = &[
    Directive::arguments(
        c"RustAppAlias",
        Contexts::SERVER,
        c"Mounts an application: a URL path and the application's name",
        "two arguments: a URL path and the name of an application",
        alias,
    ),
    Directive::arguments(
        c"RustAppAliasMatch",
        Contexts::SERVER,
        c"Mounts an application: a regular expression and the application's name",
        "two arguments: a regular expression and the name of an application",
        alias_match,
    ),
];

type Result = std::result::Result<(), String>;

/// The answer to a wrong number of arguments: the directive's own words on what it takes.
fn usage() -> Result {
    Err(String::new())
}

fn application(section: &mut Gateway, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [name] = arguments else { return usage() };
    if at.path().is_none() {
        return Err(format!(
            "{name}: it stands in <Location>, <Directory>, <Files>, <If> or .htaccess; RustAppAlias \
             mounts an application in a server"
        ));
    }
    if name.eq_ignore_ascii_case("off") {
        section.application = Choice::Off;
        return Ok(());
    }
    if at.is_htaccess() {
        state::resolve_now(name)?;
    } else {
        state::want(at.pool(), name, "RustApp", &at.place());
    }
    section.application = match state::find(name) {
        None => Choice::Other,
        Some(application) => {
            if !at.is_htaccess() {
                state::used(Use {
                    application,
                    directive: format!("RustApp {name}"),
                    place: at.place(),
                    // SAFETY: P3: httpd keeps the record as long as the configuration.
                    at: Place::Section(unsafe { Kept::from_ref(section) }),
                    server: state::identity(at.server()),
                });
            }
            Choice::Own(application)
        }
    };
    Ok(())
}

fn option(section: &mut Gateway, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [name, value] = arguments else { return usage() };
    if name.is_empty() {
        return Err("the option's name is empty".into());
    }
    let line = Line { name: (*name).into(), value: (*value).into(), place: at.place() };
    section.options = section.options.with(line, at.pool(), true);
    if at.path().is_some() {
        state::has_options(section, at.server(), at.location());
    }
    Ok(())
}

fn alias(mounts: &mut Mounts, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [path, name] = arguments else { return usage() };
    if !path.starts_with('/') {
        return Err(format!("\"{path}\": the URL path has to start with a slash"));
    }
    if path.contains("//") || path.contains(['?', '#', '%']) {
        return Err(format!(
            "\"{path}\": the URL path is a decoded path, without //, ?, # or % in it"
        ));
    }
    let path = path.trim_end_matches('/').to_owned();
    mount(mounts, At::Path(path), name, &format!("RustAppAlias {} {name}", arguments[0]), at)
}

fn alias_match(mounts: &mut Mounts, arguments: &[&str], at: &Parameters<'_>) -> Result {
    let [expression, name] = arguments else { return usage() };
    let pattern = Pattern::new(expression, at.pool())
        .ok_or_else(|| format!("\"{expression}\" is not a regular expression"))?;
    let directive = format!("RustAppAliasMatch {expression} {name}");
    mount(mounts, At::Pattern(pattern), name, &directive, at)
}

fn mount(
    mounts: &mut Mounts,
    where_: At,
    name: &str,
    directive: &str,
    at: &Parameters<'_>,
) -> Result {
    let pool = at.pool();
    state::want(pool, name, directive, &at.place());
    let application = state::find(name);
    if let Some(application) = application {
        state::used(Use {
            application,
            directive: directive.to_owned(),
            place: at.place(),
            at: match &where_ {
                At::Path(path) => Place::Path(path.clone()),
                At::Pattern(_) => Place::Pattern,
            },
            server: state::identity(at.server()),
        });
    }
    let file: &CStr = pool.c_str(format!("rust:{name}").as_bytes());
    // SAFETY: P3: it lives as long as the mount, in the same pool.
    let file = unsafe { Kept::from_ref(file) };
    mounts.list.push(pool.keep(Mount {
        at: where_,
        application,
        file,
        usual: Instance::default(),
    }));
    Ok(())
}
