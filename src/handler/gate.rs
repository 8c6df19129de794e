//! A module of the kit: its trait, and the records that httpd keeps for it.

use std::ffi::CStr;
use std::marker::PhantomData;

use super::config::{HostDirectives, Section};
use super::request_note::RequestNote;
use crate::gateway::Factory;
use crate::httpd::{HookStatus, Request};
use crate::module::{Config, Directive, Records};
use crate::sys;

/// A module of [`module!`](crate::module!)'s, which alone implements this.
///
/// # Safety
///
/// `record` returns a static that holds [`record`](super::record)`::<Self>()`, and no other type's
/// `record` returns it.
pub unsafe trait Module: 'static {
    /// The module's name in httpd: `mod_x.c`.
    const NAME: &'static CStr;
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
