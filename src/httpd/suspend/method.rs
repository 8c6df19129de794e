//! The ways to give a connection to the MPM so that a descriptor brings it back.

use super::connection::{Connection, state};

/// A way to suspend a connection.
///
/// httpd 2.4 has no call for it: the MPM is made to wait for a descriptor. A release with
/// `ap_mpm_resume_suspended` gets an implementation of its own.
pub(super) trait Method: Sync {
    /// Gives the connection to the MPM. Nothing of it is used after that, up to the next hook.
    fn leave(&self, connection: Connection);

    /// Takes the connection back, at the start of a hook for it.
    fn come_back(&self, connection: Connection);

    /// Returns whether the connection may have output that the network has not taken.
    fn allows_unsent_output(&self) -> bool;
}

/// `CONN_STATE_ASYNC_WAITIO`, of httpd 2.4.63 and later: the MPM waits as for any input.
pub(super) struct WaitIo;

impl Method for WaitIo {
    fn leave(&self, connection: Connection) {
        connection.wait_to_read(state::ASYNC_WAITIO);
    }

    fn come_back(&self, _: Connection) {}

    fn allows_unsent_output(&self) -> bool {
        true
    }
}

/// The state after a response, from 2.4.58 on: the MPM would wait for the rest of the output, and
/// goes back to the hooks because the input counts as clogged.
pub(super) struct WriteCompletion;

impl Method for WriteCompletion {
    fn leave(&self, connection: Connection) {
        connection.set_clogged(true);
        connection.wait_to_read(state::WRITE_COMPLETION);
    }

    fn come_back(&self, connection: Connection) {
        connection.set_clogged(false);
    }

    /// The MPM would send it to the descriptor in the socket's place.
    fn allows_unsent_output(&self) -> bool {
        false
    }
}
