//! What the gateway notes for a request, from hook to hook.

use std::cell::Cell;

use super::mount::Mount;
use crate::daemon::{Group, Phases};
use crate::httpd::Kept;

/// The gateway's note for a request.
#[derive(Default)]
pub(crate) struct Noted {
    /// The mount that answers, if it is no section.
    pub(super) mount: Option<Kept<Mount>>,
    /// The process group that had the request.
    pub(super) group: Cell<Option<Kept<Group>>>,
    /// Where its time went there.
    pub(super) phases: Phases,
}

impl Noted {
    pub(super) fn of(mount: Option<Kept<Mount>>) -> Self {
        Self { mount, ..Self::default() }
    }
}
