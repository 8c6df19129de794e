//! The Cargo.toml of a workspace: two more members.

use std::path::Path;

use anyhow::{Context, Result, bail};
use toml_edit::{Array, DocumentMut, Item, Table, Value};

/// A change of the Cargo.toml of a workspace or of a single crate, which becomes one.
pub(super) struct Members<'a> {
    /// The file, for messages.
    pub(super) file: &'a Path,
    /// The package that needs httpd's headers.
    pub(super) module: &'a str,
    /// The other one.
    pub(super) gateway: &'a str,
    /// The edition of the single crate.
    pub(super) edition: &'a str,
}

impl Members<'_> {
    /// Returns `text` with the two members. What else stands there stays as it is.
    ///
    /// # Errors
    /// Fails when a profile aborts at a panic, which a module must not.
    pub(super) fn add_to(&self, text: &str) -> Result<String> {
        let shown = self.file.display();
        let mut document: DocumentMut =
            text.parse().with_context(|| format!("{shown} is not valid TOML"))?;
        for profile in ["dev", "release"] {
            let panic = document.get("profile").and_then(|all| all.get(profile)?.get("panic"));
            if panic.and_then(Item::as_str) == Some("abort") {
                bail!(
                    "{shown}: profile {profile} has panic = \"abort\", which would end httpd with \
                     all its requests; remove that line"
                );
            }
        }
        let has_package = document.contains_key("package");
        let is_new = !document.contains_key("workspace");
        let workspace = document.entry("workspace").or_insert_with(|| Item::Table(Table::new()));
        let workspace = workspace
            .as_table_like_mut()
            .with_context(|| format!("{shown}: no workspace table"))?;
        // A crate of an old edition would unify the features of all packages.
        if is_new && ["2015", "2018"].contains(&self.edition) {
            workspace.insert("resolver", "2".into());
        }
        let before = workspace.get("members").and_then(Item::as_array).cloned();
        add(workspace, "members", &[self.module, self.gateway], shown.to_string())?;
        if workspace.contains_key("default-members") {
            add(workspace, "default-members", &[self.gateway], shown.to_string())?;
        } else if !has_package {
            // Without it a plain `cargo build` builds the module, which needs httpd's headers.
            let names: Array = before.iter().flatten().filter_map(Value::as_str).collect();
            workspace.insert("default-members", Value::Array(names).into());
            add(workspace, "default-members", &[self.gateway], shown.to_string())?;
        }
        Ok(document.to_string())
    }
}

/// Returns the Cargo.toml `text` of a package that may have a library: `cargo publish` writes that a
/// crate without one has none.
pub(super) fn with_library(text: &str) -> Result<String> {
    let mut document: DocumentMut = text.parse().context("Cargo.toml is not valid TOML")?;
    if let Some(package) = document.get_mut("package").and_then(Item::as_table_like_mut)
        && package.get("autolib").and_then(Item::as_bool) == Some(false)
    {
        package.remove("autolib");
    }
    Ok(document.to_string())
}

fn add(
    workspace: &mut dyn toml_edit::TableLike,
    key: &str,
    names: &[&str],
    shown: String,
) -> Result<()> {
    let list = workspace.entry(key).or_insert_with(|| Value::Array(Array::new()).into());
    let list = list.as_array_mut().with_context(|| format!("{shown}: {key} is not a list"))?;
    for name in names {
        // In the form of the list: on lines of their own, or on one. A comment before the last
        // member is not repeated.
        let last = list.iter().last().and_then(|last| last.decor().prefix()?.as_str());
        let indent = last.and_then(|prefix| prefix.rfind('\n').map(|at| prefix[at..].to_owned()));
        match indent {
            Some(indent) => list.push_formatted(Value::from(*name).decorated(indent, "")),
            None => list.push(*name),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(edition: &str, text: &str) -> Result<String> {
        let file = Path::new("/p/Cargo.toml");
        Members { file, module: "shop/module", gateway: "shop/gateway", edition }.add_to(text)
    }

    #[test]
    fn a_single_crate_becomes_a_workspace() {
        let text = "[package]\nname = \"shop\" # mine\n";
        let lines = "\n[workspace]\nmembers = [\"shop/module\", \"shop/gateway\"]\n";
        assert_eq!(added("2021", text).unwrap(), format!("{text}{lines}"));
        assert!(added("2018", text).unwrap().contains("resolver = \"2\""));
    }

    #[test]
    fn a_workspace_keeps_its_form() {
        let text =
            "[workspace]\nmembers = [\n    \"a\", # first\n    \"b/*\",\n]\nresolver = \"2\"\n";
        let text = added("2018", text).unwrap();
        let members = "members = [\n    \"a\", # first\n    \"b/*\",\n    \"shop/module\",\n    \
                       \"shop/gateway\",\n]\n";
        assert!(text.contains(members), "{text}");
        let defaults: DocumentMut = text.parse().unwrap();
        let defaults = defaults["workspace"]["default-members"].as_array().unwrap();
        let defaults: Vec<_> = defaults.iter().filter_map(Value::as_str).collect();
        assert_eq!(defaults, ["a", "b/*", "shop/gateway"]);
        let listed = "[workspace]\nmembers = [\"a\"]\ndefault-members = [\"a\"]\n[package]\n";
        let listed = added("2021", listed).unwrap();
        assert!(listed.contains("default-members = [\"a\", \"shop/gateway\"]"), "{listed}");
    }

    #[test]
    fn a_published_crate_gets_a_library() {
        let text = "[package]\nname = \"shop\"\nautolib = false\nautobins = false\n";
        let wanted = "[package]\nname = \"shop\"\nautobins = false\n";
        assert_eq!(with_library(text).unwrap(), wanted);
        assert_eq!(with_library(wanted).unwrap(), wanted);
    }

    #[test]
    fn a_panic_must_not_abort() {
        let text = "[package]\n[profile.release]\npanic = \"abort\"\n";
        let error = added("2021", text).unwrap_err().to_string();
        assert!(error.contains("profile release has panic = \"abort\""), "{error}");
        assert!(added("2021", "[package").is_err());
    }
}
