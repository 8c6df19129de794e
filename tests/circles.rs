//! Files that import each other in a circle cannot be read one after the other. The circles inside a
//! layer are counted here, and none may span two folders that stand for different jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The circles that are there, each by the folder that it stays in. A new one is refused; one that
/// was opened leaves this list.
const KNOWN: [&str; 3] = ["httpd", "server::daemon_process", "server::stream"];

/// The modules of the library by their paths, with the text of their code.
struct Modules(BTreeMap<String, String>);

impl Modules {
    fn read() -> Self {
        let mut modules = BTreeMap::new();
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        add(&src, "", &mut modules);
        assert!(modules.len() > 150, "the sources have moved: only {} files", modules.len());
        Self(modules)
    }

    /// Returns the modules that `module` imports.
    fn imports(&self, module: &str) -> BTreeSet<String> {
        let here: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
        let mut found = BTreeSet::new();
        for path in paths(&self.0[module]) {
            let up = path.iter().take_while(|part| *part == "super").count();
            let absolute: Vec<&str> = match path[0].as_str() {
                "crate" => path[1..].iter().map(String::as_str).collect(),
                "self" => {
                    here.iter().copied().chain(path[1..].iter().map(String::as_str)).collect()
                }
                "super" if up <= here.len() => {
                    let start = here[..here.len() - up].iter().copied();
                    start.chain(path[up..].iter().map(String::as_str)).collect()
                }
                _ => continue,
            };
            if let Some(target) = self.resolve(&absolute).filter(|target| target != module) {
                found.insert(target);
            }
        }
        // A module that re-exports names of its own files does not depend on them.
        found.retain(|target| !target.starts_with(&format!("{module}::")));
        found
    }

    /// Returns the module that an item is defined in: a name that a module re-exports belongs to the
    /// file that it comes from.
    fn resolve(&self, path: &[&str]) -> Option<String> {
        let (module, rest) = (1..=path.len()).rev().find_map(|length| {
            let module = path[..length].join("::");
            self.0.contains_key(&module).then_some((module, &path[length..]))
        })?;
        let Some(name) = rest.first() else { return Some(module) };
        for re_export in paths(&self.0[&module]) {
            if re_export.last().is_some_and(|last| last == name) && re_export.len() > 1 {
                let start = usize::from(re_export[0] == "self");
                let inside = re_export[start..re_export.len() - 1].join("::");
                let target = format!("{module}::{inside}");
                if self.0.contains_key(&target) {
                    return Some(target);
                }
            }
        }
        Some(module)
    }
}

fn add(folder: &Path, module: &str, modules: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        if name.ends_with("tests") {
            continue;
        }
        let inner = if module.is_empty() { name.clone() } else { format!("{module}::{name}") };
        if path.is_dir() {
            add(&path, &inner, modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let inner = match name.as_str() {
                "mod" => module.to_owned(),
                "lib" => String::new(),
                _ => inner,
            };
            modules.insert(inner, code.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Returns the paths of the `use` items in `code`, and those that begin with `crate`, `self` or `super`
/// elsewhere.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let Some((before, tree)) = statement.rsplit_once("use ") else { continue };
        let before = before.lines().last().unwrap_or_default().trim();
        if before.is_empty() || before.starts_with("pub") {
            expand(&mut Vec::new(), tree, &mut found);
        }
    }
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let is_inner = code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c));
            if !is_inner {
                let end = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
                let path = code[at..].split(end).next().unwrap_or_default();
                found.push(path.split("::").map(str::to_owned).collect());
            }
        }
    }
    found
}

/// Writes `a::{b, c::d}` out.
fn expand(before: &mut Vec<String>, tree: &str, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let (path, group) = match tree.split_once('{') {
        Some((path, group)) => (path, group.rsplit_once('}').map(|(inside, _)| inside)),
        None => (tree, None),
    };
    let length = before.len();
    let path = path.split(" as ").next().unwrap_or_default().trim();
    before.extend(path.split("::").filter(|part| !part.is_empty()).map(str::to_owned));
    match group {
        None => found.extend((!before.is_empty()).then(|| before.clone())),
        Some(group) => {
            let (mut depth, mut start) = (0, 0);
            for (at, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        expand(before, &group[start..at], found);
                        start = at + 1;
                    }
                    _ => {}
                }
            }
            if !group[start..].trim().is_empty() {
                expand(before, &group[start..], found);
            }
        }
    }
    before.truncate(length);
}

/// Returns what `start` reaches.
fn reached<'g>(graph: &'g BTreeMap<String, BTreeSet<String>>, start: &'g str) -> BTreeSet<&'g str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
    while let Some(module) = open.pop() {
        for next in &graph[module] {
            if seen.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    seen
}

#[test]
fn no_circle_is_new() {
    let modules = Modules::read();
    let graph: BTreeMap<_, _> =
        modules.0.keys().map(|module| (module.clone(), modules.imports(module))).collect();
    let reach: BTreeMap<_, _> =
        graph.keys().map(|module| (module.as_str(), reached(&graph, module))).collect();
    let mut circles = BTreeSet::new();
    for (module, reached) in &reach {
        let circle: BTreeSet<&str> =
            reached.iter().copied().filter(|other| reach[other].contains(module)).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    let folder =
        |module: &str| module.rsplit_once("::").map_or("", |(folder, _)| folder).to_owned();
    let mut known = KNOWN.to_vec();
    for circle in &circles {
        let folders: BTreeSet<_> = circle.iter().map(|module| folder(module)).collect();
        // The face of a folder, its mod.rs, belongs to it.
        let inner = folders.iter().max_by_key(|folder| folder.len()).expect("a folder");
        let stays = circle.iter().all(|module| folder(module) == *inner || module == inner);
        let at = known.iter().position(|known| known == inner);
        assert!(stays && at.is_some(), "files import each other in a circle: {circle:#?}");
        known.remove(at.expect("checked above"));
    }
    assert!(known.is_empty(), "these circles were opened: take them from KNOWN: {known:?}");
}
