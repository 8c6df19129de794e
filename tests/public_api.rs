//! Compares the crate's public items with the checked-in list `tests/public_api.txt`, so that a
//! change of the public API is seen in review.
//!
//! To renew the list: `RENEW_PUBLIC_API=1 cargo test --features servers --test public_api`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Opening words that style.md excludes from doc comments.
const NOT_AN_OPENING: [&str; 8] = ["What", "Who", "Whoever", "Whose", "How", "Where", "As", "When"];

/// Verbs in the third person that open the comment of a function.
const VERB_ENDINGS: [&str; 1] = ["s"];

/// The most words of a sentence.
const LONGEST_SENTENCE: usize = 25;

/// A public item, as rustdoc describes it.
struct Item {
    /// One line: the path of the item's module or type, and its declaration.
    line: String,
    path: String,
    kind: String,
    docs: String,
}

#[test]
fn the_public_api_is_the_one_on_the_list() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let items = Api::read(root).items();
    let lines: BTreeSet<&str> = items.iter().map(|item| item.line.as_str()).collect();
    let found = lines.into_iter().fold(String::new(), |text, line| text + line + "\n");
    let list = root.join("tests/public_api.txt");
    if std::env::var_os("RENEW_PUBLIC_API").is_some() {
        fs::write(&list, &found).expect("the list is written");
    }
    let expected = fs::read_to_string(&list).expect("tests/public_api.txt");
    let (found, expected) = (found.lines().collect(), expected.lines().collect());
    let difference = difference(&expected, &found);
    assert!(
        difference.is_empty(),
        "the public API differs from tests/public_api.txt:\n{difference}\nrenew the list with \
         RENEW_PUBLIC_API=1 cargo test --features servers --test public_api"
    );
    no_two_types_share_a_name(&items);
    comments_follow_the_rules(&items);
}

fn difference(expected: &BTreeSet<&str>, found: &BTreeSet<&str>) -> String {
    let gone = expected.difference(found).map(|line| format!("- {line}\n"));
    gone.chain(found.difference(expected).map(|line| format!("+ {line}\n"))).collect()
}

fn no_two_types_share_a_name(items: &[Item]) {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let is_type = |kind: &str| matches!(kind, "struct" | "enum" | "union" | "trait" | "type_alias");
    for item in items.iter().filter(|item| is_type(&item.kind)) {
        let name = item.path.rsplit("::").next().expect("a name");
        if let Some(other) = names.insert(name, &item.path) {
            panic!("two public types are called {name}: {other} and {}", item.path);
        }
    }
}

fn comments_follow_the_rules(items: &[Item]) {
    let wrong: String = items.iter().filter_map(fault).collect();
    assert!(wrong.is_empty(), "{wrong}");
}

/// Returns the rule that the comment of `item` breaks.
fn fault(item: &Item) -> Option<String> {
    let prose = prose(&item.docs);
    let opening = prose.split_whitespace().next().unwrap_or_default();
    let is_verb = VERB_ENDINGS.iter().any(|ending| opening.ends_with(ending));
    let fault = if opening.is_empty() {
        "it has no doc comment".to_owned()
    } else if NOT_AN_OPENING.contains(&opening) {
        format!("it opens with {opening:?}")
    } else if item.kind == "function" && !is_verb {
        format!("the comment of a function opens with {opening:?}, and not with a verb")
    } else {
        let count = |sentence: &str| sentence.split_whitespace().count();
        let long = prose.split_inclusive(['.', ':', ';', '?']).map(str::trim);
        let long = long.collect::<Vec<_>>().join("\n");
        let long = long.lines().find(|sentence| count(sentence) > LONGEST_SENTENCE)?;
        format!("more than {LONGEST_SENTENCE} words: {long:?}")
    };
    Some(format!("{}: {fault}\n", item.path))
}

/// Returns the prose of a comment: its paragraphs without headings, code, tables and lists.
fn prose(docs: &str) -> String {
    let mut is_code = false;
    let mut prose = String::new();
    for line in docs.lines().map(str::trim) {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if !is_code && !line.starts_with(['#', '|', '-']) {
            prose.push_str(if line.is_empty() { "." } else { line });
            prose.push(' ');
        }
    }
    prose
}

/// The crate as rustdoc's JSON describes it.
struct Api {
    index: Value,
    root: Value,
    sources: BTreeMap<String, Vec<String>>,
}

impl Api {
    /// Runs rustdoc on the crate at `root`. Its JSON output is unstable, so rustdoc runs as a
    /// nightly one. cargo and the compiler do not: that would build every dependency again.
    fn read(root: &Path) -> Self {
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let rustdoc = temporary.join("rustdoc");
        fs::write(&rustdoc, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n")
            .expect("a script");
        fs::set_permissions(&rustdoc, fs::Permissions::from_mode(0o755)).expect("its mode");
        let output = Command::new(env!("CARGO"))
            .args(["rustdoc", "--quiet", "--package=mod_rust", "--lib"])
            .args(["--features=servers,tracing-subscriber", "--"])
            .args(["-Zunstable-options", "--output-format=json"])
            .current_dir(root)
            .env("RUSTDOC", &rustdoc)
            .output()
            .expect("cargo starts");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo rustdoc failed:\n{text}");
        let target = temporary.parent().expect("the target folder");
        let json = fs::read(target.join("doc/mod_rust.json")).expect("rustdoc's JSON");
        let mut json: Value = serde_json::from_slice(&json).expect("JSON");
        let (index, id) = (json["index"].take(), json["root"].take());
        let mut api = Self { root: Value::Null, index, sources: BTreeMap::new() };
        api.root = api.get(&id).expect("the crate's root").clone();
        api.load_sources(root);
        api
    }

    fn load_sources(&mut self, root: &Path) {
        for item in self.index.as_object().expect("an index").values() {
            if let Some(name) = item["span"]["filename"].as_str()
                && !self.sources.contains_key(name)
                && let Ok(text) = fs::read_to_string(root.join(name))
            {
                self.sources.insert(name.to_owned(), text.lines().map(str::to_owned).collect());
            }
        }
    }

    fn get(&self, id: &Value) -> Option<&Value> {
        self.index.get(id.as_u64()?.to_string())
    }

    /// Lists what a user can name, every item once.
    fn items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        self.visit_module(&self.root, "mod_rust", &mut items);
        items
    }

    fn visit_module(&self, module: &Value, path: &str, items: &mut Vec<Item>) {
        for id in module["inner"]["module"]["items"].as_array().expect("a module's items") {
            let Some(item) = self.get(id).filter(|item| item["visibility"] == "public") else {
                continue;
            };
            let (name, item) = match item["inner"].get("use") {
                Some(import) => (&import["name"], self.get(&import["id"])),
                None => (&item["name"], Some(item)),
            };
            if let (Some(name), Some(item)) = (name.as_str(), item) {
                self.visit(item, path, name, items);
            }
        }
    }

    fn visit(&self, item: &Value, parent: &str, name: &str, items: &mut Vec<Item>) {
        let path = format!("{parent}::{name}");
        let (kind, inner) = inner(item);
        let declaration = match kind {
            "module" => format!("pub mod {name}"),
            "macro" => format!("macro {name}!"),
            _ => self.declaration(item),
        };
        // Names at the crate's root stand for items of `gateway`, which are listed there.
        let is_again = items.iter().any(|known| known.line.ends_with(&format!(" | {declaration}")));
        if parent == "mod_rust" && is_again {
            return;
        }
        push(items, item, parent, &path, declaration);
        match kind {
            "module" => self.visit_module(item, &path, items),
            "struct" | "enum" | "trait" => {
                let fields = &inner["kind"]["plain"]["fields"];
                let members = [&inner["variants"], fields, &inner["items"]];
                self.visit_members(members, &path, items);
                for id in inner["impls"].as_array().into_iter().flatten() {
                    self.visit_impl(self.get(id).expect("an impl"), &path, items);
                }
            }
            _ => {}
        }
    }

    fn visit_members(&self, lists: [&Value; 3], path: &str, items: &mut Vec<Item>) {
        for id in lists.into_iter().filter_map(Value::as_array).flatten() {
            let Some(member) = self.get(id) else { continue };
            let name = member["name"].as_str().expect("a member's name");
            push(items, member, path, &format!("{path}::{name}"), self.declaration(member));
        }
    }

    fn visit_impl(&self, block: &Value, path: &str, items: &mut Vec<Item>) {
        let inner = inner(block).1;
        if inner["is_synthetic"] == true || !inner["blanket_impl"].is_null() {
            return;
        }
        if inner["trait"].is_null() {
            for id in inner["items"].as_array().expect("an impl's items") {
                if let Some(member) = self.get(id).filter(|item| item["visibility"] == "public") {
                    let name = member["name"].as_str().expect("a member's name");
                    push(items, member, path, &format!("{path}::{name}"), self.declaration(member));
                }
            }
        } else {
            let name = inner["trait"]["path"].as_str().expect("a trait's path");
            let text = self.declaration(block);
            let is_derived = !text.contains("impl");
            let line = if is_derived { format!("derive {name}") } else { text };
            if name != "StructuralPartialEq" {
                items.push(Item {
                    line: format!("{path} | {line}"),
                    path: format!("{path}: {name}"),
                    kind: "impl".to_owned(),
                    docs: "An implementation".to_owned(),
                });
            }
        }
    }

    /// Returns the item's declaration as its source has it, in one line and without its body.
    fn declaration(&self, item: &Value) -> String {
        let span = &item["span"];
        let line = |end: &str| span[end][0].as_u64().and_then(|n| usize::try_from(n).ok());
        let source = span["filename"].as_str().and_then(|name| self.sources.get(name));
        let (Some(source), Some(begin), Some(end)) = (source, line("begin"), line("end")) else {
            return item["name"].as_str().unwrap_or_default().to_owned();
        };
        let text = source[begin - 1..end].join(" ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let is_value = ["constant", "assoc_const"].contains(&inner(item).0);
        let end = text.find([';', '{']).unwrap_or(text.len());
        let end = if is_value { text.find(" = ").unwrap_or(end) } else { end };
        let grown = item["attrs"].to_string().contains("non_exhaustive");
        let attribute = if grown { "#[non_exhaustive] " } else { "" };
        format!("{attribute}{}", text[..end].trim().trim_end_matches(','))
    }
}

/// Returns the kind of an item, and what rustdoc says of that kind.
fn inner(item: &Value) -> (&str, &Value) {
    let inner = item["inner"].as_object().and_then(|inner| inner.iter().next());
    let (kind, inner) = inner.expect("an item of some kind");
    (kind, inner)
}

fn push(items: &mut Vec<Item>, item: &Value, parent: &str, path: &str, declaration: String) {
    items.push(Item {
        line: format!("{parent} | {declaration}"),
        path: path.to_owned(),
        kind: inner(item).0.to_owned(),
        docs: item["docs"].as_str().unwrap_or_default().to_owned(),
    });
}
