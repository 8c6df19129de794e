//! The mode of a request: embedded, or in a process group. RustProcessGroup, RustRestrictProcess
//! and RustRestrictEmbedded take effect here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::{GatewayDirectives, HostDirectives};
use super::daemons;
use super::instance::{Instance, NamedApplication};
use super::mount::AliasMount;
use super::request_note::{self, RequestNote};
use super::selection::{self, Destination};
use crate::adapter::{self, ExchangeContext, OnOffAuto};
use crate::daemon::{Call, Group};
use crate::gateway::{Application, Code};
use crate::httpd::{HookStatus, PoolRef, Request, log};

/// The default of `RustGracefulTimeout`.
const GRACEFUL_TIMEOUT: Duration = Duration::from_secs(30);

/// A request whose application is known.
pub(super) struct RoutedRequest<'a, 'r> {
    pub(super) request: &'a Request<'r>,
    pub(super) gateway: &'a GatewayDirectives,
    pub(super) host: &'a HostDirectives,
    pub(super) named: PoolRef<NamedApplication>,
    /// The mount, if the mount chose the application.
    pub(super) mount: Option<PoolRef<AliasMount>>,
    pub(super) noted: &'r RequestNote,
    pub(super) started: Option<Instant>,
}

impl<'r> RoutedRequest<'_, 'r> {
    /// Answers the request in the mode that the directives choose.
    pub(super) fn answer(&self) -> HookStatus {
        let gateway = self.gateway;
        let has_choice = gateway.process_group.is_some()
            || gateway.restrict_process.is_some()
            || self.mount.is_some_and(|mount| mount.process_group.is_some());
        match if has_choice { self.group() } else { Ok(None) } {
            Ok(None) => self.embedded(),
            Ok(Some(group)) => self.daemon(group),
            Err(reason) => self.refuse(
                &Code::GroupRefused
                    .line(format_args!("application {}: {reason}; answering 500", self.name())),
            ),
        }
    }

    /// Returns the process group that the directives choose; `None` for embedded mode.
    ///
    /// # Errors
    ///
    /// Returns an error if the group is not allowed here, or does not exist.
    fn group(&self) -> Result<Option<PoolRef<Group>>, String> {
        let of_mount = self.mount.as_ref().and_then(|mount| mount.process_group.as_ref());
        let selection = of_mount.or(self.gateway.process_group.as_deref());
        let allowed = self.gateway.restrict_process.as_deref().map(Vec::as_slice);
        match selection::destination(selection, allowed, self.request)? {
            Destination::Embedded => Ok(None),
            Destination::Group(name) => match daemons::find(name, self.request.server()) {
                Some(group) => Ok(Some(group)),
                None => Err(format!("there is no process group \"{name}\" for this virtual host")),
            },
        }
    }

    fn embedded(&self) -> HookStatus {
        if self.host.restrict_embedded == Some(true) {
            return self.refuse(&Code::EmbeddedRefused.line(format_args!(
                "application {}: RustRestrictEmbedded lets no application run in httpd's \
                 children, and no process group is chosen here; answering 500",
                self.name()
            )));
        }
        let usual = self.mount.as_ref().map(|mount| &mount.usual);
        match built(usual, self.named, self.gateway) {
            Some(application) => {
                let mode = self.host.async_mode.unwrap_or_default();
                let (facts, at_end) = (self.facts(), self.at_end());
                adapter::serve(self.request, &*application, facts, mode, at_end)
            }
            None => HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    /// Returns the work at the end of a request that gave its thread back: it is logged if it was
    /// slow.
    fn at_end(&self) -> impl FnOnce(&Request<'r>) + 'r {
        let (noted, started, threshold) = (self.noted, self.started, self.host.slow_requests);
        let name = self.name();
        move |request| {
            if let (Some(threshold), Some(started)) = (threshold, started) {
                request_note::log_if_slow(request, name, noted, threshold, started);
            }
        }
    }

    fn daemon(&self, group: PoolRef<Group>) -> HookStatus {
        self.noted.group.set(Some(group));
        let instance = match self.mount {
            Some(mount) => &mount.get(self.request).usual,
            None => &self.named.get(self.request).sectional,
        };
        let options = instance.encoded(self.named, self.gateway.options, self.request);
        let call = Call {
            application: self.named.number,
            options,
            ignores_activity: self.gateway.ignore_activity.unwrap_or(false),
        };
        let mode = self.host.async_mode.unwrap_or_default();
        let (facts, phases, at_end) = (self.facts(), &self.noted.phases, self.at_end());
        Group::serve(group, self.request, call, facts, phases, mode, at_end)
    }

    fn refuse(&self, line: &str) -> HookStatus {
        log::request(self.request, Code::GroupRefused.level(), line);
        HookStatus::Http(http::StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn name(&self) -> &'r str {
        name_of(self.named, self.request)
    }

    /// Returns what the directives and the mount say about the request.
    fn facts(&self) -> ExchangeContext<'r> {
        let Self { request, gateway, host, .. } = *self;
        ExchangeContext {
            application: self.name(),
            mount_point: self.noted.mount.and_then(|mount| mount.get(request).path()),
            pass_authorization: gateway.pass_authorization.unwrap_or(false),
            error_override: gateway.error_override.unwrap_or(false),
            sendfile: gateway.enable_sendfile.unwrap_or(false),
            head_as_get: request.is_head()
                && match gateway.map_head_to_get.unwrap_or_default() {
                    OnOffAuto::Off => false,
                    OnOffAuto::On => true,
                    OnOffAuto::Auto => request.has_content_filter(),
                },
            grace: grace(host),
            serves_half_closed: host.serve_half_closed.unwrap_or(false),
        }
    }
}

/// Returns the time that endless streams have when their child ends, if it is bounded.
fn grace(host: &HostDirectives) -> Option<Duration> {
    let grace = host.graceful_timeout.unwrap_or(GRACEFUL_TIMEOUT);
    (!grace.is_zero()).then_some(grace)
}

/// Returns the application, which is built unless it was before.
fn built(
    usual: Option<&Instance>,
    named: PoolRef<NamedApplication>,
    gateway: &GatewayDirectives,
) -> Option<Arc<dyn Application>> {
    match usual {
        Some(instance) => instance.get(named, gateway.options),
        None => named.sectional.get(named, gateway.options),
    }
}

/// Returns the application's name, for as long as the request lasts.
pub(super) fn name_of<'r>(named: PoolRef<NamedApplication>, request: &Request<'r>) -> &'r str {
    &named.get(request).name
}
