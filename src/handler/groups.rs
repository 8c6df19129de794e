//! The check of the configuration's process groups: their names, and the users that they run as.

use super::directives;
use super::registry::{self, GroupDefinition, WantedGroup};
use crate::daemon;
use crate::gateway::Code;
use crate::httpd::Server;

/// Returns whether a group that is defined in the server `defined` may be used in `server`: those
/// of the main server everywhere, others in their own virtual host.
pub(super) fn is_visible(defined: usize, server: Server<'_>, main: Server<'_>) -> bool {
    defined == registry::identity(main) || defined == registry::identity(server)
}

/// Returns the errors of the configuration's process groups: unknown names, and unknown users.
pub(super) fn check(main: Server<'_>) -> Vec<String> {
    registry::with_groups(|groups| {
        let mut wrong = Vec::new();
        for group in groups {
            if let Err(error) = daemon::check_identity(&group.options) {
                let GroupDefinition { name, place, .. } = group;
                wrong.push(
                    Code::WrongGroup
                        .line(format_args!("{place}: RustDaemonProcess {name}: {error}")),
                );
            }
        }
        registry::with_wanted_groups(|names| {
            for wanted in names {
                let Some(server) =
                    main.iter().find(|server| registry::identity(*server) == wanted.server)
                else {
                    continue;
                };
                let visible: Vec<_> = groups
                    .iter()
                    .filter(|group| is_visible(group.server, server, main))
                    .map(|group| group.name.as_str())
                    .collect();
                if !visible.contains(&wanted.name.as_str()) {
                    wrong.push(unknown(wanted, groups, &visible));
                } else if wanted.directive != directives::IMPORT
                    && groups.iter().any(|g| g.name == wanted.name && !g.options.listens())
                {
                    let WantedGroup { name, directive, place, .. } = wanted;
                    wrong.push(Code::UnknownGroup.line(format_args!(
                        "{place}: {directive} {name}: that process group takes no \
                         requests, as it has threads=0; RustAppImport names its applications"
                    )));
                }
            }
        });
        wrong
    })
}

fn unknown(wanted: &WantedGroup, groups: &[GroupDefinition], visible: &[&str]) -> String {
    let WantedGroup { name, directive, place, .. } = wanted;
    if let Some(group) = groups.iter().find(|group| group.name == *name) {
        return Code::UnknownGroup.line(format_args!(
            "{place}: {directive} {name}: that process group is another virtual host's \
             ({}); define it in the main server, or in this virtual host",
            group.place
        ));
    }
    let there = if visible.is_empty() {
        "there are none: RustDaemonProcess defines one".to_owned()
    } else {
        format!("there are {}", visible.join(", "))
    };
    Code::UnknownGroup
        .line(format_args!("{place}: {directive} {name}: no process group of that name; {there}"))
}
