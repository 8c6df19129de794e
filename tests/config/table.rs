//! The directive table of the module as httpd has it, against its documentation.

use std::collections::BTreeMap;

use crate::support::stock;

const DOCS: &str = include_str!("../../docs/directives.md");

/// Name of each directive of the module, with what `httpd -L` says of it: its help, and where it may
/// stand.
fn directives() -> BTreeMap<String, Vec<String>> {
    let output = stock().httpd(&["-L"]);
    let mut directives = BTreeMap::new();
    let mut current: Option<&mut Vec<String>> = None;
    for line in output.text().lines() {
        if line.starts_with(|c: char| c.is_whitespace()) {
            if let Some(current) = &mut current {
                current.push(line.trim().to_owned());
            }
            continue;
        }
        current = match line.split_once(' ') {
            Some((name, "(mod_rust.c)")) => Some(directives.entry(name.to_owned()).or_default()),
            _ => None,
        };
    }
    assert!(directives.len() >= 8, "{}", output.text());
    directives
}

/// The section of the documentation on one directive.
fn section(name: &str) -> Option<&'static str> {
    let start = format!("\n## {name}\n");
    let (_, rest) = DOCS.split_once(start.as_str())?;
    Some(rest.split("\n## ").next().unwrap_or(rest))
}

/// What a row of a section's table says.
fn row<'d>(section: &'d str, what: &str) -> &'d str {
    let start = format!("| {what} | ");
    let line = section.lines().find_map(|line| line.strip_prefix(start.as_str()));
    line.unwrap_or_else(|| panic!("no row {what} in{section}")).trim_end_matches(" |")
}

#[test]
fn each_has_a_section_and_each_section_has_one() {
    let headings = DOCS.lines().filter_map(|line| line.strip_prefix("## Rust"));
    let documented: Vec<_> = headings.map(|rest| format!("Rust{rest}")).collect();
    let directives = directives();
    let known: Vec<_> = directives.keys().cloned().collect();
    let mut sorted = documented.clone();
    sorted.sort();
    assert_eq!(sorted, known, "docs/directives.md has these sections, httpd those directives");
    for name in &documented {
        // In the table at the top too, with a link to the section.
        let link = format!("| [{name}](#{}) |", name.to_ascii_lowercase());
        assert!(DOCS.contains(&link), "no row {link}");
    }
}

#[test]
fn contexts_are_as_documented() {
    for (name, said) in directives() {
        let section = section(&name).unwrap_or_else(|| panic!("no section {name}"));
        let syntax = row(section, "Syntax");
        assert!(syntax.starts_with(&format!("`{name} ")), "{name}: {syntax}");
        let context = row(section, "Context");
        let allowed = said[1..].join(" ");
        let in_htaccess = allowed.contains("in .htaccess when AllowOverride includes FileInfo");
        // httpd knows no directive that stands in .htaccess and not in the server config.
        let in_server = !allowed.contains("only inside") && name != "RustApp";
        let in_sections = !allowed.contains("only outside");
        for (is_so, word) in
            [(in_server, "server config"), (in_sections, "directory"), (in_htaccess, ".htaccess")]
        {
            assert_eq!(context.contains(word), is_so, "{name}: {context} / {allowed}");
        }
        let overriding = row(section, "Override");
        let expected = if in_htaccess { "FileInfo" } else { "not in .htaccess" };
        assert_eq!(overriding, expected, "{name}");
    }
}

#[test]
fn help_is_one_line_of_english() {
    for (name, said) in directives() {
        let help = &said[0];
        assert!(help.len() > 20 && !help.ends_with('.') && help.is_ascii(), "{name}: {help}");
    }
}

/// What the documentation quotes as errors is what httpd says: the rest is in `errors`.
#[test]
fn the_words_of_errors_are_documented() {
    let text = DOCS.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "takes two arguments: a URL path and the name of an application",
        "the URL path has to start with a slash",
        "the URL path is a decoded path, without //, ?, # or % in it",
        "takes two arguments: a regular expression and the name of an application",
        "is not a regular expression",
        "takes one argument: the name of an application, module:name, or Off",
        "it stands in <Location>, <Directory>, <Files>, <If> or .htaccess",
        "value \"maybe\": expected On or Off",
        "takes one argument: On or Off",
        "value \"maybe\": expected Off, On or Auto",
    ] {
        assert!(text.contains(words), "docs/directives.md does not have: {words}");
    }
}
