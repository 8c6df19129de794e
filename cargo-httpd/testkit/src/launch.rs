//! From a description to a server that serves.

use std::fmt;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, ExitStatus};
use std::time::Instant;

use crate::builder::Builder;
use crate::log;
use crate::process::Process;
use crate::root::Root;
use crate::server::{Parts, Server};
use crate::wait;

/// A server that did not start. Displays as the reason, the configuration, the command and what
/// httpd said.
#[derive(Debug)]
pub struct StartError(String);

impl StartError {
    pub(crate) const fn new(report: String) -> Self {
        Self(report)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// Somebody else may take a port between the search and httpd's bind.
const ATTEMPTS: u32 = 10;

pub(crate) fn start(builder: Builder) -> Result<Server, StartError> {
    let root = builder.make_root().map_err(StartError)?;
    for _ in 1..ATTEMPTS {
        match attempt(&builder, &root) {
            Ok(parts) => return Ok(Server::new(builder, root, parts)),
            Err(Failure::PortTaken(_)) => {}
            Err(Failure::Other(report)) => return Err(StartError(report)),
        }
    }
    match attempt(&builder, &root) {
        Ok(parts) => Ok(Server::new(builder, root, parts)),
        Err(Failure::PortTaken(report) | Failure::Other(report)) => Err(StartError(report)),
    }
}

/// Everything that somebody needs who looks for the reason of a failure.
pub(crate) fn report(headline: &str, command: &str, root: &Root) -> String {
    let read = |name| log::read(&root.path().join(name));
    let config: String = (1..)
        .zip(read("httpd.conf").lines())
        .map(|(number, line)| format!("{number:4}  {line}\n"))
        .collect();
    format!(
        "{headline}\n--- httpd.conf ---\n{config}--- command ---\n{command}\n--- output ---\n{}\n\
         --- error_log (its end) ---\n{}\n---",
        log::tail(&read("console")),
        log::tail(&read("error_log"))
    )
}

enum Failure {
    PortTaken(String),
    Other(String),
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Other(text)
    }
}

fn attempt(builder: &Builder, root: &Root) -> Result<Parts, Failure> {
    let (port, tls_port) = free_ports().map_err(|error| format!("no free port: {error}"))?;
    let tls_port = builder.tls.then_some(tls_port);
    builder.write_config(root, port, tls_port)?;
    let console = root.path().join("console");
    let console = File::create(console).map_err(|error| format!("cannot write: {error}"))?;
    let command = command(builder, root, console)?;
    let shown = format!("{command:?}");
    let failed = |headline: &str| report(headline, &shown, root);
    // The log of an attempt before this one would look like a server that serves.
    let error_log = root.path().join("error_log");
    let _ = std::fs::remove_file(&error_log);
    let mut process = Process::spawn("httpd", command)
        .map_err(|error| failed(&format!("httpd cannot be started: {error}")))?;
    let patience = builder.deadline() * 2;
    let state = wait::until(Instant::now() + patience, || {
        // In this order: what a process wrote before it ended is there once it has ended.
        let ended = process.try_wait().transpose();
        if log::generations(&log::read(&error_log)) > 0 {
            return Some(State::Serves);
        }
        Some(State::Ended(ended?))
    });
    match state {
        Some(State::Serves) => {}
        Some(State::Ended(status)) => {
            let headline = match status {
                Ok(status) => format!("httpd ended instead of serving: {status}"),
                Err(error) => format!("httpd cannot be waited for: {error}"),
            };
            let report = failed(&headline);
            return Err(if report.contains("AH00072") {
                Failure::PortTaken(report)
            } else {
                Failure::Other(report)
            });
        }
        None => {
            let headline = format!("httpd does not serve after {patience:?}");
            return Err(Failure::Other(failed(&headline)));
        }
    }
    let pid = std::fs::read_to_string(root.path().join("run/httpd.pid"));
    let pid = pid.ok().and_then(|text| text.trim().parse().ok());
    let pid = pid.ok_or_else(|| failed("httpd serves, but wrote no pid into its PidFile"))?;
    Ok(Parts { process, pid, port, tls_port, command: shown })
}

enum State {
    Serves,
    Ended(std::io::Result<ExitStatus>),
}

fn command(builder: &Builder, root: &Root, console: File) -> Result<Command, String> {
    let mut command = builder.command()?;
    command.arg("-DFOREGROUND").arg("-f").arg(root.path().join("httpd.conf"));
    // The stacks of panics would be lines in every test.
    command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    command.envs(builder.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(root.path()).stdin(std::process::Stdio::null());
    let duplicate = console.try_clone().map_err(|error| format!("cannot duplicate: {error}"))?;
    command.stdout(duplicate).stderr(console);
    Ok(command)
}

/// Two ports that nobody listens on.
pub(crate) fn free_ports() -> std::io::Result<(u16, u16)> {
    // Both at once, so that they differ.
    let one = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok((one.local_addr()?.port(), other.local_addr()?.port()))
}
