//! The stock gateway: the directives and hooks of every module with applications.
//!
//! The way of a directive from httpd.conf to its effect:
//!
//! | step | file |
//! | --- | --- |
//! | the tables of directives; a function for each reads its arguments | `directives` |
//! | the records of servers and sections, and their merge | `config`, `mount`, `options`, `selection` |
//! | what is looked up later: applications, uses, process groups | `registry` |
//! | the checks when all is read (`configtest`) | `check`, `groups`, `daemons` |
//! | the start of process groups, and their applications | `daemons`, `process` |
//! | a request: the hooks, then the choice of mode | `hooks`, `mode`, `instance` |
//! | the logs and mod_status | `request_note`, `status_page`, `logger` |

mod check;
mod config;
mod daemons;
mod directives;
mod groups;
mod hooks;
mod instance;
mod logger;
mod macros;
mod mode;
mod mount;
mod options;
mod process;
mod registry;
mod request_note;
mod selection;
mod status_page;

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::gateway::Factory;
use crate::httpd::{HookStatus, Request};
use crate::module::{
    self, Commands, Config, Definition, Directive, MOST_DIRECTIVES, NO_COMMANDS, OfServer,
    Parameters, Project, Records, Registrar, whole,
};
use crate::sys;
use config::{HostDirectives, Section};
use request_note::RequestNote;

/// A module of [`module!`](crate::module!)'s, which alone implements this.
///
/// # Safety
///
/// `record` returns a static that holds [`record`]`::<Self>()`, and no other type's
/// `record` returns it.
pub unsafe trait Module: 'static {
    /// The module's name in httpd: `mod_x.c`.
    const NAME: &'static CStr;
    /// The version of the module's package.
    const VERSION: &'static str;
    /// The record of the module's own directives.
    type Config: Config;
    /// The module's own directives.
    const DIRECTIVES: &'static [Directive<Self::Config>];
    /// A hook of the module's own that runs before the handler.
    const FIXUPS: Option<OwnHook<Self::Config>>;
    /// A handler of the module's own, for what is not an application.
    const HANDLER: Option<OwnHook<Self::Config>>;

    /// Returns the module's exported record.
    fn record() -> *mut sys::module;

    /// Returns the module's applications, by name.
    fn applications() -> Vec<(&'static str, Factory)>;
}

/// A hook of a module's own, with what its directives say for the request.
pub type OwnHook<C> = fn(&Request<'_>, &C) -> HookStatus;

/// A module with applications, as httpd loads it.
pub(crate) struct Gate<M>(PhantomData<M>);

// SAFETY: `Module`'s promise: the static is that of M alone, made by `record::<M>`, which is
// `module::record::<Gate<M>>`.
unsafe impl<M: Module> Records for Gate<M> {
    type Dir = Section<M::Config>;
    type Server = HostDirectives;
    type Note = RequestNote;

    fn module() -> *mut sys::module {
        M::record()
    }
}

/// Returns the record that httpd loads under the name `symbol`.
///
/// # Panics
///
/// Panics if the name is not a module's, which does not compile in a static. The linker would let
/// it take the place of a function of that name.
#[must_use]
pub const fn record<M: Module>(symbol: &str) -> sys::module {
    let (symbol, suffix) = (symbol.as_bytes(), b"_module");
    assert!(symbol.len() > suffix.len(), "the name of a module's static ends with _module");
    let mut at = 0;
    while at < suffix.len() {
        assert!(
            symbol[symbol.len() - suffix.len() + at] == suffix[at],
            "the name of a module's static ends with _module"
        );
        at += 1;
    }
    module::record::<Gate<M>>()
}

impl<M: Module> Definition for Gate<M> {
    const NAME: &'static CStr = M::NAME;
    const COMMANDS: Commands = commands::<M>();

    fn hooks(registrar: &Registrar<'_>) {
        hooks::register::<M>(registrar);
    }
}

/// Returns the stock directives and the module's own, in one table.
const fn commands<M: Module>() -> Commands {
    let mut commands = NO_COMMANDS;
    let mut row = 0;
    let mut next = 0;
    while next < directives::SERVER.len() {
        commands[row] = directives::SERVER[next].command::<OfServer<Gate<M>>>();
        next += 1;
        row += 1;
    }
    next = 0;
    while next < directives::SECTION.len() {
        commands[row] = directives::SECTION[next].command::<OfGateway<M>>();
        next += 1;
        row += 1;
    }
    next = 0;
    while next < M::DIRECTIVES.len() {
        assert!(
            row < MOST_DIRECTIVES,
            "a module has at most 64 directives, the stock ones included"
        );
        commands[row] = M::DIRECTIVES[next].command::<OfOwn<M>>();
        next += 1;
        row += 1;
    }
    commands
}

/// The stock directives' part of a section's record.
struct OfGateway<M>(PhantomData<M>);

impl<M: Module> Project<config::GatewayDirectives> for OfGateway<M> {
    const IS_PER_SERVER: bool = false;

    unsafe fn project(
        _: &Parameters<'_>,
        record: *mut c_void,
    ) -> Option<NonNull<config::GatewayDirectives>> {
        let section: NonNull<Section<M::Config>> = whole(record)?;
        // SAFETY: P6: a record of this type, as httpd got it from `create`.
        NonNull::new(unsafe { &raw mut (*section.as_ptr()).gateway })
    }
}

/// The module's own part of a section's record.
struct OfOwn<M>(PhantomData<M>);

impl<M: Module> Project<M::Config> for OfOwn<M> {
    const IS_PER_SERVER: bool = false;

    unsafe fn project(_: &Parameters<'_>, record: *mut c_void) -> Option<NonNull<M::Config>> {
        let section: NonNull<Section<M::Config>> = whole(record)?;
        // SAFETY: P6: a record of this type, as httpd got it from `create`.
        NonNull::new(unsafe { &raw mut (*section.as_ptr()).own })
    }
}
