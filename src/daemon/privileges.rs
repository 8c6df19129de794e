//! Capabilities and the like, of which a daemon process keeps none.
//!
//! A change of the user id takes root's capabilities away, unless some of the secure bits are set.
//! It does not take those of an httpd that is not root (`AmbientCapabilities=` of systemd).

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// Empties the bounding set, as far as this process may: to be called while it still has httpd's
/// privileges.
///
/// # Errors
///
/// Returns an error if the system refuses for another reason than that this process may not.
pub(super) fn bound() -> Result<(), String> {
    for number in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // The first number that the kernel has no capability for; or this process may not.
            Err(Errno::INVAL | Errno::PERM) => break,
            Err(error) => return Err(failed("the bounding set", error)),
        }
    }
    Ok(())
}

/// Gives up every capability, and the way to get one by running a program.
///
/// # Errors
///
/// Returns an error if one is left: the process must not go on.
pub(super) fn drop_all(has_changed_user: bool, wants_cores: bool) -> Result<(), String> {
    const NONE: CapabilitySet = CapabilitySet::empty();
    match clear_ambient_capability_set() {
        // Before Linux 4.3.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(failed("the ambient set", error)),
    }
    let none = CapabilitySets { effective: NONE, permitted: NONE, inheritable: NONE };
    set_capabilities(None, none).map_err(|error| failed("the capability sets", error))?;
    let left = capabilities(None).map_err(|error| failed("the capability sets", error))?;
    if !(left.effective | left.permitted | left.inheritable).is_empty() {
        return Err("capabilities are left".into());
    }
    set_no_new_privs(true).map_err(|error| format!("cannot set no_new_privs: {error}"))?;
    if wants_cores {
        // The change of the user has taken this away, and httpd's children have it.
        set_dumpable_behavior(DumpableBehavior::Dumpable)
            .map_err(|error| format!("cannot allow core dumps: {error}"))?;
    } else if has_changed_user {
        // Its memory has what httpd's had: other processes of its user must not read it.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|error| format!("cannot forbid core dumps: {error}"))?;
    }
    Ok(())
}

fn failed(what: &str, error: Errno) -> String {
    format!("cannot empty {what}: {error}")
}
