//! Hazards 39 and 40: the binary interface between httpd and a module, and the C library that all
//! of a process share.

use std::fs;
use std::path::{Path, PathBuf};

use httpd_testkit::{Server, find_module, mpm_tests};

use crate::support::{HELLO, child, quirks};

/// Returns the module magic number of this httpd: major and minor.
fn magic_number() -> (i32, i32) {
    let output = Server::builder().httpd(&["-V"]);
    let text = output.text();
    let line = text.lines().find(|line| line.contains("Module Magic Number"));
    let (major, minor) = line.and_then(|line| line.rsplit_once(' ')?.1.split_once(':')).unwrap();
    (major.parse().unwrap(), minor.parse().unwrap())
}

/// Returns `module` with other numbers in its record, which starts with them and an index of -1.
fn renumbered(module: &[u8], from: (i32, i32), to: (i32, i32)) -> Vec<u8> {
    let record = |(major, minor): (i32, i32)| -> Vec<u8> {
        [major, minor, -1].iter().flat_map(|number| number.to_ne_bytes()).collect()
    };
    let (old, new) = (record(from), record(to));
    let places: Vec<_> =
        module.windows(old.len()).enumerate().filter(|(_, part)| *part == old).collect();
    assert_eq!(places.len(), 1, "the module's record");
    let at = places[0].0;
    let mut module = module.to_vec();
    module[at..at + new.len()].copy_from_slice(&new);
    module
}

#[test]
fn h39_a_module_of_another_interface_is_refused() {
    let module = fs::read(find_module("mod_greeter.so").unwrap()).unwrap();
    let (major, minor) = magic_number();
    let test = |number| {
        Server::builder()
            .file("mod_greeter.so", renumbered(&module, (major, minor), number))
            .conf("LoadModule greeter_module \"{root}/mod_greeter.so\"\nRustAppAlias / greeter")
            .configtest()
    };
    let same = test((major, minor));
    assert!(same.ok, "{}", same.output);
    // httpd checks the major number itself.
    let other = test((major + 10_000, 0));
    assert!(
        !other.ok && other.output.contains("is not compatible with this version"),
        "{}",
        other.output
    );
    let older = test((20_051_115, 0));
    assert!(
        !older.ok && older.output.contains("is not compatible with this version"),
        "{}",
        older.output
    );
}

#[test]
fn h39_the_layouts_are_held_against_the_headers_at_build() {
    let bindings = fs::read_to_string(Path::new(env!("OUT_DIR")).join("bindings.rs")).unwrap();
    for name in [
        "request_rec",
        "server_rec",
        "conn_rec",
        "cmd_parms_struct",
        "module_struct",
        "command_struct",
        "ap_filter_t",
        "apr_bucket_brigade",
    ] {
        let size = format!("\"Size of {name}\"");
        let offsets = format!("\"Offset of field: {name}::");
        assert!(bindings.contains(&size), "{size} is not checked");
        assert!(bindings.matches(&offsets).count() >= 3, "{offsets} are not checked");
    }
}

mpm_tests! {
    fn h40_output_and_processes_of_an_application_do_no_harm(mpm) {
        let server = quirks().mpm(mpm).children(1).start();
        let pid = child(&server);
        for _ in 0..3 {
            let response = server.get("/quirks/say");
            assert_eq!((response.status, response.text()), (200, "said\n"));
            // The process is a direct child, so httpd does not reap it.
            let response = server.get("/quirks/run");
            assert_eq!((response.status, response.text()), (200, "Some(7)\n"));
        }
        server.wait_for("what was said on standard error", || {
            (server.console() + &server.error_log()).contains("said on standard error")
        });
        assert_eq!(server.get("/hello").text(), HELLO);
        assert_eq!(child(&server), pid, "the child has died");
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn h40_nothing_changes_what_the_process_shares() {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "apache", "examples"] {
        sources(&kit.join(folder), &mut files);
    }
    assert!(files.len() > 50, "{}", files.len());
    // A daemon process is its own from its fork on: it sets up what it is to have.
    let daemon = kit.join("src/daemon");
    for file in files.into_iter().filter(|file| !file.starts_with(&daemon)) {
        let text = fs::read_to_string(&file).unwrap();
        for shared in
            ["set_var(", "remove_var(", "setenv(", "set_current_dir(", "setlocale(", "umask("]
        {
            assert!(!text.contains(shared), "{shared} in {}", file.display());
        }
    }
}
