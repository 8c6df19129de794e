//! `%{…}^ru` in LogFormat: where a request went, and where its time did.

use std::ffi::CStr;

use super::{Gate, Module};
use crate::httpd::Request;
use crate::module::{LogFormatHook, Records as _};

/// The format of a module.
pub(super) struct Format<M>(std::marker::PhantomData<M>);

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
