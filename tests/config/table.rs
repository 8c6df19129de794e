//! The directive table of the module as httpd has it, against its documentation.

use std::collections::BTreeMap;

use mod_rust::internal::process_group::OPTIONS;

use crate::support::stock;

const DOCS: &str = include_str!("../../docs/directives.md");

/// Returns each directive's name, with its help and its contexts in `httpd -L`.
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

/// Returns the section of the documentation on one directive.
fn section(name: &str) -> Option<&'static str> {
    let start = format!("\n## {name}\n");
    let (_, rest) = DOCS.split_once(start.as_str())?;
    Some(rest.split("\n## ").next().unwrap_or(rest))
}

/// Returns the text of a row of a section's table.
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

/// The options of a process group are those that there are, with their defaults and meanings.
#[test]
fn the_options_of_a_process_group_are_documented() {
    let section = section("RustDaemonProcess").expect("it is documented");
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let said: Vec<Vec<&str>> = rows
        .iter()
        .map(|row| row.trim_matches('|').splitn(5, '|').map(str::trim).collect())
        .collect();
    let name = |row: &Vec<&str>| row[0].trim_matches('`').to_owned();
    let names: Vec<_> = said.iter().map(name).collect();
    let known: Vec<_> = OPTIONS.iter().map(|option| option.name.to_owned()).collect();
    assert_eq!(names, known, "in the order of mod_rust::internal::process_group::OPTIONS");
    for (row, option) in std::iter::zip(&said, OPTIONS) {
        assert_eq!(row[1..4], [option.takes, option.default, option.meaning], "{}", option.name);
        assert!(!row[4].is_empty(), "{}: what mod_wsgi's default is", option.name);
    }
    // The page has the format of every type of value.
    for option in OPTIONS {
        let is_said = section.lines().any(|line| {
            let kinds = line.strip_prefix("| ").and_then(|rest| rest.split_once(" |"));
            kinds.is_some_and(|(kinds, _)| kinds.split(", ").any(|kind| kind == option.takes))
        });
        assert!(is_said, "nothing says how a {} is written", option.takes);
    }
}

#[test]
fn help_is_one_line_of_english() {
    for (name, said) in directives() {
        let help = &said[0];
        assert!(help.len() > 20 && !help.ends_with('.') && help.is_ascii(), "{name}: {help}");
    }
}

/// The errors in the documentation equal httpd's; `errors` tests the rest.
#[test]
fn the_texts_of_errors_are_documented() {
    let text = DOCS.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "takes a URL path and the name of an application, and process-group=name if wanted",
        "it does not start with a slash; expected /path",
        "it holds //, ?, # or %; expected a decoded path",
        "takes a regular expression and the name of an application, and process-group=name if wanted",
        "it does not compile; expected PCRE syntax",
        "takes one argument: the name of an application, module:name, or Off",
        "not allowed in a server; expected in <Location>, <Directory>, <Files>, <If> or .htaccess",
        "value \"many\": expected a whole number from 0 to 512",
        "takes one argument: a number of threads, or 0",
        "value \"maybe\": expected On or Off",
        "takes one argument: On or Off",
        "value \"maybe\": expected On, Off or Auto",
        "unknown; expected process-group=name",
        "process-group is given twice; expected it once",
        "takes the name of a process group, and options as key=value",
        "is not a name for a process group: expected 1 to 64 letters, digits, \"_\", \".\" or \"-\"",
        "defined at ",
        "option \"thread\" is unknown; did you mean \"threads\"?",
        "option \"threads\" is given twice",
        "option \"threads\": value \"many\": expected a whole number from 0 to 4096",
        "takes one argument: the name of a process group, %{GLOBAL}, or %{ENV:variable}",
        "expected the name of a process group, %{GLOBAL} for embedded mode, or %{ENV:variable}",
        "takes the names of process groups, one or more, and %{GLOBAL} for embedded mode",
        "expected names of process groups, or %{GLOBAL}",
        "takes one argument: a path, relative to ServerRoot",
        "not allowed in a virtual host; expected in the main server, as it holds for all of httpd",
        "takes one argument: a time (2, 500ms, 1min), or Off",
        "expected a whole number with a unit of ms, s, min, h or d (seconds without one)",
    ] {
        assert!(text.contains(words), "docs/directives.md does not have: {words}");
    }
}
