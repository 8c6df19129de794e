//! Which process groups are started, by which module; and what their directives do to requests.

use std::path::Path;
use std::process::Command;

use httpd_testkit::{Builder, Server, proc};

use crate::support::{configtest, refused, stock, taken, value};

/// Returns the names of the sockets in a folder.
fn sockets(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".sock"))
        .collect();
    names.sort();
    names
}

/// Returns the groups that have sockets, each with the module's name in front, and the number of
/// sockets.
fn groups(server: &Server) -> Vec<(String, usize)> {
    let mut groups: Vec<(String, usize)> = Vec::new();
    for name in sockets(&server.root().join("run")) {
        // prefix.pid.generation.group.slot.sock
        let parts: Vec<_> = name.rsplitn(6, '.').collect();
        let group = format!("{}:{}", parts[5], parts[2]);
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, count)) => *count += 1,
            None => groups.push((group, 1)),
        }
    }
    groups
}

#[test]
fn unused_groups_are_not_started() {
    let server = stock()
        .conf("RustDaemonProcess used processes=2\nRustDaemonProcess unused processes=2")
        .conf("RustDaemonProcess listed\nRustDaemonProcess elsewhere")
        .conf("RustAppAlias /probe probe process-group=used")
        .conf("<Location /probe>\nRustRestrictProcess used listed\n</Location>")
        // Nothing of ours is there.
        .conf("<Location /files>\nRustProcessGroup elsewhere\n</Location>")
        .start();
    // One more than the processes, for a replacement.
    assert_eq!(groups(&server), [("mod_rust:used".to_owned(), 3)]);
    assert_eq!(value(&server.get("/probe/environ"), "mod_rust.mode").as_deref(), Some("daemon"));
    for pid in server.children_pids() {
        let title = proc::title(pid).expect("it is there");
        assert!(!title.contains("(rust:") || title.contains("(rust:used)"), "{title}");
    }
}

/// A fault that would only show when the processes are made stops configtest, for groups that are used.
#[test]
fn folders_and_paths_that_cannot_be_used_stop_configtest() {
    let long = format!("RustSocketPrefix run/{}\n", "x".repeat(90));
    for (before, options, expected) in [
        (
            "RustSocketPrefix /nowhere/to/be/found/rust\n",
            "",
            "the folder \"/nowhere/to/be/found\" of its sockets: No such file or directory (os error \
             2); make the folder, or name another one with RustSocketPrefix or DefaultRuntimeDir",
        ),
        (
            "RustSocketPrefix conf.txt/rust\n",
            "",
            "of its sockets: not a folder; make the folder, or name another one",
        ),
        (&long, "", "; expected 107 at most: set a shorter RustSocketPrefix"),
        ("", "home=/nowhere", "home=/nowhere: No such file or directory"),
        ("", "home=/etc/passwd", "home=/etc/passwd: not a directory"),
    ] {
        let group = format!("{before}RustDaemonProcess shop {options}\n");
        let builder = || stock().file("conf.txt", "");
        let lines = format!("{group}RustAppAlias /x hello process-group=shop\n");
        let test = configtest(builder(), &lines);
        refused(&lines, &test, "RUST0107: ");
        refused(&lines, &test, expected);
        // An unused group is not made.
        taken(builder(), &group);
    }
}

#[test]
fn folders_that_only_root_can_use_stop_configtest() {
    if !is_root() {
        return;
    }
    for (lines, expected) in [
        ("RustDaemonProcess shop chroot=/nowhere\n", "chroot=/nowhere: No such file or directory"),
        (
            "RustDaemonProcess shop chroot=/usr home=/nowhere\n",
            "home=/nowhere: below chroot=/usr: No such file or directory",
        ),
        (
            "ChrootDir /usr\nRustDaemonProcess shop\n",
            "httpd's children cannot see its sockets in \"",
        ),
    ] {
        let lines = format!("{lines}RustAppAlias /x hello process-group=shop\n");
        let test = configtest(stock(), &lines);
        refused(&lines, &test, "RUST0107: ");
        refused(&lines, &test, expected);
    }
    // A folder in which nothing can be written.
    let read_only =
        ["unshare", "-m", "sh", "-c", "mount -t tmpfs -o ro none /mnt && exec \"$@\"", "sh"];
    if !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        return;
    }
    let lines = "RustSocketPrefix /mnt/rust\nRustDaemonProcess shop\n\
                 RustAppAlias /x hello process-group=shop\n";
    let test = configtest(stock().wrap(&read_only), lines);
    refused(lines, &test, "of its sockets: Read-only file system (os error 30); make the folder");
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

/// Returns both orders of two modules.
fn orders() -> [Builder; 2] {
    [["mod_rust.so", "mod_greeter.so"], ["mod_greeter.so", "mod_rust.so"]].map(|order| {
        order.into_iter().fold(Server::builder(), |builder, file| builder.module(file))
    })
}

#[test]
fn two_modules_side_by_side() {
    for builder in orders() {
        let server = builder
            .conf("LogFormat \"%U <%{process-group}^ru> <%{pid}^ru>\" groups")
            .conf("CustomLog {root}/groups_log groups")
            .conf("RustDaemonProcess both\nRustDaemonProcess probes\nRustDaemonProcess greeters")
            .conf("RustAppAlias /probe/both probe process-group=both")
            .conf("RustAppAlias /probe probe process-group=probes")
            .conf("RustAppAlias /greeter/both greeter process-group=both")
            .conf("RustAppAlias /greeter greeter process-group=greeters")
            .conf("RustAppAlias /embedded greeter")
            .start();
        let expected = ["greeter:both", "greeter:greeters", "rust:both", "rust:probes"];
        let expected: Vec<_> = expected.iter().map(|group| (format!("mod_{group}"), 2)).collect();
        assert_eq!(groups(&server), expected, "{}", server.config());
        for group in ["both", "probes"] {
            let mount = if group == "both" { "/probe/both" } else { "/probe" };
            let response = server.get(&format!("{mount}/environ"));
            assert_eq!(value(&response, "mod_rust.process_group").as_deref(), Some(group));
        }
        for mount in ["/greeter/both", "/greeter", "/embedded"] {
            assert_eq!(server.get(mount).text(), "Hello, stranger\n", "{mount}");
        }
        // The access log tells of either module's requests.
        let log = || std::fs::read_to_string(server.root().join("groups_log")).unwrap_or_default();
        for (path, group) in [
            ("/probe/both/environ", "both"),
            ("/probe/environ", "probes"),
            ("/greeter/both", "both"),
            ("/greeter", "greeters"),
            ("/embedded", "-"),
        ] {
            let start = format!("{path} <{group}> <");
            server.wait_for("its line", || log().lines().any(|line| line.starts_with(&start)));
            let log = log();
            let line = log.lines().find(|line| line.starts_with(&start)).expect("it was there");
            let pid = line[start.len()..].trim_end_matches('>');
            assert_eq!(pid == "-", group == "-", "{line}");
            if group != "-" {
                let title = proc::title(pid.parse().expect("a process id"));
                assert!(title.expect("it is there").contains(&format!("(rust:{group})")), "{line}");
            }
        }
        // And again after a graceful restart.
        server.graceful();
        assert_eq!(server.get("/greeter/both").text(), "Hello, stranger\n");
        assert_eq!(server.get("/probe/both/environ").status, 200);
    }
}

/// One prefix is enough for both.
#[test]
fn two_modules_with_one_socket_prefix() {
    for builder in orders() {
        let server = builder
            .conf("RustSocketPrefix run/own\nRustDaemonProcess both")
            .conf("RustAppAlias /probe probe process-group=both")
            .conf("RustAppAlias /greeter greeter process-group=both")
            .start();
        let expected = [("own:both".to_owned(), 2), ("own.mod_greeter:both".to_owned(), 2)];
        let mut found = groups(&server);
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(server.get("/greeter").text(), "Hello, stranger\n");
        assert_eq!(server.get("/probe/environ").status, 200);
    }
}

/// One run reports the faults that two modules find, once each.
#[test]
fn mistakes_of_two_modules_are_reported_together() {
    let lines = "RustDaemonProcess shop user=no-such\nRustProcessGroup nothing\n\
                 RustAppAlias /a probe\nRustAppOption root here\nRustAppAlias /b greter\n\
                 RustRestrictEmbedded On\nRustAppAlias /c greeter process-group=%{GLOBAL}\n";
    for builder in orders() {
        let test = configtest(builder, lines);
        assert!(!test.ok, "{}", test.output);
        for code in ["RUST0101", "RUST0102", "RUST0105", "RUST0106", "RUST0107"] {
            assert_eq!(test.output.matches(code).count(), 1, "{code}\n{}", test.output);
        }
    }
}

#[test]
fn slow_requests_are_logged_with_their_phases() {
    let server = stock()
        .allow_log("RUST0035")
        .conf("RustSlowRequests 100ms\nRustDaemonProcess slow")
        .conf("RustAppAlias /daemon probe process-group=slow\nRustAppAlias /embedded probe")
        .conf("<VirtualHost 127.0.0.1:{port}>\nServerName first.test\n</VirtualHost>")
        .conf(
            "<VirtualHost 127.0.0.1:{port}>\nServerName off.test\nRustSlowRequests Off\n\
             </VirtualHost>",
        )
        .start();
    let get = |host: &str, target: &str| {
        let status = server.request("GET", target).header("Host", host).send().status;
        assert_eq!(status, 200, "{host} {target}");
    };
    for target in ["/daemon/sleep?ms=150", "/embedded/sleep?ms=150"] {
        get("off.test", target);
        get("first.test", target);
    }
    let lines = server.wait_log_count("RUST0035: application probe: ", 2);
    let daemon = &lines[0];
    assert!(daemon.contains("GET /daemon/sleep?ms=150 took ") && daemon.contains("[rust:warn]"));
    for phase in ["process group slow, daemon process ", "connect ", "queue ", "body "] {
        assert!(daemon.contains(phase), "{phase}: {daemon}");
    }
    let (_, application) = daemon.split_once("application 1").unwrap_or_else(|| panic!("{daemon}"));
    assert!(application.starts_with(|c: char| c.is_ascii_digit()), "at least 100 ms: {daemon}");
    let embedded = &lines[1];
    assert!(embedded.contains("GET /embedded/sleep?ms=150 took "), "{embedded}");
    assert!(embedded.ends_with(" ms: embedded"), "{embedded}");
    // Nothing of the virtual host without it.
    assert_eq!(server.error_log().matches("RUST0035").count(), 2, "{}", server.error_log());
}
