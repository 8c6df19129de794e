//! Writing to a connection.

use super::inbound::{Inbound, gone};
use super::output::Output;
use super::protocol::BodyEnd;
use crate::gateway::Result;
use crate::os;

/// Writes all that is collected, and waits for room where there is none.
///
/// # Errors
///
/// [`ClientGone`](crate::gateway::ErrorKind::ClientGone) when nobody is there to take it, or not in
/// time. A part may have gone out: the connection is of no more use.
pub(in crate::server) fn send(
    inbound: &Inbound<'_, impl BodyEnd>,
    output: &mut Output,
) -> Result<()> {
    output.close();
    while !output.is_empty() {
        let mut slices = Output::room();
        let count = output.slices(&mut slices);
        let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        let sent = match &slices[..count] {
            [one] => os::send(inbound.connection, one),
            slices => os::send_vectored(inbound.connection, slices),
        };
        let sent = sent.map_err(|_| gone())?.unwrap_or(0);
        output.written(sent);
        if sent < offered {
            // There is no more room: that need not be found out once more.
            inbound.wait_to_write()?;
        }
    }
    Ok(())
}
