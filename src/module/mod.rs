//! What makes a loadable module of Rust code: its record, configuration, directives and hooks, each
//! behind a C function that guards against panics.
//!
//! The macro [`module!`](crate::module!) puts them together.

mod config;
mod directive;
mod guard;
mod hooks;
pub mod log_format;
mod record;
mod status_page;

pub use config::{Config, Note, Records};
pub use directive::{Contexts, Directive, Parameters, Project};
pub use hooks::{
    CheckConfigHook, ChildInitHook, Named, Order, PostConfigHook, PreConfigHook, Registrar,
    RequestHook,
};
pub use log_format::LogFormatHook;
pub use record::{Commands, Definition, MOST_DIRECTIVES, NO_COMMANDS, OfDir, OfServer, record};
pub use status_page::StatusPageHook;
