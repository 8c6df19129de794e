//! A layer imports only the layers that docs/architecture.md lists for it, and none below it: held
//! against the `use` lines and paths of the sources. Unsafe code stands where it may only.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each layer with those that it may import.
const LAYERS: [(&str, &[&str]); 11] = [
    ("gateway", &[]),
    ("protocol", &["gateway"]),
    ("process_group", &["gateway"]),
    ("os", &["process_group"]),
    ("server", &["gateway", "os", "process_group", "protocol"]),
    ("sys", &[]),
    ("httpd", &["gateway", "os", "sys"]),
    ("module", &["gateway", "httpd", "sys"]),
    ("adapter", &["gateway", "httpd", "os", "server", "sys"]),
    (
        "daemon",
        &["adapter", "gateway", "httpd", "os", "process_group", "protocol", "server", "sys"],
    ),
    (
        "handler",
        &[
            "adapter",
            "daemon",
            "gateway",
            "httpd",
            "module",
            "os",
            "process_group",
            "protocol",
            "server",
            "sys",
        ],
    ),
];

/// Layers without a line of unsafe code.
const SAFE: [&str; 4] = ["gateway", "process_group", "protocol", "server"];

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

fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the layers that `text` names by `crate::layer`, or by `{layer::…, …}` after `crate::`.
fn imported(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        if text[..at].ends_with('$') {
            continue; // a macro's path, expanded in another crate
        }
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = &group[..group.find('}').unwrap_or(group.len())];
            found.extend(group.split(',').map(|path| first_segment(path.trim())));
        } else {
            found.insert(first_segment(rest));
        }
    }
    found
}

fn first_segment(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn nothing_reaches_up() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (layer, allowed) in LAYERS {
        for file in sources(&src.join(layer)) {
            seen += 1;
            for import in imported(&code(&file)) {
                let is_layer = LAYERS.iter().any(|(name, _)| *name == import);
                if is_layer && import != layer && !allowed.contains(&import.as_str()) {
                    wrong.push(format!("{} imports {import}", file.display()));
                }
            }
        }
    }
    assert!(seen > 30, "the sources have moved: only {seen} files");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_folder_is_a_layer() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(src).expect("src") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("UTF-8");
        let known = LAYERS.iter().any(|(layer, _)| *layer == name) || name == "lib.rs";
        assert!(known, "src/{name} is no layer that this test knows");
    }
}

#[test]
fn unsafe_stands_where_it_may() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = fs::read_to_string(src.join("lib.rs")).expect("lib.rs");
    for layer in SAFE {
        let is_forbidden = |visibility: &str| {
            lib.contains(&format!("#[forbid(unsafe_code)]\n{visibility}mod {layer};"))
        };
        assert!(is_forbidden("") || is_forbidden("pub "), "{layer}");
        for file in sources(&src.join(layer)) {
            let text = code(&file);
            assert!(!text.contains("unsafe {"), "{} has unsafe code", file.display());
        }
    }
}

#[test]
fn every_unsafe_cites_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let safety = fs::read_to_string(root.join("SAFETY.md")).expect("SAFETY.md");
    let mut cited = BTreeSet::new();
    for file in sources(&root.join("src")) {
        let text = fs::read_to_string(&file).expect("a source file");
        for line in text.lines().filter(|line| line.contains("SAFETY:")) {
            for word in line.split(|c: char| !c.is_alphanumeric()) {
                if let Some(number) = word.strip_prefix('P')
                    && !number.is_empty()
                    && number.bytes().all(|byte| byte.is_ascii_digit())
                {
                    assert!(safety.contains(&format!("| {word} |")), "{}: {line}", file.display());
                    cited.insert(word.to_owned());
                }
            }
        }
    }
    assert!(cited.len() > 6, "SAFETY.md's invariants are hardly cited: {cited:?}");
}

/// A number says what httpd guarantees, and not why that is enough for this block.
#[test]
fn every_unsafe_comment_is_more_than_a_number() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in sources(&root.join("src")) {
        let text = fs::read_to_string(&file).expect("a source file");
        for (line, next) in text.lines().zip(text.lines().skip(1)) {
            let Some((_, reason)) = line.split_once("// SAFETY:") else { continue };
            let is_number = |word: &str| {
                word.strip_prefix('P').is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()))
            };
            let mut words = reason.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty());
            let goes_on = next.trim_start().starts_with("//");
            assert!(goes_on || words.any(|word| !is_number(word)), "{}: {line}", file.display());
        }
    }
}

#[test]
fn process_wide_state_is_left_alone() {
    // The environment and the working directory belong to httpd and to every other module.
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for file in sources(&src) {
        let text = code(&file);
        for forbidden in ["set_var(", "remove_var(", "set_current_dir(", "process::exit("] {
            assert!(!text.contains(forbidden), "{}: {forbidden}", file.display());
        }
    }
}

/// httpd 2.4.37 to 2.4.57 leave `ap_server_conf` pointing into a cleared pool while the configuration
/// is read again: `httpd::Server::main` is the one way to the main server.
#[test]
fn nothing_reads_the_server_that_httpd_forgot() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = sources(&root.join("src"));
    files.push(root.join("build.rs"));
    files.push(root.join("src/sys/shim.c"));
    for file in files {
        assert!(!code(&file).contains("ap_server_conf"), "{}", file.display());
    }
}
