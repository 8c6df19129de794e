//! Every code that the sources log has its section in docs/errors.md, and the other way round.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The Rust sources below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The codes in `text`: RUST and four digits.
fn codes(text: &str) -> Vec<String> {
    let of = |rest: &str| {
        let digits = rest.get(..4)?;
        let is_code = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then(|| format!("RUST{digits}"))
    };
    text.match_indices("RUST").filter_map(|(at, found)| of(&text[at + found.len()..])).collect()
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/errors.md");
    fs::read_to_string(path).expect("docs/errors.md")
}

#[test]
fn codes_and_sections_are_the_same() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut logged = BTreeSet::new();
    for folder in ["src", "apache"] {
        for file in sources(&root.join(folder)) {
            logged.extend(codes(&fs::read_to_string(file).expect("a source file")));
        }
    }
    assert!(logged.len() > 5, "the sources have moved: {logged:?}");
    let document = document();
    let sections: Vec<_> =
        document.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect();
    assert!(sections.is_sorted_by(|one, next| one < next), "in order, each once: {sections:?}");
    let sections: BTreeSet<_> = sections.into_iter().collect();
    let missing: Vec<_> = logged.difference(&sections).collect();
    let stale: Vec<_> = sections.difference(&logged).collect();
    assert!(missing.is_empty(), "docs/errors.md has no section for {missing:?}");
    assert!(stale.is_empty(), "no source logs what docs/errors.md has a section for: {stale:?}");
}

#[test]
fn every_section_says_what_to_do() {
    for section in document().split("\n## ").skip(1) {
        let name = section.lines().next().unwrap_or_default();
        for part in ["**Cause.**", "**Remedy.**"] {
            assert!(section.contains(part), "{name} has no {part}");
        }
        assert!(
            section.contains("**The client**") || section.contains("**httpd**"),
            "{name} does not say what comes of it"
        );
    }
}
