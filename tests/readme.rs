//! README shows what is built and tested, and its links lead somewhere.

use std::fs;
use std::path::Path;

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the code blocks of `text` whose language begins with `language`.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            if info.starts_with(language) {
                blocks.push(block.join("\n") + "\n");
            }
        }
    }
    blocks
}

/// Returns the targets of the links of `text`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

/// Returns the anchors of the headings of `text`, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn its_application_is_the_example() {
    let blocks = blocks(&read("README.md"), "rust");
    assert_eq!(blocks.first(), Some(&read("examples/greeter.rs")));
}

#[test]
fn links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents =
        ["README.md", "SAFETY.md", "SECURITY.md", "CONTRIBUTING.md"].map(String::from).to_vec();
    for folder in ["docs", "docs/servers"] {
        for entry in fs::read_dir(root.join(folder)).expect(folder) {
            let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
            if name.ends_with(".md") {
                documents.push(format!("{folder}/{name}"));
            }
        }
    }
    assert!(documents.len() > 8, "the documents have moved: {documents:?}");
    let mut checked = 0;
    for document in documents {
        let text = read(&document);
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                document.clone()
            } else {
                let folder = Path::new(&document).parent().expect("a folder");
                folder.join(file).to_str().expect("UTF-8").to_owned()
            };
            assert!(root.join(&target).exists(), "{document}: {link}");
            let is_there = || anchors(&read(&target)).iter().any(|known| known == anchor);
            assert!(anchor.is_empty() || is_there(), "{document}: {link}");
            checked += 1;
        }
    }
    assert!(checked > 20, "there are hardly any links: {checked}");
}

#[test]
fn contributing_names_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = read("CONTRIBUTING.md");
    let folders = ["src/", "tests/", "benches/", "fuzz/"];
    let mut named = 0;
    for path in text.split('`').skip(1).step_by(2) {
        if folders.iter().any(|folder| path.starts_with(folder)) {
            assert!(root.join(path).exists(), "CONTRIBUTING.md names {path}, which does not exist");
            named += 1;
        }
    }
    assert!(named > 30, "{named} paths");
}
