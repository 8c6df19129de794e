//! Process groups in the configuration: their definitions, and which of them a request goes to.

use super::directives;
use super::registry::{self, WantedGroup};
use crate::daemon;
use crate::gateway::Code;
use crate::httpd::{Kept, Request, Server};
use crate::process_group::GroupOptions;

/// One `RustDaemonProcess`.
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) options: GroupOptions,
    /// The server that it stands in, by its address.
    pub(super) server: usize,
    pub(super) place: String,
}

/// `RustProcessGroup`, and `process-group=` of the aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// `%{GLOBAL}`: embedded mode.
    Embedded,
    /// A group's name.
    Named(String),
    /// `%{ENV:variable}`: the variable of the request says it.
    Variable(String),
}

impl Selection {
    /// # Errors
    ///
    /// What is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "%{GLOBAL}" {
            return Ok(Self::Embedded);
        }
        if let Some(variable) = text.strip_prefix("%{ENV:").and_then(|rest| rest.strip_suffix('}'))
            && !variable.is_empty()
        {
            return Ok(Self::Variable(variable.into()));
        }
        if text.is_empty() || text.contains('%') {
            return Err(format!(
                "\"{text}\": expected the name of a process group, %{{GLOBAL}} for embedded mode, or \
                 %{{ENV:variable}}"
            ));
        }
        Ok(Self::Named(text.into()))
    }
}

/// Where a request goes.
pub(super) enum Destination<'a> {
    Embedded,
    /// The process group of that name.
    Group(&'a str),
}

/// What the directives say for a request, the alias before the sections.
///
/// # Errors
///
/// Why what the request's variable names is not allowed.
pub(super) fn destination<'a, 'r: 'a>(
    selection: Option<&'a Selection>,
    allowed: Option<&[String]>,
    request: &Request<'r>,
) -> Result<Destination<'a>, String> {
    let name: &'a str = match selection {
        None | Some(Selection::Embedded) => "%{GLOBAL}",
        Some(Selection::Named(name)) => name,
        Some(Selection::Variable(variable)) => {
            let value: &'a [u8] =
                request.subprocess_env().get_bytes(variable.as_bytes()).unwrap_or_default();
            let value = std::str::from_utf8(value)
                .map_err(|_| format!("the variable {variable} is not UTF-8"))?;
            if value.is_empty() { "%{GLOBAL}" } else { value }
        }
    };
    if let Some(allowed) = allowed
        && !allowed.iter().any(|allowed| allowed == name)
    {
        return Err(format!(
            "process group \"{name}\" is not allowed here; RustRestrictProcess has {}",
            allowed.join(", ")
        ));
    }
    if name == "%{GLOBAL}" { Ok(Destination::Embedded) } else { Ok(Destination::Group(name)) }
}

/// Whether a group that is defined in the server `defined` may be used in `server`: those of the
/// main server everywhere, others in their own virtual host.
pub(super) fn is_visible(defined: usize, server: Server<'_>, main: Server<'_>) -> bool {
    defined == registry::identity(main) || defined == registry::identity(server)
}

/// What is wrong with the process groups of the configuration: names that are not there, and users
/// that are not.
pub(super) fn check(main: Server<'_>) -> Vec<String> {
    registry::with_groups(|groups| {
        let mut wrong = Vec::new();
        for group in groups {
            if let Err(error) = daemon::check_identity(&group.options) {
                let Definition { name, place, .. } = group;
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

fn unknown(wanted: &WantedGroup, groups: &[Definition], visible: &[&str]) -> String {
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

/// A list of names in the configuration's pool.
pub(super) type Names = Kept<Vec<String>>;

#[cfg(test)]
mod tests {
    use super::Selection;

    #[test]
    fn a_selection_is_a_name_or_one_of_two_words() {
        assert_eq!(Selection::parse("%{GLOBAL}"), Ok(Selection::Embedded));
        assert_eq!(Selection::parse("shop"), Ok(Selection::Named("shop".into())));
        assert_eq!(Selection::parse("%{ENV:G}"), Ok(Selection::Variable("G".into())));
        for wrong in ["", "%{ENV:}", "%{RESOURCE}", "%{SERVER}", "a%b"] {
            assert!(Selection::parse(wrong).unwrap_err().contains("%{GLOBAL}"), "{wrong}");
        }
    }
}
