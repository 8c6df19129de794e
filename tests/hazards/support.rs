//! The servers that the tests start, and what they look at most.

use std::io;
use std::path::Path;

use httpd_testkit::{Builder, Connection, Server, proc};

/// The response of the stock application `hello`.
pub(crate) const HELLO: &str = "Hello, world\n";

/// Returns the stock module with `hello` and `probe`.
pub(crate) fn stock() -> Builder {
    Server::builder()
        .module("mod_rust.so")
        .conf("RustAppAlias /hello mod_rust:hello\nRustAppAlias /probe probe")
}

/// Returns the stock module and the misbehaving module.
pub(crate) fn quirks() -> Builder {
    stock().module("mod_quirks.so").conf("RustAppAlias /quirks quirks")
}

/// Directives: `probe` at `path`, with `directives` in its section.
pub(crate) fn probe_at(path: &str, directives: &str) -> String {
    format!("RustAppAlias {path} probe\n<Location {path}>\n{directives}\n</Location>")
}

/// Directives: pages with the suffix `.shtml` may include others (mod_include).
pub(crate) const INCLUDES: &str = "AddOutputFilter INCLUDES .shtml\n\
                                   <Directory {htdocs}>\nOptions +Includes\n</Directory>";

/// The only child.
#[track_caller]
pub(crate) fn child(server: &Server) -> i32 {
    server.wait_for("the one child", || server.children_pids().len() == 1);
    server.children_pids()[0]
}

/// A connection on which `bytes` have been sent.
#[track_caller]
pub(crate) fn send(server: &Server, bytes: impl AsRef<[u8]>) -> Connection {
    let mut connection = server.connect();
    connection.write(bytes);
    connection
}

/// Returns the number of complete mappings of `path` in a process: under its name, and as a deleted
/// file.
pub(crate) fn mapped(pid: i32, path: &Path) -> io::Result<(usize, usize)> {
    let path = path.display().to_string();
    let maps = proc::maps(pid)?;
    // A mapping begins with the file's first page: address, permissions, offset, device, inode.
    let first = |line: &&str| line.split_whitespace().nth(2) == Some("00000000");
    let of_it: Vec<_> = maps.lines().filter(|line| line.contains(&path)).filter(first).collect();
    let deleted = of_it.iter().filter(|line| line.ends_with("(deleted)")).count();
    Ok((of_it.len() - deleted, deleted))
}

/// Returns the kernel's count of a process's write system calls.
pub(crate) fn writes(pid: i32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("/proc/<pid>/io");
    let count = io.lines().find_map(|line| line.strip_prefix("syscw: "));
    count.and_then(|count| count.parse().ok()).expect("syscw")
}
