//! The gateway's configuration: what holds in a section, and what is mounted in a server.

use std::time::Duration;

use super::instance::NamedApplication;
use super::mount::AliasMount;
use super::options::Chain;
use super::selection::{Names, Selection};
use crate::adapter::OnOffAuto;
use crate::httpd::{Pool, PoolRef};
use crate::module::Config;

/// The directives that hold in a section: the gateway's and the module's own.
#[derive(Default)]
pub(crate) struct Section<O> {
    pub(super) gateway: GatewayDirectives,
    pub(super) own: O,
}

/// The gateway's directives in a section. It needs no drop, so that merging it for a request costs
/// no more than it would in C.
#[derive(Clone, Copy, Default)]
pub(super) struct GatewayDirectives {
    pub(super) application: Choice,
    pub(super) options: Chain,
    pub(super) pass_authorization: Option<bool>,
    pub(super) error_override: Option<bool>,
    pub(super) map_head_to_get: Option<OnOffAuto>,
    pub(super) enable_sendfile: Option<bool>,
    pub(super) process_group: Option<PoolRef<Selection>>,
    pub(super) restrict_process: Option<Names>,
    pub(super) ignore_activity: Option<bool>,
}

/// `RustApp`.
#[derive(Clone, Copy, Default)]
pub(super) enum Choice {
    /// Nothing is said.
    #[default]
    Unset,
    /// `Off`.
    Off,
    /// An application of this module's.
    Own(PoolRef<NamedApplication>),
    /// One of another module's.
    Other,
}

impl<O: Config> Config for Section<O> {
    fn merge(&self, inner: &Self, pool: Pool<'_>) -> Self {
        Self {
            gateway: self.gateway.merge(&inner.gateway, pool),
            own: self.own.merge(&inner.own, pool),
        }
    }
}

impl Config for GatewayDirectives {
    fn merge(&self, inner: &Self, pool: Pool<'_>) -> Self {
        Self {
            application: match inner.application {
                Choice::Unset => self.application,
                said => said,
            },
            options: self.options.around(inner.options, pool),
            pass_authorization: inner.pass_authorization.or(self.pass_authorization),
            error_override: inner.error_override.or(self.error_override),
            map_head_to_get: inner.map_head_to_get.or(self.map_head_to_get),
            enable_sendfile: inner.enable_sendfile.or(self.enable_sendfile),
            process_group: inner.process_group.or(self.process_group),
            restrict_process: inner.restrict_process.or(self.restrict_process),
            ignore_activity: inner.ignore_activity.or(self.ignore_activity),
        }
    }
}

/// The directives of a server: its own mounts first, then the main server's; and those about
/// process groups.
#[derive(Default)]
pub(crate) struct HostDirectives {
    pub(super) mounts: Vec<PoolRef<AliasMount>>,
    pub(super) restrict_embedded: Option<bool>,
    pub(super) slow_requests: Option<Duration>,
    pub(super) async_mode: Option<OnOffAuto>,
    /// `RustGracefulTimeout`: zero for none.
    pub(super) graceful_timeout: Option<Duration>,
    pub(super) serve_half_closed: Option<bool>,
    /// Of the main server only.
    pub(super) runtime_threads: Option<usize>,
}

impl Config for HostDirectives {
    fn merge(&self, inner: &Self, _pool: Pool<'_>) -> Self {
        Self {
            mounts: inner.mounts.iter().chain(&self.mounts).copied().collect(),
            restrict_embedded: inner.restrict_embedded.or(self.restrict_embedded),
            slow_requests: inner.slow_requests.or(self.slow_requests),
            async_mode: inner.async_mode.or(self.async_mode),
            graceful_timeout: inner.graceful_timeout.or(self.graceful_timeout),
            serve_half_closed: inner.serve_half_closed.or(self.serve_half_closed),
            runtime_threads: inner.runtime_threads.or(self.runtime_threads),
        }
    }
}
