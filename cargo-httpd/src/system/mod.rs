//! The system's httpd: what `cargo httpd install` puts there, and how it is undone.
//!
//! [`System`] knows where this distribution keeps modules and their configuration, `Change` writes
//! files so that all of it can be taken back, `Manifest` remembers what was written.

mod change;
mod control;
mod installing;
mod layout;
mod manifest;

pub(crate) use change::Change;
pub(crate) use installing::{Installation, install, installed, uninstall};
pub(crate) use layout::System;
