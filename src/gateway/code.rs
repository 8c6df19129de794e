//! The stable codes of log lines: each with its level, its text, its cause and its remedy.
//!
//! docs/errors.md has a section for each; tests/errors.rs compares the two. A code keeps its
//! number, and a number that falls out of use is not given again.

use std::fmt;

/// The weight of a log line: httpd's levels of the same names, and its trace1 for `Trace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// Something worth knowing.
    Info,
    /// Detail for the search of a fault.
    Debug,
    /// Every step.
    Trace,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $level:expr, $text:literal: $cause:literal; $remedy:literal;)*) => {
        /// A failure, or an event, that has a line of its own in the log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Code {
            $(#[doc = $text] $name = $number,)*
        }

        impl Code {
            /// Every code, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn entry(self) -> CodeEntry {
                match self {
                    $(Self::$name => CodeEntry {
                        level: $level,
                        text: $text,
                        cause: $cause,
                        remedy: $remedy,
                    },)*
                }
            }
        }
    };
}

struct CodeEntry {
    level: Option<Level>,
    text: &'static str,
    cause: &'static str,
    remedy: &'static str,
}

impl Code {
    /// Returns the usual level of the code's lines. A line may matter less where it is expected.
    /// A start-up code has no level: its lines go out whatever LogLevel says.
    #[must_use]
    pub const fn level(self) -> Level {
        match self.entry().level {
            Some(level) => level,
            None => Level::Error,
        }
    }

    /// Returns whether the code belongs to the reading of the configuration.
    #[must_use]
    pub const fn is_start_up(self) -> bool {
        self.entry().level.is_none()
    }

    /// Returns the failure in a few words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        self.entry().text
    }

    /// Returns the cause, as docs/errors.md begins to tell it.
    #[must_use]
    pub const fn cause(self) -> &'static str {
        self.entry().cause
    }

    /// Returns the remedy, as docs/errors.md begins to tell it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        self.entry().remedy
    }

    /// Returns a log line: the code, then `message`.
    pub fn line(self, message: impl fmt::Display) -> String {
        format!("{self}: {message}")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RUST{:04}", *self as u16)
    }
}

codes! {
    HookPanicked = 1, Some(Level::Error), "a hook panicked, or failed after its response had begun":
        "A hook, a directive's function or a configuration record of the module panicked, or a \
         hook failed after its response had begun.";
        "Fix the module; the line names the file and the line of the panic.";
    ApplicationPanicked = 2, Some(Level::Error), "the application panicked":
        "The application panicked, or its body panicked while it was sent.";
        "Fix the application; the line names the file and the line of the panic.";
    ClientGone = 3, Some(Level::Debug), "the client went away":
        "The client closed its connection, or its sending side, before the response was complete.";
        "None is needed.";
    InputFailed = 4, Some(Level::Info), "the request body could not be read":
        "The request body could not be read, and the application returned that error.";
        "Raise `LimitRequestBody` or the application's own limit; for a 408 see `Timeout` and \
         `RequestReadTimeout`.";
    ApplicationFailed = 5, Some(Level::Error), "the application returned an error":
        "The application, or its body, returned an error.";
        "Fix what the error names; the application wrote the text.";
    ContractBroken = 6, Some(Level::Error), "the application broke the contract":
        "The application broke a rule of the contract.";
        "Fix the application; wrap it in `gateway::validate::Validate` in tests, which finds such \
         faults earlier.";
    NotBuilt = 7, Some(Level::Error), "the application cannot be built":
        "The application's factory returned an error, panicked, or refused its options.";
        "Fix what the text names; factories run as `User`, not as root.";
    ClosePanicked = 9, Some(Level::Error), "closing the response body panicked":
        "A function that runs when the body is closed (`on_close`, a `Drop`) panicked after the \
         response was sent.";
        "Fix the application; the line names the file and the line of the panic.";
    BodyDropped = 10, Some(Level::Warn), "a body is dropped, as its status has none":
        "The application returned a body with status 204, 205 or 304, which cannot have one (RFC \
         9110, 6.4.1 and 15.3.6).";
        "Return `Body::empty()` with these statuses.";
    OutputFailed = 11, Some(Level::Error), "an output filter failed":
        "A filter of httpd (DEFLATE, SUBSTITUTE, a filter of another module) refused the \
         response; the number is an error of APR or of the system.";
        "Read the filter's own line in the log; remove the filter to confirm that it is the \
         cause.";
    NoResources = 18, Some(Level::Error), "the process lacks threads or descriptors":
        "The process lacks the threads or descriptors that a service needs.";
        "Raise the limit, or lower the numbers of processes and threads.";
    EnvironUnanswered = 19, Some(Level::Error), "another thread read the environ and got no answer":
        "A service gave its `ServiceEnviron` to another thread and blocks until that thread ends.";
        "Read the variable before the other thread starts, or wait for it with an `await` \
         (`spawn_blocking(…).await`).";
    DaemonDied = 20, Some(Level::Error), "the daemon process ended before it answered":
        "The daemon process ended before it sent the head of the response.";
        "Read RUST0031 in the main server's log, which names the signal or the exit status; raise \
         the time-out if the process exceeded one.";
    DaemonBroke = 21, Some(Level::Error), "the daemon process ended before the response's end":
        "The daemon process ended, or violated the bridge's protocol, after it sent the head of \
         the response.";
        "Read RUST0031 in the main server's log; report a protocol violation with its line.";
    DaemonUnreachable = 22, Some(Level::Error), "no daemon process could be reached":
        "No daemon process of the group became ready, or no connection to one succeeded.";
        "Fix what the row above names, or raise `connect-timeout`.";
    QueueFull = 23, Some(Level::Error), "the queue for a thread is full":
        "Every thread is busy, and `queue-size` (`--queue-size` of a program) requests already wait.";
        "Raise `threads`, `processes`, `max-processes` or `queue-size`; for a program `--threads`, \
         `--workers` or `--queue-size`.";
    CircuitOpen = 24, Some(Level::Error), "the process group's processes fail to start":
        "The last starts of the group's processes failed, and no process is ready.";
        "Fix what RUST0031 or RUST0033 names.";
    DaemonSilent = 25, Some(Level::Error), "the daemon process sent nothing for too long":
        "The application did not answer, read or send for `socket-timeout` (httpd's `Timeout` if \
         that is 0).";
        "Raise `socket-timeout` if the application may pause for that long.";
    QueueTimeout = 26, Some(Level::Error), "the request waited for a thread for too long":
        "The request waited for a thread for longer than `queue-timeout` (`--queue-timeout` of a \
         program).";
        "Raise `threads` or `processes` (for a program `--threads` or `--workers`), or find out why \
         requests hang.";
    RequestTimeout = 27, Some(Level::Error), "the request took too long":
        "The application worked on the request for longer than `request-timeout` \
         (`--request-timeout` of a program).";
        "Limit how long the application waits for other services, or raise the limit. \
         mod_status and `cargo httpd groups` show the request of each thread of a process group.";
    BridgeRefused = 28, Some(Level::Error), "the bridge refused a message":
        "A message between the httpd child and the daemon process violates the rules of the \
         bridge ([bridge.md](bridge.md)).";
        "Send fewer or shorter headers and variables if the head is too large; otherwise report \
         the line.";
    GroupRefused = 29, Some(Level::Error), "the chosen process group may not be used here":
        "The chosen process group does not exist, or RustRestrictProcess does not list it.";
        "Correct the variable that names the group, or the list.";
    EmbeddedRefused = 30, Some(Level::Error), "RustRestrictEmbedded refused the request":
        "RustRestrictEmbedded forbids embedded mode, and no process group is chosen for the \
         request.";
        "Choose a process group with `process-group=` of the alias or with RustProcessGroup.";
    DaemonEnded = 31, Some(Level::Error), "a daemon process ended by itself":
        "A daemon process ended unexpectedly: a fault, `abort`, `exit`, a signal, or a lack of \
         memory.";
        "Read the application's own lines before this one, its core file (`CoreDumpDirectory`) \
         and the kernel's log.";
    DaemonRecycled = 32, Some(Level::Info), "a daemon process takes no more requests":
        "A daemon process is replaced, or stops because the group needs fewer processes.";
        "None is needed. After the warning, raise `--memory-limit`.";
    DaemonNotBuilt = 33, Some(Level::Error), "a daemon process cannot build its applications":
        "A factory returned an error, panicked, or took longer than `startup-timeout`.";
        "Fix what the text names; factories run as the group's `user`, in its `home` and \
         `chroot`.";
    DaemonNotSetUp = 34, Some(Level::Error), "a daemon process cannot be set up":
        "A process group or one of its processes could not be set up or forked.";
        "Fix what the line names; raise httpd's limits for `Too many open files` (`ulimit -n`, \
         `LimitNOFILE=`).";
    SlowRequest = 35, Some(Level::Warn), "a request was slow":
        "The request took longer than [RustSlowRequests](directives.md#rustslowrequests) allows.";
        "Add threads if `queue` is long, and speed up the application if `application` is long.";
    PeerRefused = 36, Some(Level::Warn), "a daemon process refused a connection":
        "A peer connected to a daemon process without permission, or violated the bridge's \
         protocol.";
        "Find the program with the process id in the line; other programs of httpd's user can \
         reach the sockets.";
    DrainAbandoned = 37, Some(Level::Warn), "requests outlasted the time to end":
        "A process still had requests when its time to finish ran out.";
        "Raise the time-out that the line names, or find out why requests take so long.";
    RequestResent = 38, Some(Level::Info), "a request goes to another daemon process":
        "The daemon process ended, or was replaced, before it took the request.";
        "None is needed.";
    OldDaemonEnded = 39, Some(Level::Error), "a daemon process of an earlier configuration ended":
        "A daemon process of an earlier configuration ended unexpectedly.";
        "Read the application's own lines before this one, as for RUST0031.";
    CannotAccept = 40, Some(Level::Error), "connections cannot be accepted":
        "The process has no descriptors or no memory for another connection.";
        "Raise the limit of open files (`ulimit -n`, `LimitNOFILE=`), or lower the number of \
         connections.";
    WorkerPanicked = 41, Some(Level::Error), "a worker thread failed":
        "A worker thread panicked in mod_rust's own code, or the system refused a thread.";
        "Report the line if it names a panic; otherwise raise the limit that it names.";
    ExitCalled = 42, Some(Level::Error), "the application called exit":
        "The application, or a library that it uses, called `exit`.";
        "Return an error from the application instead.";
    StateNotDropped = 43, Some(Level::Warn), "the state of the applications was not dropped":
        "The process ended, and a `Drop` in the state of an application panicked or took too long.";
        "Mend the `Drop`; give it less to do, or close connections before the process ends.";
    AsyncDecided = 44, Some(Level::Info), "whether requests that wait hold a thread":
        "A request of a service had to wait, for the first time in this process; RustAsync is Auto.";
        "None is needed; if requests hold their threads, the line says why.";
    StreamEnded = 45, Some(Level::Info), "a stream did not end with its process":
        "An httpd child had to end, and an endless response or a WebSocket went on for too long.";
        "Let the application end its streams when `mod_rust::ending()` is ready.";
    NotMounted = 50, Some(Level::Info), "no application is mounted at the path":
        "No `--mount` is a prefix of the request's path (SCRIPT_NAME and PATH_INFO).";
        "Add a mount, or correct the path that the web server sends; the line names the request's \
         target.";
    RedirectLoop = 51, Some(Level::Error), "too many internal redirects":
        "The applications redirect the request in a loop.";
        "Find the loop and remove it.";
    AddressRefused = 52, Some(Level::Warn), "a peer's address may not connect":
        "The variable FCGI_WEB_SERVER_ADDRS does not list the address of the peer.";
        "Add the address to the variable, or find out which program connects.";
    HeadTimeout = 53, Some(Level::Warn), "a peer did not send its request head in time":
        "The peer did not send the head of a request within `--head-timeout`, or did not begin \
         another within `--keep-alive`.";
        "Let only web servers connect.";
    PeerViolation = 54, Some(Level::Warn), "a peer broke the protocol":
        "A peer sent bytes that the listener's protocol does not allow, or a head longer than \
         `--max-head`.";
        "Configure the web server for the listener's protocol; raise `--max-head` for a head that \
         is too long.";
    ConnectionsFull = 55, Some(Level::Warn), "there are as many connections as allowed":
        "The program has as many connections as `--max-connections` allows.";
        "Raise `--max-connections` or `--workers`, or let the web server keep fewer connections.";
    SendTimeout = 56, Some(Level::Warn), "a peer did not take its response in time":
        "The web server did not read the response for `--send-timeout`, usually because its own \
         client does not read.";
        "None is needed for single lines; let the web server buffer responses (nginx does by \
         default).";
    RequestsFull = 57, Some(Level::Warn), "there are as many requests as allowed":
        "A web server sends more requests at once than `--max-connections` allows.";
        "Raise `--max-connections` or `--workers`.";
    HeadsFull = 60, Some(Level::Warn), "unfinished request heads hold as many bytes as allowed":
        "Clients began large request heads and did not finish them.";
        "Lower `--head-timeout` or `--max-head`, or let a web server in front read the heads.";
    WorkerEnded = 70, Some(Level::Error), "a worker process ended by itself":
        "A worker process ended unexpectedly: a fault, `abort`, a signal, or a lack of memory.";
        "Read the application's own lines before this one.";
    RestartFailed = 71, Some(Level::Error), "a restart failed":
        "After SIGHUP or SIGUSR2, a worker of the new program did not become ready.";
        "Fix what the text names, then send the signal again.";
    CannotServe = 72, Some(Level::Error), "the program cannot serve":
        "The first workers could not build their applications, or a process lacks descriptors or \
         threads.";
        "Fix what the text names.";
    LogNotReopened = 74, Some(Level::Error), "a log cannot be reopened":
        "After SIGUSR1, the file of a log could not be opened.";
        "Give the master's user write access to the log's folder. Remove another user's link or file.";
    WorkerStopped = 75, Some(Level::Warn), "a worker process was ended":
        "A signal ended a worker that was already stopping.";
        "None is needed; for signal 9, see RUST0037.";
    UnknownApplication = 101, None, "an application is not known":
        "A directive names an application that no loaded module has, or that several modules \
         have.";
        "Correct the name, load the module, or write `module:name`.";
    WrongOption = 102, None, "an application's options are wrong":
        "The options of a mount or section differ from those that the application declares: one \
         is missing, or a value has another type.";
        "Correct the option; the line names its place and the allowed values.";
    UnknownOption = 103, None, "an option is not known":
        "No application to which the line applies has an option of that name.";
        "Correct the name, or move the line to the section where the application is mounted.";
    OlderHttpd = 104, None, "httpd is older than its headers":
        "The module was built for a newer httpd than the one that loads it.";
        "Build the module on the system that runs it, or on one with an older httpd.";
    UnknownGroup = 105, None, "a process group is not known":
        "RustProcessGroup, RustRestrictProcess or `process-group=` names a group that the virtual \
         host does not have.";
        "Correct the name, or define the group in the main server or in this virtual host.";
    NoGroupChosen = 106, None, "no process group is chosen":
        "RustRestrictEmbedded is on, and an application is mounted without a process group.";
        "Choose a process group, or remove RustRestrictEmbedded.";
    WrongGroup = 107, None, "a process group cannot be made":
        "A process group cannot be set up as RustDaemonProcess describes it.";
        "Make the account or the folder, or name another; write the number of an account as \
         `#1000`.";
    ModuleIncomplete = 108, None, "the module's hooks or records could not be made":
        "The function that lists the applications, or `Default` or `merge` of the module's \
         Config, panicked.";
        "Fix the module; RUST0001 above names the file and the line of the panic.";
    ModuleTwice = 109, None, "a library holds two modules":
        "A library contains two `module!`, and both are loaded.";
        "Give each module its own crate.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_the_code() {
        assert_eq!(Code::HookPanicked.line("a hook panicked"), "RUST0001: a hook panicked");
        assert_eq!(Code::ModuleTwice.to_string(), "RUST0109");
    }

    #[test]
    fn numbers_ascend() {
        assert!(Code::ALL.is_sorted_by(|one, next| one < next));
    }
}
