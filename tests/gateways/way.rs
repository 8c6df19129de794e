//! One way to the application: a server, and the program behind it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use httpd_testkit::{
    Builder, Gateway, GatewayBuilder, Mpm, Server, WebServer, WebServerBuilder, find_program,
    is_open_program,
};

use crate::case::Level;
use crate::cases;
use crate::target::Target;

/// The stock applications as a program (apache/apps).
pub(crate) const PROGRAM: &str = "rust-gateway";

/// The mount point of the probe in the cases.
pub(crate) const MOUNT: &str = "/probe";

/// A server that asks the program, and the program.
pub(crate) struct Way {
    pub(crate) front: Front,
    /// None where the server starts the program itself.
    pub(crate) program: Option<Gateway>,
}

/// The server that the client connects to.
pub(crate) enum Front {
    Httpd(Box<Server>),
    Other(WebServer),
    /// The program itself, over HTTP.
    Program,
}

/// Returns the program with the probe at `mount`, and the files of the cases.
pub(crate) fn program(mount: &str) -> GatewayBuilder {
    let mut builder = Gateway::builder(PROGRAM).args(options("{root}", mount));
    for (path, bytes) in cases::files() {
        builder = builder.file(&format!("files/{path}"), bytes);
    }
    builder
}

/// Returns the program's options for files in `root`.
pub(crate) fn options(root: &str, mount: &str) -> Vec<String> {
    let words = [
        "--mount".to_owned(),
        format!("{mount}=probe"),
        "--option".into(),
        format!("probe:root={root}/files"),
        "--option".into(),
        "probe:note=conformance".into(),
        "--log-level".into(),
        "trace".into(),
    ];
    words.into()
}

/// Returns the files beside the program for a server that starts it.
pub(crate) fn files() -> Vec<(String, Vec<u8>)> {
    let files = cases::files().into_iter().map(|(path, bytes)| (format!("files/{path}"), bytes));
    let path = program_path();
    let copy = (!is_open_program(&path)).then(|| {
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{error}"));
        ("cgi-bin/program".to_owned(), bytes)
    });
    files.chain(copy).collect()
}

/// Returns the path of the program.
pub(crate) fn program_path() -> std::path::PathBuf {
    find_program(PROGRAM).unwrap_or_else(|error| panic!("{error}"))
}

/// Starts the program, and makes its files as old as the cases want them.
pub(crate) fn start(builder: GatewayBuilder) -> Gateway {
    let gateway = builder.start();
    make_old(gateway.root());
    gateway
}

/// Gives the files below `root` the time that the cases expect.
pub(crate) fn make_old(root: &std::path::Path) {
    let modified: SystemTime = cases::modified();
    for (path, _) in cases::files() {
        let file = std::fs::File::options().write(true).open(root.join("files").join(path));
        file.and_then(|file| file.set_modified(modified)).expect("a file of our own");
    }
}

/// A way before its server is started.
pub(crate) struct Plan {
    pub(crate) server: Planned,
    pub(crate) program: Option<Gateway>,
}

/// The server of a [`Plan`].
pub(crate) enum Planned {
    Httpd(Httpd),
    Other(WebServerBuilder),
    /// The program itself, over HTTP.
    None,
}

/// An httpd of a [`Plan`].
pub(crate) struct Httpd {
    pub(crate) mpm: Mpm,
    pub(crate) modules: Vec<&'static str>,
    /// For the main server.
    pub(crate) main: &'static str,
    /// The configuration that mounts the application, for any server.
    pub(crate) mount: String,
    /// The content of `cgi-bin/shop`.
    pub(crate) script: Option<String>,
}

impl Httpd {
    /// Adds the script and the files that it serves. What the program logs may be in httpd's log.
    pub(crate) fn add_script(&self, mut builder: Builder) -> Builder {
        for text in cases::all().iter().flat_map(|case| &case.logs).map(|(_, text)| text) {
            builder = builder.allow_log(text);
        }
        if let Some(script) = &self.script {
            builder = builder.program("cgi-bin/shop", script);
            for (path, bytes) in files() {
                builder = builder.program(&path, bytes);
            }
        }
        builder
    }
}

impl Plan {
    /// Starts the server.
    pub(crate) fn start(self) -> Way {
        let front = match self.server {
            Planned::Httpd(plan) => {
                let builder = Server::builder().mpm(plan.mpm).threads(16);
                let builder =
                    plan.modules.iter().fold(builder, |builder, module| builder.load(module));
                let server = plan.add_script(builder).conf(plan.main).conf(&plan.mount).start();
                if plan.script.is_some() {
                    make_old(server.root());
                }
                Front::Httpd(Box::new(server))
            }
            Planned::Other(builder) => {
                let server = builder.start();
                if self.program.is_none() {
                    make_old(server.root());
                }
                Front::Other(server)
            }
            Planned::None => Front::Program,
        };
        Way { front, program: self.program }
    }
}

impl Way {
    fn logs(&self) -> String {
        let front = match &self.front {
            Front::Httpd(server) => server.error_log() + &server.console(),
            Front::Other(server) => server.error_log(),
            Front::Program => String::new(),
        };
        front + &self.program.as_ref().map(Gateway::log).unwrap_or_default()
    }
}

impl Target for Way {
    fn addr(&self) -> SocketAddr {
        match &self.front {
            Front::Httpd(server) => server.addr(),
            Front::Other(server) => server.addr(),
            Front::Program => {
                let addr = self.program.as_ref().map(|program| program.addr("http"));
                addr.and_then(|addr| addr.parse().ok()).expect("a program that listens over TCP")
            }
        }
    }

    fn mount(&self) -> &str {
        MOUNT
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn own_page(&self, status: u16) -> Option<&'static str> {
        match status {
            500 => Some("<title>500 Internal Server Error</title>"),
            416 => Some("<title>416 Range Not Satisfiable</title>"),
            _ => None,
        }
    }

    fn records(&self, level: Level, text: &str) -> Vec<String> {
        let records = records(&self.logs());
        let fits = |(of, record): &(Level, String)| *of == level && record.contains(text);
        records.into_iter().filter(fits).map(|(_, record)| record).collect()
    }
}

const LEVELS: [(&str, Level); 5] = [
    ("[error] ", Level::Error),
    ("[warn] ", Level::Warn),
    ("[info] ", Level::Info),
    ("[debug] ", Level::Debug),
    ("[trace] ", Level::Trace),
];

/// Returns the program's records in its own log, or in lines of the web server's.
fn records(logs: &str) -> Vec<(Level, String)> {
    let mut records = Vec::new();
    for line in logs.lines() {
        let starts = LEVELS.iter().flat_map(|(mark, level)| {
            line.match_indices(mark).map(|(at, _)| (at, at + mark.len(), *level))
        });
        let mut starts: Vec<_> = starts.filter(|(_, end, _)| is_ours(&line[*end..])).collect();
        starts.sort_unstable_by_key(|(at, ..)| *at);
        let ends = starts.iter().skip(1).map(|(at, ..)| *at).chain([line.len()]);
        for ((_, start, level), end) in std::iter::zip(&starts, ends.collect::<Vec<_>>()) {
            records.push((*level, without_request(&line[*start..end]).to_owned()));
        }
    }
    // Without another user, tests run as root, and the program logs that.
    records.retain(|(_, record)| !record.contains("the applications run as root"));
    records
}

/// Returns a record without the request behind it, whose line may contain the same text.
fn without_request(record: &str) -> &str {
    // The program's own log: `text (GET /target, client address, protocol)`; nginx's: `text" while …`.
    let end = record.find("\" while ").into_iter().chain(record.rfind(" (")).min();
    &record[..end.unwrap_or(record.len())]
}

/// Returns whether a line is the program's: nginx's own lines continue with its process, as in
/// `[error] 123#123: `.
fn is_ours(rest: &str) -> bool {
    !rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('#')
}

#[test]
fn finds_records() {
    let logs = "[2026-11-22T18:26:33.336553Z] [warn] [23506] one\n\
                2026/11/22 18:26:35 [error] 23528#23528: *633 FastCGI sent in stderr: \"[error] two \
                [info] three\" while\n[proxy_fcgi:error] [pid 1] AH01071: Got error '[debug] four'\n";
    let found = records(logs);
    let text: Vec<_> = found.iter().map(|(_, text)| text.split(' ').next().unwrap_or("")).collect();
    assert_eq!(text, ["[23506]", "two", "three\"", "four'"], "{found:?}");
}
