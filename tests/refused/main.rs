//! Programs that must not compile: the ways in which a crate that forbids unsafe code could misuse
//! what httpd gives to a module.
//!
//! Each is compiled by rustc against the library that this test is linked with. A mark `//~` says
//! which error is expected in its line; there must be no other. A documentation test with
//! `compile_fail` would accept any error on a stable compiler, a misspelt name too.

mod cases;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use cases::{ALLOWED, REFUSED, TWINS};

/// The first lines of each program.
const PRELUDE: &str = include_str!("prelude.rs");

#[test]
fn a_module_of_safe_code_compiles() {
    // `library` has compiled it.
    assert!(library().is_file());
}

#[test]
fn misuse_does_not_compile() {
    let library = library();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = REFUSED
            .chunks(REFUSED.len().div_ceil(2))
            .map(|chunk| scope.spawn(|| chunk.iter().filter_map(|c| judge(library, c)).collect()))
            .collect();
        let results = threads.into_iter().map(|thread| thread.join().expect("a thread"));
        results.collect::<Vec<Vec<String>>>().concat()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The kit's statics are one module's, so a library has one. Nothing sees two of them in one crate
/// before httpd loads them.
#[test]
fn two_modules_of_one_library_are_refused_by_httpd() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("twins");
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("twins.so");
    let out = path.to_str().expect("a path in UTF-8");
    let said = rustc(library(), &["--crate-type=cdylib", "-o", out], &format!("{PRELUDE}{TWINS}"));
    assert!(said.is_empty(), "{said}");
    let load = |name: &str| format!("LoadModule {name}_module \"{out}\"\n");
    let (first, second) = (load("first"), load("second"));
    let test = |lines: &str| httpd_testkit::Server::builder().conf(lines).configtest();
    for (lines, name) in [
        (format!("{first}{second}RustAppAlias /x one"), "mod_second.c"),
        (format!("{second}{first}RustAppAlias /x two"), "mod_first.c"),
    ] {
        let test = test(&lines);
        let expected = format!("RUST0109: module {name}: its library holds another module");
        assert!(!test.ok && test.output.contains(&expected), "{lines}: {}", test.output);
    }
    // Either of them alone is fine.
    for lines in [format!("{first}RustAppAlias /x one"), format!("{second}RustAppAlias /x two")] {
        let test = test(&lines);
        assert!(test.ok, "{lines}: {}", test.output);
    }
}

/// Says in which way the errors of a program differ from those that it marks.
fn judge(library: &Path, (name, body): &(&str, &str)) -> Option<String> {
    let source = format!("{PRELUDE}{body}");
    let expected: BTreeSet<(usize, String)> = (1..)
        .zip(source.lines())
        .filter_map(|(number, line)| Some((number, line.split_once("//~ ")?.1.trim().to_owned())))
        .collect();
    assert!(!expected.is_empty(), "{name}: no line is marked");
    let output = compile(library, &source);
    let found: BTreeSet<_> = output.lines().filter_map(error).collect();
    (found != expected).then(|| format!("{name}: expected {expected:?}, found {found:?}\n{output}"))
}

/// Reads a line of rustc's short form, `<anon>:5:9: error[E0277]: text`: the line's number, and the
/// error's code or, where it has none, its text.
fn error(line: &str) -> Option<(usize, String)> {
    let (place, message) = line.split_once(": error")?;
    let number = place.split(':').nth(1)?.parse().ok()?;
    match message.strip_prefix('[') {
        Some(rest) => Some((number, rest.split_once(']')?.0.to_owned())),
        None => Some((number, message.trim_start_matches(": ").split(':').next()?.to_owned())),
    }
}

/// Compiles a program and returns what rustc says of it; nothing where it compiles.
fn compile(library: &Path, source: &str) -> String {
    // The output goes to standard output: rustc replaces its output file, even /dev/null.
    rustc(library, &["--crate-type=lib", "--emit=metadata=-"], source)
}

/// Runs rustc on a program that uses the library.
fn rustc(library: &Path, arguments: &[&str], source: &str) -> String {
    let deps = library.parent().expect("a folder");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = Command::new(rustc)
        .args(["--edition=2024", "--error-format=short", "-A", "warnings"])
        .args(arguments)
        .arg("-L")
        .arg(format!("dependency={}", deps.display()))
        .arg("--extern")
        .arg(format!("mod_rust={}", library.display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("rustc");
    let mut stdin = rustc.stdin.take().expect("a pipe");
    stdin.write_all(source.as_bytes()).expect("rustc reads it");
    drop(stdin);
    let output = rustc.wait_with_output().expect("rustc ends");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() || !text.is_empty(), "rustc: {}", output.status);
    if output.status.success() { String::new() } else { text }
}

/// Finds the library in the folder of this test. There may be several, with other features: it
/// takes the newest that [`ALLOWED`] compiles with.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let program = std::env::current_exe().expect("a path");
        let entries = program.parent().expect("a folder").read_dir().expect("entries");
        let mut found: Vec<_> = entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name().into_string().unwrap_or_default();
                name.starts_with("libmod_rust-") && name.ends_with(".rlib")
            })
            .map(|entry| (entry.metadata().and_then(|it| it.modified()).ok(), entry.path()))
            .collect();
        found.sort();
        let mut said = String::from("there is no library");
        for (_, path) in found.into_iter().rev() {
            said = compile(&path, &format!("{PRELUDE}{ALLOWED}"));
            if said.is_empty() {
                return path;
            }
        }
        panic!("a module of safe code does not compile:\n{said}");
    })
}
