//! Counts of one request: instructions in user space and system calls, which hardly depend on how
//! busy the machine is.
//!
//! A server with one small child gets a few requests on one kept connection, another one gets many;
//! the difference, divided, is one request. Start, stop and warm-up cancel out.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::account::Method;
use crate::callgrind;
use crate::check;
use crate::client::{Client, request};
use crate::endpoint::{Endpoint, Transport};
use crate::plan::Plan;
use crate::plan::Size;
use crate::results::Count;
use crate::server::{Launch, Server, Tool};
use crate::strace;

/// Everything is slow under these tools.
const PATIENCE: Duration = Duration::from_secs(120);
/// Functions kept for the JSON file.
const FUNCTIONS: usize = 200;

/// Counts one endpoint of one peer and says so on standard output.
///
/// # Errors
/// Fails when the peer does not start or answer, or a tool leaves no counts.
pub(crate) fn count(
    plan: &Plan,
    endpoint: Endpoint,
    method: &Method,
    folder: &Path,
) -> Result<Count> {
    let (few, many) = endpoint.count_requests();
    let difference = f64::from(many - few);
    let counter = Counter { plan, endpoint, method, folder };

    let mut costs = callgrind::Costs::new();
    if plan.peer.callgrind {
        let (short, files) = counter.callgrind(few)?;
        let (long, files_again) = counter.callgrind(many)?;
        if files != files_again {
            bail!("callgrind saw {files} processes, then {files_again}");
        }
        costs = callgrind::difference(&long, &short, difference);
    }
    let (short, long) = (counter.strace(few)?, counter.strace(many)?);
    let mut functions = callgrind::ranking(&costs, true, 1.0);
    functions.truncate(FUNCTIONS);
    let count = Count {
        endpoint,
        peer: plan.peer.name,
        instructions: plan.peer.callgrind.then(|| callgrind::total(&costs)),
        instructions_to_limit: None,
        instructions_to_plain: None,
        system_calls: Some(strace::difference(&long, &short, difference)),
        objects: callgrind::ranking(&costs, false, 1.0),
        functions,
    };
    let calls: f64 = count.system_calls.iter().flatten().map(|(_, calls)| calls).sum();
    println!(
        "{:<8} {:<16} {:>9} instructions, {calls:.1} system calls a request",
        endpoint.name(),
        plan.peer.name,
        count.instructions.map_or("-".into(), |count| format!("{count:.0}")),
    );
    Ok(count)
}

struct Counter<'a> {
    plan: &'a Plan,
    endpoint: Endpoint,
    method: &'a Method,
    folder: &'a Path,
}

impl Counter<'_> {
    fn callgrind(&self, requests: u32) -> Result<(callgrind::Costs, usize)> {
        let folder = self.folder()?;
        self.send(requests, Tool::Callgrind(folder.clone())).context("under valgrind")?;
        callgrind::read_folder(&folder)
    }

    fn strace(&self, requests: u32) -> Result<strace::Calls> {
        let folder = self.folder()?;
        self.send(requests, Tool::Strace(folder.clone())).context("under strace")?;
        // strace writes after the last of the processes that it watched has gone.
        let deadline = Instant::now() + PATIENCE;
        loop {
            match strace::read_folder(&folder) {
                Some(calls) => return Ok(calls),
                None if Instant::now() > deadline => {
                    bail!("strace left no summary in `{}`", folder.display())
                }
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Returns an empty folder that httpd's children, who are somebody else, can write to.
    fn folder(&self) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        if self.folder.exists() {
            std::fs::remove_dir_all(self.folder)?;
        }
        std::fs::create_dir_all(self.folder)?;
        std::fs::set_permissions(self.folder, std::fs::Permissions::from_mode(0o777))?;
        Ok(self.folder.to_owned())
    }

    fn send(&self, requests: u32, tool: Tool) -> Result<()> {
        let launch = Launch {
            method: self.method,
            tool,
            size: Size::Small,
            transport: Transport::Plain,
            patience: PATIENCE,
        };
        let server = Server::start(self.plan, &launch)?;
        let mut client = Client::connect(server.port(), PATIENCE)?;
        let body = if self.endpoint.post().is_some() { check::echo_body() } else { Vec::new() };
        let request = request(self.endpoint, "", self.endpoint.headers(), &body);
        for _ in 0..requests {
            let response = client.send(&request)?;
            if response.status != 200 {
                bail!("{} gives {}", self.endpoint.path(), response.status);
            }
        }
        drop(client);
        server.stop()
    }
}
