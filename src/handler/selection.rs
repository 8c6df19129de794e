//! The choice of a process group: RustProcessGroup, `process-group=` and RustRestrictProcess.

use crate::httpd::{PoolRef, Request};

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
    /// Reads the argument of a directive.
    ///
    /// # Errors
    ///
    /// The text, and the values that are allowed.
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

/// The destination of a request.
pub(super) enum Destination<'a> {
    Embedded,
    /// The process group of that name.
    Group(&'a str),
}

/// Returns the destination that the directives choose for a request. `selection` is the alias's, or
/// else the section's; `allowed` is RustRestrictProcess.
///
/// # Errors
///
/// The reason why the process group that the request's variable names is not allowed.
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

/// A list of names in the configuration's pool.
pub(super) type Names = PoolRef<Vec<String>>;

#[cfg(test)]
mod tests {
    use super::Selection;

    #[test]
    fn a_selection_is_a_name_or_a_keyword() {
        assert_eq!(Selection::parse("%{GLOBAL}"), Ok(Selection::Embedded));
        assert_eq!(Selection::parse("shop"), Ok(Selection::Named("shop".into())));
        assert_eq!(Selection::parse("%{ENV:G}"), Ok(Selection::Variable("G".into())));
        for wrong in ["", "%{ENV:}", "%{RESOURCE}", "%{SERVER}", "a%b"] {
            assert!(Selection::parse(wrong).unwrap_err().contains("%{GLOBAL}"), "{wrong}");
        }
    }
}
