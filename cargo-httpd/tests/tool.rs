//! The real program, in a project as a user has it, around the real httpd.

mod common;
mod daemon;
mod setup;

use std::net::TcpListener;
use std::path::Path;

use httpd_config::Httpd;
use rustix::process::{Pid, Signal, kill_process, test_kill_process_group};

use common::{Project, text};

#[test]
fn doctor_tells_what_is_there() {
    let project = Project::new();
    let output = project.output(&["doctor"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    let httpd = Httpd::locate().unwrap();
    for wanted in [httpd.server_string(), &httpd.mmn().to_string(), "libclang", "rustc ", "apxs"] {
        assert!(said.contains(wanted), "{wanted} is missing in\n{said}");
    }
    for mpm in httpd.mpms() {
        assert!(said.contains(mpm.name()), "{mpm} is missing in\n{said}");
    }
}

#[test]
fn doctor_fails_when_a_variable_leads_nowhere() {
    for (variable, value) in [("APXS", "/nonexistent/apxs"), ("LIBCLANG_PATH", "/nonexistent")] {
        let output = Project::new().command(&["doctor"]).env(variable, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = text(&output.stderr);
        assert!(said.starts_with("error: ") && said.contains(variable), "{said}");
    }
}

#[test]
fn a_system_without_a_known_package_manager_gets_the_list() {
    let project = Project::new();
    let output = project.command(&["build", "--yes"]).env("PATH", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    for wanted in ["a C compiler", "neither apt-get nor dnf", "(on Debian gcc libc6-dev)"] {
        assert!(said.contains(wanted), "{wanted} is missing in {said}");
    }
    assert!(!project.path().join("target").exists(), "it built without what it needs");
}

#[test]
fn bench_needs_a_checkout_and_has_its_options_there() {
    let output = Project::new().output(&["bench", "--smoke"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("run `cargo httpd bench` in a checkout of mod_rust"), "{said}");

    let output = Project::of_workspace().output(&["bench", "--help"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(said.contains("Usage: cargo httpd bench") && said.contains("--smoke"), "{said}");
}

#[test]
fn build_names_the_module_after_its_symbol() {
    let project = Project::new();
    let output = project.output(&["build", "--debug"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let module = project.path().join("target/debug/mod_fixture.so");
    assert!(module.is_file());
    let line = format!("LoadModule fixture_module \"{}\"\n", module.display());
    assert_eq!(text(&output.stdout), line);
}

#[test]
fn options_of_cargo_are_passed_on() {
    let project = Project::new();
    project.replace(
        "Cargo.toml",
        "[workspace]",
        "[features]\nloud = []\n[profile.quick]\ninherits = \"dev\"\n[workspace]",
    );
    let source = "#[cfg(not(feature = \"loud\"))]\ncompile_error!(\"it is not loud\");\n";
    project.write("src/lib.rs", &format!("{}{source}", include_str!("fixture/lib.rs")));
    project.write("tests/loud.rs", "#[test]\nfn loud() { assert!(cfg!(feature = \"loud\")); }\n");
    let output = project.output(&["build", "--debug"]);
    assert!(text(&output.stderr).contains("it is not loud"), "{}", text(&output.stderr));

    let loud = ["--features", "loud", "--package", "fixture"];
    let quick = ["--profile", "quick"];
    for (command, options, folder) in [
        ("build", &quick[..], "quick"),
        ("conf", &quick[..], "quick"),
        ("build", &["--debug", "--all-features"][..], "debug"),
    ] {
        let output = project.output(&[&[command], &loud[..], options].concat());
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
        let module = format!("target/{folder}/mod_fixture.so");
        assert!(text(&output.stdout).contains(&module), "{command}: {}", text(&output.stdout));
    }
    let mut running = project.run(&loud);
    assert_eq!(running.get("/"), "first build");
    running.signal(Signal::TERM);
    running.wait_for("Stopping httpd");
    drop(running);
    let output = project.output(&[&["test"], &loud[..], &["--", "loud"]].concat());
    assert!(text(&output.stdout).ends_with("1 passed, 0 failed, 0 skipped\n"));

    let output = project.output(&["build", "--debug", "--profile", "quick"]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let output = project.output(&["build", "--package", "other"]);
    let said = text(&output.stderr);
    assert!(said.contains("package \"other\"") && said.contains(": fixture"), "{said}");
}

#[test]
fn a_signal_during_the_first_build_ends_it_and_is_told() {
    let project = Project::new();
    let begun = project.path().join("begun");
    assert!(std::process::Command::new("mkfifo").arg(&begun).status().unwrap().success());
    project.write(
        "build.rs",
        "fn main() {\n    std::fs::write(\"begun\", \"\").unwrap();\n    \
         loop {\n        std::thread::park();\n    }\n}\n",
    );
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut command = project.command(&["run", "--debug", "--port", "0"]);
        let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        // Ends when the build script has opened it.
        std::fs::read(&begun).unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains("during the build; nothing was started"), "{said}");
    }
}

#[test]
fn a_failing_build_names_the_command_to_repeat() {
    let project = Project::new();
    project.write("src/lib.rs", "not Rust");
    let output = project.output(&["build"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.ends_with("repeat it with `cargo build --package fixture --lib --release`\n"),
        "{said}"
    );
}

#[test]
fn conf_prints_what_httpd_accepts() {
    let project = Project::new();
    project.write("extra.conf", "# mine\n");
    for mpm in Httpd::locate().unwrap().mpms() {
        let args =
            ["conf", "--debug", "--port", "8123", "--conf", "extra.conf", "--mpm", mpm.name()];
        let output = project.output(&args);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let conf = text(&output.stdout);
        let dir = project.path().display();
        for line in [
            "Listen 127.0.0.1:8123".to_owned(),
            format!("LoadModule fixture_module \"{dir}/target/debug/mod_fixture.so\""),
            format!("Include \"{dir}/httpd.conf\""),
            format!("Include \"{dir}/extra.conf\""),
        ] {
            assert!(conf.lines().any(|found| found == line), "{line} is missing in\n{conf}");
        }
    }
}

#[test]
fn a_package_without_its_configuration_is_reported() {
    let project = Project::new();
    std::fs::remove_file(project.path().join("httpd.conf")).unwrap();
    let output = project.output(&["run", "--debug", "--port", "0"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("apache/httpd.conf\" or ") && said.contains("RustAppAlias"), "{said}");
}

#[test]
fn a_port_in_use_is_refused_before_anything_is_built() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let project = Project::new();
    let output = project.output(&["run", "--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("port {port}: in use;")) && said.contains("--port"), "{said}");
    assert!(!project.path().join("target").exists());
}

#[test]
fn a_configuration_that_httpd_refuses_is_named() {
    let project = Project::new();
    project.write("httpd.conf", "NoSuchDirective on\n");
    let output = project.output(&["run", "--debug", "--port", "0"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    let place = format!("line 1 of {}/httpd.conf", project.path().display());
    assert!(said.contains("NoSuchDirective") && said.contains(&place), "{said}");
    assert!(server_roots(project.path()).is_empty());
}

#[test]
fn run_serves_on_every_mpm_and_leaves_nothing() {
    let project = Project::new();
    for (mpm, signal) in
        Httpd::locate().unwrap().mpms().into_iter().zip([Signal::INT, Signal::TERM, Signal::HUP])
    {
        let mut running = project.run(&["--mpm", mpm.name()]);
        assert_eq!(running.get("/"), "first build", "{mpm}");
        assert!(group_is_alive(running.httpd));
        let line = running.access_log_line();
        assert!(line.contains("\"GET / HTTP/1.1\" 404"), "{line}");
        assert!(!server_roots(project.path()).is_empty());

        let httpd = running.httpd;
        running.signal(signal);
        let (status, said) = running.wait();
        assert!(status.success(), "{status}: {}", said.join("\n"));
        assert!(said.iter().any(|line| line.contains("caught SIGTERM")), "{}", said.join("\n"));
        assert!(!group_is_alive(httpd), "{mpm} left processes behind");
        assert!(server_roots(project.path()).is_empty());
    }
}

#[test]
fn watch_restarts_on_a_change_and_survives_an_error() {
    let project = Project::new();
    let mut running = project.run(&["--watch"]);
    assert_eq!(running.get("/"), "first build");

    project.replace("src/lib.rs", "mod_first.c", "mod_second.c");
    running.wait_for("Rebuilt and restarted gracefully");
    running.get_until("/", "second build");

    project.replace("src/lib.rs", "pub static mut", "pub nonsense");
    running.wait_for("The old module goes on serving");
    assert_eq!(running.get("/"), "second build");

    project.replace("src/lib.rs", "pub nonsense", "pub static mut");
    running.wait_for("Rebuilt and restarted gracefully");

    project.replace("httpd.conf", "ErrorDocument", "NoSuchDirective");
    running.wait_for("NoSuchDirective");
    running.wait_for("The old module goes on serving");
    assert_eq!(running.get("/"), "second build");

    project.write("httpd.conf", "ErrorDocument 404 \"other\"\n");
    running.wait_for("Rebuilt and restarted gracefully");
    running.get_until("/", "other");

    assert!(group_is_alive(running.httpd));
    running.signal(Signal::TERM);
    let (status, said) = running.wait();
    assert!(status.success(), "{status}: {}", said.join("\n"));
}

#[test]
fn test_runs_the_tests_and_needs_at_least_one() {
    let project = Project::new();
    let output = project.output(&["test"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("no test ran"), "{}", text(&output.stderr));

    project.write(
        "tests/modules.rs",
        "#[test]\nfn built() {\n    let dir = std::env::var(\"HTTPD_TESTKIT_MODULES\").unwrap();\n    \
         assert!(std::path::Path::new(&dir).join(\"mod_fixture.so\").is_file());\n}\n",
    );
    let output = project.output(&["test"]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    assert!(said.ends_with("1 passed, 0 failed, 0 skipped\n"), "{said}");

    let output = project.output(&["test", "--", "no_such_test"]);
    assert_eq!(output.status.code(), Some(1));

    project.replace("tests/modules.rs", "mod_fixture.so", "mod_missing.so");
    let output = project.output(&["test"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("step `tests` failed; repeat it with `HTTPD_TESTKIT_MODULES="), "{said}");
}

#[test]
fn a_second_run_on_the_port_is_refused() {
    let project = Project::new();
    let running = project.run(&[]);
    let port = running.port.to_string();
    let output = project.output(&["run", "--debug", "--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains(&format!("httpd as process {};", running.httpd)), "{said}");
    assert_eq!(running.get("/"), "first build");
}

#[test]
fn httpd_that_ends_by_itself_ends_the_run() {
    let project = Project::new();
    let running = project.run(&[]);
    kill_process(Pid::from_raw(running.httpd).unwrap(), Signal::TERM).unwrap();
    let (status, said) = running.wait();
    assert_eq!(status.code(), Some(1));
    assert!(said.iter().any(|line| line.contains("httpd ended by itself")), "{}", said.join("\n"));
}

/// Checks httpd's own process group, whose number is that of its parent.
fn group_is_alive(httpd: i32) -> bool {
    test_kill_process_group(Pid::from_raw(httpd).unwrap()).is_ok()
}

fn server_roots(project: &Path) -> Vec<std::path::PathBuf> {
    let entries = project.join("target/httpd").read_dir().into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("run-"))
        .collect()
}
