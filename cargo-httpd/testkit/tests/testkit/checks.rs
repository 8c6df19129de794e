//! The faults that the kit finds at the end of a test; nothing outlives a test.

use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use httpd_testkit::{Server, Signal, mpm_tests, proc};

/// Drops `server`; returns its message, and whether its root is still there. Removes the root.
fn dropped(server: Server) -> (Option<String>, bool) {
    let root = server.root().to_owned();
    let end = catch_unwind(AssertUnwindSafe(|| drop(server)));
    let kept = root.exists();
    let _ = std::fs::remove_dir_all(&root);
    let said = end.err().map(|panic| *panic.downcast::<String>().expect("a message"));
    (said, kept)
}

fn crash_a_child(server: &Server) {
    server.wait_for("a child", || !server.children_pids().is_empty());
    server.signal(server.children_pids()[0], Signal::SEGV);
    server.wait_log("exit signal Segmentation fault");
}

mpm_tests! {
    fn a_crash_fails_the_test(mpm) {
        let server = Server::builder().mpm(mpm).start();
        crash_a_child(&server);
        assert_eq!(server.problems().len(), 1, "{:?}", server.problems());
        let (said, kept) = dropped(server);
        let said = said.expect("a panic");
        assert!(said.contains("exit signal Segmentation fault"), "{said}");
        assert!(said.contains("ServerName localhost"), "{said}");
        assert!(kept);
    }
}

#[test]
fn a_crash_that_is_allowed_does_not() {
    let server = Server::builder().allow_log("Segmentation fault").start();
    crash_a_child(&server);
    assert_eq!(dropped(server), (None, false));
}

#[test]
fn an_error_of_the_module_under_test_fails_the_test() {
    let folder = httpd_testkit::httpd().unwrap().modules_dir();
    let path = folder.join("mod_include.so");
    let builder = Server::builder()
        .module(path.to_str().unwrap())
        .conf("AddOutputFilter INCLUDES .shtml\n")
        .conf("<Directory \"{htdocs}\">\nOptions +Includes\n</Directory>")
        .file("htdocs/a.shtml", "<!--#nonsense -->");
    let server = builder.clone().start();
    assert_eq!(server.get("/a.shtml").status, 200);
    let (said, _) = dropped(server);
    let said = said.expect("a panic");
    assert!(said.contains("[include:error]") && said.contains("nonsense"), "{said}");
    let server = builder.allow_log("unknown directive \"nonsense\"").start();
    assert_eq!(server.get("/a.shtml").status, 200);
    assert_eq!(dropped(server), (None, false));
}

#[test]
fn a_finding_of_the_wrapper_fails_the_test() {
    let script = "echo '==5== Invalid read of size 8' >&2; exec \"$@\"";
    let server = Server::builder().wrap(&["sh", "-c", script, "sh"]).start();
    assert!(server.console().starts_with("==5== Invalid"), "{}", server.console());
    let said = dropped(server).0.expect("a panic");
    assert!(said.contains("must not hold this:\n==5== Invalid read"), "{said}");
}

#[test]
fn an_httpd_that_ends_by_itself_fails_the_test() {
    let server = Server::builder().start();
    // Behind the kit's back.
    let killed = Command::new("kill").arg(server.pid().to_string()).status().unwrap();
    assert!(killed.success());
    server.wait_for("its end", || !proc::is_alive(server.pid()));
    let said = dropped(server).0.expect("a panic");
    assert!(said.contains("httpd ended by itself"), "{said}");
}

#[test]
fn an_httpd_that_the_test_ends_does_not() {
    let server = Server::builder().start();
    server.signal(server.pid(), Signal::TERM);
    assert_eq!(dropped(server), (None, false));
}

#[test]
fn a_broken_configuration_ends_a_restart() {
    let server = Server::builder().start();
    server.write_config(&(server.config() + "NoSuchDirective On\n"));
    let said = catch_unwind(AssertUnwindSafe(|| server.graceful())).unwrap_err();
    let said = *said.downcast::<String>().unwrap();
    assert!(said.contains("ended instead of restarting"), "{said}");
    assert!(said.contains("NoSuchDirective"), "{said}");
    let said = dropped(server).0.expect("a panic");
    assert!(said.contains("httpd ended by itself"), "{said}");
}

#[test]
fn a_process_left_behind_fails_the_test() {
    // A piped log with a child of its own, which ignores the signal that httpd sends to its group.
    let stubborn = "CustomLog \"|$trap '' TERM; tail -f /dev/null & exec cat\" testkit";
    let server = Server::builder().conf(stubborn).patience(Duration::from_secs(4)).start();
    // Not before it does: the shell itself minds the signal.
    server.wait_for("the child of the piped log", || {
        let grandchildren = |pid| proc::children(pid).unwrap_or_default();
        let mut all = server.children_pids().into_iter().flat_map(grandchildren);
        all.any(|pid| proc::title(pid).is_ok_and(|title| title == "tail -f /dev/null"))
    });
    let (said, _) = dropped(server);
    let said = said.expect("a panic");
    assert!(said.contains("left behind") && said.contains("tail -f /dev/null"), "{said}");
}

#[test]
fn a_root_is_kept_only_when_a_test_failed() {
    let server = Server::builder().start();
    assert!(server.root().join("htdocs").is_dir());
    assert_eq!(dropped(server), (None, false));
}

#[test]
fn logs_that_never_come_are_not_waited_for_without_end() {
    let server = Server::builder().patience(Duration::from_secs(1)).start();
    let begin = Instant::now();
    let waited = catch_unwind(AssertUnwindSafe(|| server.wait_log("no such line")));
    let said = *waited.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("`no such line` in error_log"), "{said}");
    assert!(begin.elapsed() < server.patience() + Duration::from_secs(5));
}

/// Not a test of its own: what the next one kills.
#[test]
#[ignore = "runs until it is killed"]
fn helper_that_is_killed() {
    let server = Server::builder().start();
    println!("\n{} {}", server.pid(), server.root().display());
    loop {
        std::thread::park();
    }
}

#[test]
fn httpd_dies_with_the_process_of_its_test() {
    let mut helper = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "checks::helper_that_is_killed"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(helper.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.contains("/httpd-")).unwrap();
    let (pid, root) = line.split_once(' ').unwrap();
    let pid = pid.parse().unwrap();
    assert!(proc::is_alive(pid));
    // SIGKILL: nothing of the helper's own can clean up.
    helper.kill().unwrap();
    helper.wait().unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while proc::is_alive(pid) {
        assert!(Instant::now() < end, "httpd {pid} lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(Path::new(root).is_dir());
    std::fs::remove_dir_all(root).unwrap();
}
