//! The program on one of the hosts.

use std::io;

use httpd_testkit::{Gateway, Signal, proc};
use rustix::process::{Pid, kill_process_group};

use crate::network::{Host, Network};

/// The stock applications as a program (apache/apps).
pub(crate) const PROGRAM: &str = "rust-gateway";

/// A host with the program, which may have been killed.
pub(crate) struct Member {
    pub(crate) host: Host,
    /// The protocol, and the port as the page has it.
    listens: (&'static str, u16),
    front: String,
    program: Option<Gateway>,
}

impl Member {
    /// Starts the program on the host `name`, listening for `protocol` at `port`.
    pub(crate) fn start(network: &Network, name: char, protocol: &'static str, port: u16) -> Self {
        let front = network.fill("10.0.0.1");
        let mut member =
            Self { host: network.host(name), listens: (protocol, port), front, program: None };
        member.revive();
        member
    }

    /// Starts the program on the hosts `a` and `b`.
    pub(crate) fn pair(network: &Network, protocol: &'static str, port: u16) -> [Self; 2] {
        ['a', 'b'].map(|name| Self::start(network, name, protocol, port))
    }

    /// Starts the program again, where it was, after [`Member::kill`] or [`Member::stop`].
    pub(crate) fn revive(&mut self) {
        let (protocol, port) = self.listens;
        let mut builder = Gateway::builder(PROGRAM)
            .under(self.host.under())
            .args(["--mount", "/shop=probe", "--mount", "/shop/hello=hello"])
            .arg(format!("--option=probe:note={}", self.host.name))
            .args(["--access-log", "{root}/access_log"])
            .arg(format!("--{protocol}={}:{port}", self.host.address));
        if protocol == "http" {
            builder = builder.arg(format!("--trusted-proxy={}", self.front));
        }
        self.program = Some(builder.start());
    }

    /// Kills every process of the program at once, in any state.
    pub(crate) fn kill(&mut self) {
        let program = self.program.take().expect("a program that runs");
        self.signal_all(&program, Signal::KILL);
        // It has ended, and was not waited for: this tells the kit who ended it.
        program.signal(program.pid(), Signal::KILL);
        program.stop();
    }

    /// Tells the program to finish its requests and end, and waits until it has.
    pub(crate) fn stop(&mut self) {
        // The kit fails the test if it does not end well.
        self.program = None;
    }

    /// Stops every process of the program where it is: what it is sent waits unread.
    pub(crate) fn freeze(&self) {
        let program = self.program.as_ref().expect("a program that runs");
        self.signal_all(program, Signal::STOP);
        program.wait_for("its threads to stop", || {
            let pids = proc::in_session(program.pid()).expect("/proc");
            pids.into_iter().all(is_stopped)
        });
    }

    /// Returns the requests that it has answered since its start, one line each.
    pub(crate) fn access_log(&self) -> String {
        let program = self.program.as_ref().expect("a program that runs");
        std::fs::read_to_string(program.root().join("access_log")).expect("the access log")
    }

    fn signal_all(&self, program: &Gateway, signal: Signal) {
        let group = Pid::from_raw(program.pid()).expect("a process id");
        let sent: io::Result<()> = kill_process_group(group, signal).map_err(Into::into);
        sent.unwrap_or_else(|error| panic!("host {}: {error}", self.host.name));
    }
}

/// Returns whether every thread of a process has stopped.
fn is_stopped(pid: i32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let mut states = tasks.map(|task| {
        let status = task.map(|task| task.path().join("status")).and_then(std::fs::read_to_string);
        status.is_ok_and(|status| status.contains("\nState:\tT"))
    });
    states.all(|stopped| stopped)
}
