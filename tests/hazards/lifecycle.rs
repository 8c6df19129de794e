//! Hazards 1 to 6: starts, graceful restarts, the code on disk, threads of the parent, and the end.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use httpd_testkit::{Mpm, Server, find_module, mpm_tests, proc};

use crate::support::{HELLO, child, mapped, quirks, stock};

/// Returns the processes that built the application, by the log.
fn builders(server: &Server) -> Vec<i32> {
    let log = server.error_log();
    let built = log.lines().filter_map(|line| line.split_once("quirks built in process "));
    built.map(|(_, pid)| pid.trim().parse().expect("a process id")).collect()
}

mpm_tests! {
    fn h01_an_application_is_built_once_in_each_process(mpm) {
        // Two mounts with the same options are one application.
        let server = quirks().mpm(mpm).children(1).conf("RustAppAlias /twice quirks").start();
        for generation in 1..=4 {
            if generation > 1 {
                server.graceful();
            }
            assert_eq!(server.get("/quirks/pid").text(), server.get("/twice/pid").text());
            let built = builders(&server);
            assert_eq!(built.len(), generation, "{built:?}");
            assert_eq!(built.iter().collect::<BTreeSet<_>>().len(), generation, "{built:?}");
            assert!(!built.contains(&server.pid()), "the parent built it");
        }
    }
}

/// A module's own code may start a thread while httpd reads its configuration, which httpd then reads
/// again: the thread keeps the code that it runs.
#[test]
fn h03_a_thread_in_the_parent_keeps_its_code() {
    let server = quirks().conf("QuirksThread On").start();
    let started = proc::threads(server.pid()).expect("the parent is there");
    assert!(started > 1, "the parent has no thread more");
    for _ in 0..2 {
        server.graceful();
        assert_eq!(server.get("/quirks/pid").status, 200);
    }
    let threads = proc::threads(server.pid()).expect("the parent is there");
    assert_eq!(threads, started + 2, "a thread has ended");
}

/// A factory is foreign code: it may take its time, and only requests that need its application wait.
#[test]
fn h01_a_slow_build_stalls_no_other() {
    let section = |path: &str, options: &str| {
        format!("<Location {path}>\nRustApp quirks\n{options}\n</Location>")
    };
    let gate = "RustAppOption gate {root}/gate\nRustAppOption journal {root}/journal";
    let server = quirks()
        .mpm(Mpm::Event)
        .children(1)
        .file("journal", "")
        .conf(&section("/slow", gate))
        .conf(&section("/other", ""))
        .conf(&section("/another", "RustAppOption gate /dev/null"))
        .start();
    let journal = server.root().join("journal");
    fs::set_permissions(&journal, Permissions::from_mode(0o666)).unwrap();
    let begun = || fs::read_to_string(&journal).unwrap().lines().count();
    std::thread::scope(|scope| {
        let slow: Vec<_> = (0..2).map(|_| scope.spawn(|| server.get("/slow/pid").status)).collect();
        server.wait_for("the factory to run", || begun() == 1);
        for path in ["/other/pid", "/another/pid", "/quirks/pid"] {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
        assert!(slow.iter().all(|thread| !thread.is_finished()));
        server.write_file("gate", "");
        for thread in slow {
            assert_eq!(thread.join().unwrap(), 200);
        }
    });
    assert_eq!(begun(), 1, "it was built twice");
}

#[test]
fn h01_a_configtest_starts_nothing() {
    let server = quirks().file("journal", "").start();
    let journal = server.root().join("journal");
    fs::set_permissions(&journal, Permissions::from_mode(0o666)).unwrap();
    server.write_config(&format!(
        "{}\nRustAppOption journal {}\n",
        server.config(),
        journal.display()
    ));
    server.graceful();
    assert_eq!(server.get("/quirks/pid").status, 200);
    let built = fs::read_to_string(&journal).unwrap();
    assert_eq!(built.lines().count(), server.children_pids().len(), "{built}");

    let httpd = httpd_testkit::httpd().unwrap().program().to_owned();
    let config = server.root().join("httpd.conf");
    // Under what all servers are run under: AddressSanitizer's modules do not load without it.
    let wrap = std::env::var("HTTPD_TESTKIT_WRAP").unwrap_or_default();
    let mut command = Command::new("env");
    command.args(wrap.split_whitespace()).arg(httpd).arg("-t").arg("-f").arg(config);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("Syntax OK"), "{said}");
    assert_eq!(fs::read_to_string(&journal).unwrap(), built);
}

#[test]
fn h02_a_module_that_a_graceful_restart_adds_works_at_once() {
    let server = Server::builder().start();
    assert_eq!(server.get("/hello").status, 404);
    let path = find_module("mod_rust.so").unwrap();
    let load = format!("LoadModule rust_module \"{}\"", path.display());
    let before = server.config();
    server.write_config(&format!("{before}\n{load}\nRustAppAlias /hello hello\n"));
    server.graceful();
    assert_eq!(server.get("/hello").text(), HELLO);
    // And goes as it came.
    server.write_config(&before);
    server.graceful();
    assert_eq!(server.get("/hello").status, 404);
    assert_eq!(mapped(server.pid(), &path).unwrap(), (0, 0), "the module is still in memory");
}

/// Returns the same module with another greeting in its code.
fn changed(module: &[u8]) -> Vec<u8> {
    let (from, to) = (b"Hello, ", b"Howdy, ");
    let mut changed = module.to_vec();
    let mut count = 0;
    for at in 0..changed.len() - from.len() {
        if changed[at..].starts_with(from) {
            changed[at..at + to.len()].copy_from_slice(to);
            count += 1;
        }
    }
    assert!(count > 0, "the greeting is not in the module's code");
    changed
}

mpm_tests! {
    fn h03_h04_each_restart_takes_the_code_and_the_options_on_disk(mpm) {
        let code = fs::read(find_module("mod_greeter.so").unwrap()).unwrap();
        let codes = [("Hello, ", code.clone()), ("Howdy, ", changed(&code))];
        let server = stock()
            .mpm(mpm)
            .children(1)
            .file("modules/mod_greeter.so", &code)
            .conf("LoadModule greeter_module \"{root}/modules/mod_greeter.so\"")
            .conf("RustAppAlias /greeter greeter\nRustAppOption note generation-0")
            .start();
        let module = server.root().join("modules/mod_greeter.so");
        let stock_module = find_module("mod_rust.so").unwrap();
        // A restart takes up to two seconds with these.
        let last = if mpm == Mpm::Event { 20 } else { 4 };
        for generation in 0..=last {
            let (greeting, code) = &codes[generation % 2];
            if generation > 0 {
                let config = server.config();
                let (old, new) =
                    (format!("generation-{}", generation - 1), format!("generation-{generation}"));
                server.write_config(&config.replace(&old, &new));
                // cargo httpd and package managers replace the file in this way.
                server.write_file("modules/new.so", code);
                fs::rename(server.root().join("modules/new.so"), &module).unwrap();
                server.graceful();
            }
            let response = server.get("/greeter");
            assert!(response.text().starts_with(greeting), "{generation}: {response:?}");
            let config = server.get("/probe/config");
            let note = format!("\"note\": \"generation-{generation}\"");
            assert!(config.text().contains(&note), "{note}: {config:?}");
            for pid in [server.pid(), child(&server)] {
                for file in [&module, &stock_module] {
                    let found = mapped(pid, file).unwrap();
                    assert_eq!(found, (1, 0), "{generation}: {} in {pid}", file.display());
                }
            }
        }
    }

    fn h05_the_parent_has_one_thread(mpm) {
        let server = stock().mpm(mpm).children(1).start();
        for _ in 0..2 {
            // An asynchronous application, so that the child has a runtime.
            assert_eq!(server.get("/probe/wait?ms=1").text(), "waited 1 ms\n");
            assert_eq!(proc::threads(server.pid()).unwrap(), 1);
            server.graceful();
        }
        assert_eq!(proc::threads(server.pid()).unwrap(), 1);
    }

    fn h06_a_stop_under_load_is_clean(mpm) {
        let server = stock().mpm(mpm).threads(8).start();
        let (answered, over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let paths = [
            ("/hello", 13),
            ("/probe/stream?chunks=50&size=1000", 50_000),
            ("/probe/wait?ms=5", 12),
            ("/probe/bytes/300000", 300_000),
        ];
        std::thread::scope(|scope| {
            for client in 0..6 {
                let (server, answered, over) = (&server, &answered, &over);
                scope.spawn(move || {
                    for (path, length) in paths.iter().cycle().skip(client) {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        let Ok(response) = server.request("GET", path).try_send() else { continue };
                        // Cut it may be, but then it must not look whole.
                        if response.end.is_complete() {
                            assert_eq!((response.status, response.body.len()), (200, *length));
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            server.wait_for("some load", || answered.load(Ordering::Relaxed) > 100);
            server.stop();
            over.store(true, Ordering::Relaxed);
        });
        let log = server.error_log();
        // In the moment in which no client has a connection, the test kit asks more gently.
        assert!(log.contains("caught SIGTERM") || log.contains("caught SIGWINCH"), "{log}");
        // httpd signals a child that does not end again, and kills it at last.
        assert!(!log.contains("still did not exit, sending a SIGKILL"), "{log}");
    }
}
