//! The cases against the stock module inside httpd, under each MPM.

use std::net::SocketAddr;
use std::time::Duration;

use httpd_testkit::{Server, mpm_tests};

use crate::case::{Level, Need, Step};
use crate::target::Target;
use crate::{cases, driver};

/// The probe inside httpd.
pub(crate) struct Embedded {
    pub(crate) server: Server,
}

impl Embedded {
    /// Returns a server with the probe at `/probe`, `files/` as its root, and its own error pages.
    pub(crate) fn builder() -> httpd_testkit::Builder {
        let mut builder = Server::builder()
            .module("mod_rust.so")
            .conf("RustAppAlias /probe probe")
            .conf("RustAppOption root {root}/files")
            .conf("RustAppOption note conformance")
            .conf("ErrorDocument 500 \"the server's own 500\"")
            .conf("ErrorDocument 416 \"the server's own 416\"");
        for (path, bytes) in cases::files() {
            builder = builder.file(&format!("files/{path}"), bytes);
        }
        for text in cases::all().iter().flat_map(|case| &case.logs).map(|(_, text)| text) {
            builder = builder.allow_log(text);
        }
        builder
    }

    pub(crate) fn start(builder: httpd_testkit::Builder) -> Self {
        let server = builder.start();
        for (path, _) in cases::files() {
            let path = server.root().join("files").join(path);
            let file = std::fs::File::options().write(true).open(path).expect("it was written");
            file.set_modified(cases::modified()).expect("a file of our own");
        }
        Self { server }
    }
}

impl Target for Embedded {
    fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    fn mount(&self) -> &str {
        "/probe"
    }

    fn patience(&self) -> Duration {
        self.server.patience()
    }

    fn lacks(&self) -> &[Need] {
        &[]
    }

    fn records(&self, level: Level, text: &str) -> Vec<String> {
        records(&self.server.error_log(), level, text)
    }
}

/// Returns the module's records in an ErrorLog.
pub(crate) fn records(log: &str, level: Level, text: &str) -> Vec<String> {
    let level = match level {
        Level::Error => "[rust:error]",
        Level::Warn => "[rust:warn]",
        Level::Info => "[rust:info]",
        Level::Debug => "[rust:debug]",
        Level::Trace => "[rust:trace1]",
    };
    let lines = log.lines().filter(|line| line.contains(level) && line.contains(text));
    lines.map(str::to_owned).collect()
}

mpm_tests! {
    fn embedded(mpm) {
        let target = Embedded::start(Embedded::builder().mpm(mpm));
        let children = target.server.children_pids();
        driver::run(&target, &cases::all());
        // The processes outlive all failures of their applications.
        assert_eq!(target.server.children_pids(), children);
    }
}

/// The probe tells its paths; each is asked for somewhere in the table.
#[test]
fn every_path_of_the_probe_has_a_case() {
    let target = Embedded::start(Embedded::builder());
    let answer = target.server.get("/probe/nothing");
    let paths: Vec<_> = answer.text().lines().filter(|line| line.starts_with('/')).collect();
    assert!(paths.len() > 20, "{answer:?}");
    let asked: Vec<String> = cases::all()
        .iter()
        .flat_map(|case| &case.steps)
        .filter_map(|step| match step {
            Step::Ask(ask, _) => Some(ask.target.clone()),
            Step::HeadLikeGet(target) => Some((*target).to_owned()),
            Step::Write(bytes) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                Some(text.split_once("{probe}")?.1.to_owned())
            }
            _ => None,
        })
        .collect();
    for path in paths {
        let name = path.split(['[', '…']).next().unwrap_or(path).trim_end_matches('/');
        let is_it = |target: &String| {
            target.strip_prefix(name).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
        };
        assert!(asked.iter().any(is_it), "no case asks for {name}");
    }
}
