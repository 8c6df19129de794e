//! On the httpd of this machine. `cargo httpd test` installs one first.

use std::path::Path;
use std::process::Command;

use httpd_config::{Apxs, ENV, Headers, Httpd, ModuleFile, Mpm};

#[test]
fn the_program_is_what_it_says() {
    let httpd = Httpd::locate().unwrap();
    let output = Command::new(httpd.program()).arg("-v").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(httpd.server_string()), "{text}");
    assert!(httpd.server_string().contains(httpd.version()), "{httpd:?}");
    assert_eq!(httpd.mmn().major, 20120211);
    assert!(httpd.mmn().minor >= 83, "older than 2.4.37: {}", httpd.mmn());
}

#[test]
fn modules_are_static_loadable_or_missing() {
    let httpd = Httpd::locate().unwrap();
    assert_eq!(httpd.module("core"), ModuleFile::Static);
    assert_eq!(httpd.module("so"), ModuleFile::Static);
    assert_eq!(httpd.module("no_such"), ModuleFile::Missing);
    // Every build of 2.4 has these, one way or the other.
    for name in ["authz_core", "mime", "alias", "dir", "log_config", "unixd"] {
        match httpd.module(name) {
            ModuleFile::Static => {}
            ModuleFile::Dso(path) => assert!(path.is_file(), "{name}: {path:?}"),
            ModuleFile::Missing => panic!("{name} is missing in {:?}", httpd.modules_dir()),
        }
    }
    assert!(httpd.static_modules().iter().any(|file| file == "core.c"));
}

#[test]
fn an_mpm_that_it_lists_loads() {
    let httpd = Httpd::locate().unwrap();
    let mpms = httpd.mpms();
    assert!(mpms.contains(&Mpm::Event) || mpms.contains(&Mpm::Prefork), "{mpms:?}");
    for mpm in mpms {
        let load = httpd.module(mpm.module_name()).load_line(mpm.module_name()).unwrap();
        let mut command = Command::new(httpd.program());
        command.args(["-V", "-f", "/dev/null"]);
        if !load.is_empty() {
            command.args(["-C", load.trim()]);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.starts_with("Server MPM:")).unwrap();
        assert_eq!(line.split_whitespace().last(), Some(mpm.name()), "{load}{text}");
    }
}

#[test]
fn the_headers_fit_the_program() {
    let headers = Headers::locate().unwrap();
    let has = |name: &str| headers.include_dirs.iter().any(|dir| dir.join(name).is_file());
    for name in ["httpd.h", "apr.h", "apu.h", "apr_buckets.h"] {
        assert!(has(name), "{name} in none of {:?}", headers.include_dirs);
    }
    assert_eq!(headers.version().as_deref(), Some(Httpd::locate().unwrap().version()));
    assert!(
        headers.compiler_args().iter().all(|arg| arg.starts_with("-I") || arg.starts_with("-D"))
    );
}

#[test]
fn apxs_agrees_with_the_search() {
    let Some(apxs) = Apxs::locate().unwrap() else {
        panic!("no apxs on this machine: `cargo httpd doctor` says what to install")
    };
    let httpd = Httpd::locate().unwrap();
    let real = |path: &Path| path.canonicalize().unwrap();
    assert_eq!(real(&apxs.program()), real(httpd.program()));
    assert_eq!(real(apxs.modules_dir()), real(httpd.modules_dir()));
    assert!(apxs.include_dir().join("httpd.h").is_file());
}

#[test]
fn the_variables_are_listed_once() {
    let mut names = ENV.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ENV.len());
}
