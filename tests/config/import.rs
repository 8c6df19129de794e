//! RustAppImport: applications that answer nowhere, and processes that take no requests.

use httpd_testkit::proc;

use crate::support::{configtest, refused, stock, taken};

#[test]
fn a_service_process_builds_what_is_imported_and_takes_no_requests() {
    let server = stock()
        .conf("RustDaemonProcess mailer threads=0")
        .conf("RustAppImport probe process-group=mailer")
        .load("status")
        .conf("<Location /server-status>\nSetHandler server-status\n</Location>")
        .start();
    server.wait_for("the service process is ready", || {
        server.get("/server-status?auto").text().contains("RustGroup[mailer]Ready: 1\n")
    });
    let status = server.get("/server-status?auto").text().to_owned();
    assert!(status.contains("RustGroup[mailer]Threads: 0\n"), "{status}");
    // The one in reserve may be forked after the other is ready.
    server.wait_for("a process and one in reserve", || {
        let titles = server.children_pids().into_iter().filter_map(|pid| proc::title(pid).ok());
        titles.filter(|title| title.contains("(rust:mailer)")).count() == 2
    });
}

#[test]
fn imports_must_exist() {
    taken(stock(), "RustDaemonProcess a\nRustAppImport hello process-group=a\n");
    for (lines, needle) in [
        ("RustAppImport hello", "RustAppImport takes the name of an application"),
        ("RustAppImport hello a", "option \"a\": expected process-group=name"),
        (
            "RustAppImport hello process-group=%{GLOBAL}",
            "option \"process-group=%{GLOBAL}\": expected the name of a process group",
        ),
        ("RustAppImport hello process-group=b", "RUST0105: "),
        ("RustDaemonProcess a\nRustAppImport nothing process-group=a", "RUST0101: "),
        (
            "RustDaemonProcess a threads=0\nRustAppAlias /x hello process-group=a",
            "that process group takes no requests, as it has threads=0",
        ),
        (
            "RustDaemonProcess a threads=0\nRustProcessGroup a",
            "that process group takes no requests, as it has threads=0",
        ),
    ] {
        refused(lines, &configtest(stock(), lines), needle);
    }
}
