//! What the gateway notes for a request, from hook to hook.

use std::cell::Cell;

use super::mount::Mount;
use crate::daemon::{Group, PhaseTimes};
use crate::httpd::Kept;

/// The gateway's note for a request.
#[derive(Default)]
pub(crate) struct RequestNote {
    /// The mount that answers, if it is no section.
    pub(super) mount: Option<Kept<Mount>>,
    /// The process group that had the request.
    pub(super) group: Cell<Option<Kept<Group>>>,
    /// Where its time went there.
    pub(super) phases: PhaseTimes,
}

impl RequestNote {
    pub(super) fn of(mount: Option<Kept<Mount>>) -> Self {
        Self { mount, ..Self::default() }
    }
}
