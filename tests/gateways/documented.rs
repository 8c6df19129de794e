//! Configurations are read from the pages of docs/servers, so that what stands there works.

use std::path::Path;

/// Returns the `index`-th fenced block below the heading `heading` of a page. An empty `heading`
/// means the text before the first one.
///
/// # Panics
///
/// The block does not exist.
pub(crate) fn block(page: &str, heading: &str, index: usize) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/servers").join(page);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let section =
        section(&text, heading).unwrap_or_else(|| panic!("{page} has no heading `## {heading}`"));
    let mut parts = section.split("\n```");
    parts.next();
    let found = parts.step_by(2).nth(index);
    let found = found.unwrap_or_else(|| panic!("{page}, {heading}: no block {index}"));
    found.split_once('\n').map_or(found, |(_, lines)| lines).to_owned()
}

fn section<'t>(text: &'t str, heading: &str) -> Option<&'t str> {
    let start = if heading.is_empty() {
        0
    } else {
        let line = format!("\n## {heading}\n");
        text.find(&line)? + line.len() - 1
    };
    let rest = &text[start..];
    Some(rest.find("\n## ").map_or(rest, |end| &rest[..end]))
}

#[test]
fn finds_blocks() {
    let text = "# T\n\n```sh\na\n```\n\n## One\n\n```x\nb\nc\n```\n```x\nd\n```\n\n## One more\n";
    assert_eq!(section(text, "One"), Some("\n\n```x\nb\nc\n```\n```x\nd\n```\n"));
    assert!(section(text, "").is_some_and(|found| found.ends_with("a\n```\n")));
    assert_eq!(section(text, "Two"), None);
    assert!(block("nginx.md", "FastCGI", 0).starts_with("location /shop {\n"));
}
