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
        "Mend the module; the line names the file and the line of the panic.";
    ApplicationPanicked = 2, Some(Level::Error), "the application panicked":
        "The application panicked, or its body did while it was sent.";
        "Mend the application; the line names the file and the line of the panic.";
    ClientGone = 3, Some(Level::Debug), "the client went away":
        "The client closed its connection, or its sending side, before the response was whole.";
        "None is needed.";
    InputFailed = 4, Some(Level::Info), "the request body could not be read":
        "The request body could not be read, and the application returned that error.";
        "Raise `LimitRequestBody` or the application's own limit; for a 408 see `Timeout` and \
         `RequestReadTimeout`.";
    ApplicationFailed = 5, Some(Level::Error), "the application returned an error":
        "The application, or its body, returned an error.";
        "Mend what the error names; it is the application's own.";
    ContractBroken = 6, Some(Level::Error), "the application broke the contract":
        "The application broke a rule of the contract.";
        "Mend the application; wrap it in `gateway::validate::Validate` in tests, which finds \
         such faults earlier.";
    NotBuilt = 7, Some(Level::Error), "the application cannot be built":
        "The application's factory returned an error or panicked, or does not take the options \
         that it got.";
        "Mend what the text names; factories run as `User`, not as root.";
    NoValidators = 8, Some(Level::Warn), "a file that is sent has no validators":
        "The metadata of a file that the file wrapper sends cannot be read any more.";
        "Check the file system that holds the file.";
    ClosePanicked = 9, Some(Level::Error), "closing the response body panicked":
        "A function that runs when the body is closed (`on_close`, a `Drop`) panicked after \
         everything was sent.";
        "Mend the application; the line names the file and the line of the panic.";
    BodyDropped = 10, Some(Level::Warn), "a body is dropped, as its status has none":
        "The application returned a body with status 204, 205 or 304, which have none (RFC 9110, \
         6.4.1 and 15.3.6).";
        "Return `Body::empty()` with these statuses.";
    OutputFailed = 11, Some(Level::Error), "an output filter failed":
        "A filter of httpd (DEFLATE, SUBSTITUTE, a module's own) could not take the response; the \
         number is APR's or the system's error.";
        "Read the filter's own line in the log; remove the filter to see that it is the one.";
    NoResources = 18, Some(Level::Error), "the process lacks threads or descriptors":
        "The process lacks threads or descriptors that a service needs, which is not the \
         application's fault.";
        "Raise the limit, or lower the numbers of processes and threads.";
    EnvironUnanswered = 19, Some(Level::Error), "the environ was asked for from another thread in vain":
        "A service gave its `ServiceEnviron` to another thread and blocks until that thread ends.";
        "Read the variable before the other thread starts, or wait for it with an `await` \
         (`spawn_blocking(…).await`).";
    DaemonDied = 20, Some(Level::Error), "the daemon process ended before it answered":
        "The daemon process that had the request ended before it sent the head of a response.";
        "Read RUST0031 in the main server's log, which names the signal or the exit status; raise \
         the time-out if one ran out.";
    DaemonBroke = 21, Some(Level::Error), "the daemon process ended before the response's end":
        "The daemon process ended, or broke the bridge's protocol, after it sent the head of a \
         response.";
        "Read RUST0031 in the main server's log; report a fault of the protocol with its line.";
    DaemonUnreachable = 22, Some(Level::Error), "no daemon process could be reached":
        "No daemon process of the group became ready, or none could be connected to.";
        "Mend what the row above names, or raise `connect-timeout`.";
    QueueFull = 23, Some(Level::Error), "as many requests wait for a thread as may":
        "Every thread is busy, and as many requests wait for one as `queue-size` allows.";
        "Raise `threads`, `processes`, `max-processes` or `queue-size`.";
    CircuitOpen = 24, Some(Level::Error), "the process group's processes fail to start":
        "The last starts of the group's processes failed one after the other, and no process is \
         ready.";
        "Mend what RUST0031 or RUST0033 names.";
    DaemonSilent = 25, Some(Level::Error), "the daemon process sent nothing for too long":
        "The application did not answer, read or send for `socket-timeout` (httpd's `Timeout` if \
         that is 0).";
        "Raise `socket-timeout` if the application may be silent for that long.";
    QueueTimeout = 26, Some(Level::Error), "the request waited for a thread for too long":
        "The request waited for a thread for longer than `queue-timeout`.";
        "Raise `threads` or `processes`, or find out why requests hang.";
    RequestTimeout = 27, Some(Level::Error), "the request took too long":
        "The application worked on the request for longer than `request-timeout`.";
        "Bound the time that the application waits for others, or raise `request-timeout`.";
    BridgeRefused = 28, Some(Level::Error), "the bridge refused a message":
        "A message between httpd's child and the daemon process breaks the rules of the bridge \
         ([bridge.md](bridge.md)).";
        "Send fewer or shorter headers and variables if the head is too large; otherwise report \
         the line.";
    GroupRefused = 29, Some(Level::Error), "the chosen process group may not be used here":
        "The chosen process group does not exist, or RustRestrictProcess does not list it.";
        "Mend the variable that names the group, or the list.";
    EmbeddedRefused = 30, Some(Level::Error), "RustRestrictEmbedded refused the request":
        "RustRestrictEmbedded forbids embedded mode, and no process group is chosen for the \
         request.";
        "Choose a process group, by `process-group=` of the alias or by RustProcessGroup.";
    DaemonEnded = 31, Some(Level::Error), "a daemon process ended by itself":
        "A daemon process ended without having been told to: a fault, `abort`, `exit`, a signal, \
         or a lack of memory.";
        "Read the application's own lines before this one, its core (`CoreDumpDirectory`) and the \
         kernel's log.";
    DaemonRecycled = 32, Some(Level::Info), "a daemon process takes no more requests":
        "A daemon process is replaced, or ends as it is not needed.";
        "None is needed.";
    DaemonNotBuilt = 33, Some(Level::Error), "a daemon process cannot build its applications":
        "A factory returned an error, panicked, or was not done within `startup-timeout`.";
        "Mend what the text names; factories run as the group's `user`, in its `home` and \
         `chroot`.";
    DaemonNotSetUp = 34, Some(Level::Error), "a daemon process cannot be set up":
        "A process group or one of its processes could not be set up or forked.";
        "Mend what the line names; raise httpd's limits for `Too many open files` (`ulimit -n`, \
         `LimitNOFILE=`).";
    SlowRequest = 35, Some(Level::Warn), "a request was slow":
        "The request took longer than [RustSlowRequests](directives.md#rustslowrequests) allows.";
        "Add threads if `queue` is long, and speed up the application if `application` is long.";
    PeerRefused = 36, Some(Level::Warn), "a daemon process refused a connection":
        "A peer that may not use the socket of a daemon process connected to it, or broke the \
         bridge's protocol.";
        "Find out which program has the process id in the line; other programs of httpd's user \
         can reach the sockets.";
    DrainAbandoned = 37, Some(Level::Warn), "requests outlasted the time to end":
        "A process that was to end still had requests when its time ran out.";
        "Raise the time-out that the line names, or find out why requests take so long.";
    RequestResent = 38, Some(Level::Info), "a request goes to another daemon process":
        "The daemon process ended, or was replaced, before it took the request up.";
        "None is needed.";
    OldDaemonEnded = 39, Some(Level::Error), "a daemon process of an earlier configuration ended":
        "A daemon process of an earlier configuration ended without having been told to.";
        "Read the application's own lines before this one, as for RUST0031.";
    CannotAccept = 40, Some(Level::Error), "connections cannot be accepted":
        "The process has no descriptors or no memory left for another connection.";
        "Raise the limit of open files (`ulimit -n`, `LimitNOFILE=`), or lower the number of \
         connections.";
    WorkerPanicked = 41, Some(Level::Error), "a worker thread failed":
        "A worker thread panicked in mod_rust's own code, or the system refused a thread.";
        "Report the line if it names a panic; else raise the limit that it names.";
    ExitCalled = 42, Some(Level::Error), "the application called exit":
        "The application, or a library that it uses, called `exit`.";
        "Return an error from the application instead.";
    NotMounted = 50, Some(Level::Info), "no application is mounted at the path":
        "No `--mount` is a prefix of the request's path (SCRIPT_NAME and PATH_INFO).";
        "Add a mount, or mend the path that the web server sends; the line names the request's \
         target.";
    RedirectLoop = 51, Some(Level::Error), "too many internal redirects":
        "Applications redirect a request to each other without end.";
        "Find the loop.";
    AddressRefused = 52, Some(Level::Warn), "a peer's address may not connect":
        "The variable FCGI_WEB_SERVER_ADDRS lists the addresses of web servers, and the peer's is \
         another.";
        "Add the address where the variable is set, or find out which program connects.";
    HeadTimeout = 53, Some(Level::Warn), "a peer did not send its request head in time":
        "The peer did not send the head of a request within `--head-timeout`, or none within \
         `--keep-alive`.";
        "Let only web servers connect.";
    PeerViolation = 54, Some(Level::Warn), "a peer broke the protocol":
        "A peer sent bytes that the listener's protocol does not allow, or more of them than \
         allowed (`--max-head`).";
        "Configure the web server for the listener's protocol; raise `--max-head` for a head that \
         is too long.";
    ConnectionsFull = 55, Some(Level::Warn), "there are as many connections as allowed":
        "The program has as many connections as `--max-connections` allows.";
        "Raise `--max-connections` or `--workers`, or let the web server keep fewer connections.";
    SendTimeout = 56, Some(Level::Warn), "a peer did not take its response in time":
        "The web server did not read the response for `--send-timeout`, mostly as its own client \
         does not.";
        "None is needed for single lines; let the web server buffer responses (nginx does by \
         default).";
    RequestsFull = 57, Some(Level::Warn), "there are as many requests as allowed":
        "A web server sends more requests at once than `--max-connections` allows.";
        "Raise `--max-connections` or `--workers`.";
    WorkerEnded = 70, Some(Level::Error), "a worker process ended by itself":
        "A worker process ended without having been told to: a fault, `abort`, a signal, or a \
         lack of memory.";
        "Read the application's own lines before this one.";
    RestartFailed = 71, Some(Level::Error), "a restart failed":
        "A worker of the program that is on disk now did not become ready after SIGHUP or SIGUSR2.";
        "Mend what the text names, then send the signal again.";
    CannotServe = 72, Some(Level::Error), "the program cannot serve":
        "The first workers could not build their applications, or a process lacks descriptors or \
         threads.";
        "Mend what the text names.";
    LogNotReopened = 74, Some(Level::Error), "a log cannot be reopened":
        "The file of a log could not be opened after SIGUSR1.";
        "Let the master's user write to the log's folder, and `--user` to the file.";
    WorkerStopped = 75, Some(Level::Warn), "a worker process was ended":
        "A worker that was told to end was ended by a signal.";
        "None is needed; for signal 9, see RUST0037.";
    UnknownApplication = 101, None, "an application is not known":
        "A directive names an application that no loaded module has, or that several modules have.";
        "Mend the name, load the module, or write `module:name`.";
    WrongOption = 102, None, "an application's options are wrong":
        "The options of a mount or section are not those that the application declares: one is \
         missing, or a value has another type.";
        "Mend the option; the line names the place and the allowed values.";
    UnknownOption = 103, None, "an option is not known":
        "No application that the option's line applies to has an option of that name.";
        "Mend the name, or move the line to the section where the application is mounted.";
    OlderHttpd = 104, None, "httpd is older than its headers":
        "The module was built for a newer httpd than the one that loads it.";
        "Build the module on the system that it runs on, or on one with an older httpd.";
    UnknownGroup = 105, None, "a process group is not known":
        "RustProcessGroup, RustRestrictProcess or `process-group=` names a group that the virtual \
         host does not have.";
        "Mend the name, or define the group in the main server or in this virtual host.";
    NoGroupChosen = 106, None, "no process group is chosen":
        "An application is mounted without a process group where RustRestrictEmbedded is on.";
        "Choose a process group, or remove RustRestrictEmbedded.";
    WrongGroup = 107, None, "a process group cannot be made":
        "A process group that is used cannot be made in the way that RustDaemonProcess says.";
        "Make the account or the folder, or name another; write the number of an account as \
         `#1000`.";
    ModuleIncomplete = 108, None, "the module's hooks or records could not be made":
        "The function that lists the applications, or `Default` or `merge` of the module's \
         Config, panicked.";
        "Mend the module; RUST0001 above names the file and the line of the panic.";
    ModuleTwice = 109, None, "a library holds two modules":
        "A library has two `module!`, and both are loaded.";
        "Give each module a crate of its own.";
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
