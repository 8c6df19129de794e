//! docs/errors.md tells what `gateway::Code` says, and each log line has a code of that type.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mod_rust::internal::gateway::Code;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the Rust sources below `folder`.
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

/// Returns the codes in `text`: RUST and four digits.
fn codes(text: &str) -> Vec<String> {
    let of = |rest: &str| {
        let digits = rest.get(..4)?;
        let is_code = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_code.then(|| format!("RUST{digits}"))
    };
    text.match_indices("RUST").filter_map(|(at, found)| of(&text[at + found.len()..])).collect()
}

/// Returns the sections of docs/errors.md by their codes, with single spaces between words.
fn sections() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("docs/errors.md")).expect("docs/errors.md");
    let mut found = BTreeMap::new();
    for section in text.split("\n## ").skip(1) {
        let (name, body) = section.split_once('\n').expect("a section's text");
        let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
        let last = found.last_key_value().map(|(name, _): (&String, _)| name.clone());
        assert!(last.is_none_or(|last| *last < *name), "{name} is out of order");
        found.insert(name.to_owned(), body);
    }
    found
}

#[test]
fn codes_and_sections_are_the_same() {
    let sections = sections();
    let known: Vec<_> = Code::ALL.iter().map(Code::to_string).collect();
    let missing: Vec<_> = known.iter().filter(|code| !sections.contains_key(*code)).collect();
    let stale: Vec<_> = sections.keys().filter(|code| !known.contains(code)).collect();
    assert!(missing.is_empty(), "docs/errors.md has no section for {missing:?}");
    assert!(stale.is_empty(), "gateway::Code lacks what docs/errors.md has: {stale:?}");
}

/// A section may say more than the type. It begins with the type's sentences.
#[test]
fn sections_tell_what_the_type_says() {
    let mut wrong = Vec::new();
    for (code, section) in sections() {
        let Some(of_type) = Code::ALL.iter().find(|known| known.to_string() == code) else {
            continue;
        };
        let mut check = |expected: String| {
            if !section.contains(&expected) {
                wrong.push(format!("{code}: \"{expected}\" is missing"));
            }
        };
        check(format!("**Cause.** {}", of_type.cause()));
        check(format!("**Remedy.** {}", of_type.remedy()));
        if !section.contains("**The client**") && !section.contains("**httpd**") {
            wrong.push(format!("{code}: it does not say what comes of it"));
        }
        let level = section
            .split(" · level ")
            .nth(1)
            .map(|rest| rest.chars().take_while(char::is_ascii_lowercase).collect::<String>());
        let expected =
            (!of_type.is_start_up()).then(|| format!("{:?}", of_type.level()).to_lowercase());
        if level != expected {
            wrong.push(format!("{code}: the level is {level:?}; expected {expected:?}"));
        }
    }
    let say = "docs/errors.md and src/gateway/code.rs differ; make them the same";
    assert!(wrong.is_empty(), "{say}:\n{}", wrong.join("\n"));
}

/// Returns the lines of `file` that are neither comments nor tests.
fn code_of(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source file");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// A code in a text would be a second list of codes, and could be one that is not known.
#[test]
fn each_code_is_of_the_type() {
    let table = root().join("src/gateway/code.rs");
    for file in ["src", "apache"].iter().flat_map(|folder| sources(&root().join(folder))) {
        let name = file.to_string_lossy().into_owned();
        if file == table || name.contains("/tests/") || name.ends_with("tests.rs") {
            continue;
        }
        let literal = codes(&code_of(&file));
        assert!(literal.is_empty(), "{name}: use gateway::Code in place of {literal:?}");
    }
}

#[test]
fn each_code_is_used() {
    let table = root().join("src/gateway/code.rs");
    let files = sources(&root().join("src")).into_iter().filter(|file| *file != table);
    let all: String = files.map(|file| code_of(&file)).collect();
    for code in Code::ALL {
        let name = format!("Code::{code:?}");
        let is_used = all.match_indices(&name).any(|(at, _)| {
            !all[at + name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
        });
        assert!(is_used, "no source logs {code} ({name})");
    }
}
