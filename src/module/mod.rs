//! The parts of a loadable module: its record, configuration, directives and hooks, each behind a C
//! function that guards against panics.
//!
//! The macro [`module!`](crate::module!) puts them together. A module's author needs [`Config`],
//! [`Directive`] and [`Contexts`], and nothing else of this.

mod config;
mod directive;
mod guard;
mod hooks;
pub(crate) mod log_format;
mod record;

pub use config::Config;
pub use directive::{Contexts, Directive, Parameters};

pub(crate) use config::{Records, whole};
pub(crate) use directive::Project;
pub(crate) use hooks::{
    CheckConfigHook, ChildInitHook, ChildStoppingHook, ModuleName, MonitorHook, Order,
    PostConfigHook, PreConfigHook, Registrar, RequestHook, StatusPageHook, WRAPPER,
};
pub(crate) use log_format::LogFormatHook;
pub(crate) use record::{Commands, Definition, MOST_DIRECTIVES, NO_COMMANDS, OfServer, record};
