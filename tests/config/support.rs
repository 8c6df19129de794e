//! Shared helpers of the tests: servers with the stock module, and `configtest` of a file.

use std::cell::Cell;

use httpd_testkit::{Builder, ConfigTest, Response, Server};

thread_local! {
    static IN_GROUP: Cell<bool> = const { Cell::new(false) };
}

/// Returns a server with the stock module.
pub(crate) fn stock() -> Builder {
    let builder = Server::builder().module("mod_rust.so");
    if !IN_GROUP.get() {
        return builder;
    }
    builder.conf("RustDaemonProcess stock threads=4\nRustProcessGroup stock")
}

/// Runs `test` with a [`stock`] whose applications are in a process group.
pub(crate) fn in_a_process_group(test: impl FnOnce()) {
    IN_GROUP.set(true);
    test();
    IN_GROUP.set(false);
}

/// Runs `httpd -t` with `lines` in a file named `own.conf`, so that the line numbers are theirs.
pub(crate) fn configtest(builder: Builder, lines: &str) -> ConfigTest {
    builder.file("conf/own.conf", lines).conf("Include {root}/conf/own.conf").configtest()
}

/// The line of the output that holds `needle`.
///
/// # Panics
/// When there is none, or when `httpd -t` was content.
#[track_caller]
pub(crate) fn refused(lines: &str, test: &ConfigTest, needle: &str) -> String {
    assert!(!test.ok, "httpd takes this:\n{lines}\n{}", test.output);
    let found = test.output.lines().find(|line| line.contains(needle));
    found.unwrap_or_else(|| panic!("no `{needle}` for\n{lines}\n{}", test.output)).to_owned()
}

/// Fails when `httpd -t` refuses `lines`.
#[track_caller]
pub(crate) fn taken(builder: Builder, lines: &str) {
    let test = configtest(builder, lines);
    assert!(test.ok, "httpd refuses this:\n{lines}\n{}", test.output);
}

/// Returns the value of `key` in the probe's response to `/environ` or `/config`, if present.
pub(crate) fn value(response: &Response, key: &str) -> Option<String> {
    assert_eq!(response.status, 200, "{response:?}");
    let start = format!("  \"{key}\": ");
    let line = response.text().lines().find_map(|line| line.strip_prefix(start.as_str()))?;
    Some(line.trim_end_matches(',').trim_matches('"').to_owned())
}

/// Returns the option `note` in the probe's response to `/config` at `mount`.
pub(crate) fn note(server: &Server, host: &str, mount: &str) -> String {
    let target = format!("{mount}/config");
    let response = server.request("GET", &target).header("Host", host).send();
    value(&response, "note").unwrap_or_else(|| panic!("no note at {target}: {response:?}"))
}
