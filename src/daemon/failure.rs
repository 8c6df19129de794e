//! The failures between httpd and a process group: each with a code, a status and a log line.

use std::io::ErrorKind;
use std::path::Path;

use http::StatusCode;

use crate::gateway::Code;
use crate::httpd::{Request, log};

/// Why a request got no answer from its process group, or not all of one.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    /// The client's status if nothing has gone out to it.
    status: StatusCode,
    message: String,
    /// In how many seconds it is worth trying again.
    retry_after: Option<u64>,
    /// Whether trying again makes no difference.
    is_lasting: bool,
}

impl Failure {
    /// Returns the failure of a process that died or closed the connection.
    pub(super) fn died(pid: u32, has_begun: bool) -> Self {
        let (code, message) = if has_begun {
            (
                Code::DaemonBroke,
                format!("daemon process {pid} died, or gave up, before the response's end"),
            )
        } else {
            (Code::DaemonDied, format!("daemon process {pid} died, or gave up, before it answered"))
        };
        Self::new(code, StatusCode::BAD_GATEWAY, message)
    }

    /// Returns the failure of a process that broke the bridge's protocol.
    pub(super) fn protocol(pid: u32, has_begun: bool, what: &dyn std::fmt::Display) -> Self {
        let code = if has_begun { Code::DaemonBroke } else { Code::BridgeRefused };
        let message =
            format!("daemon process {pid} does not keep to the bridge's protocol: {what}");
        Self::new(code, StatusCode::BAD_GATEWAY, message)
    }

    /// Returns the failure of a request that does not fit the bridge.
    pub(super) fn too_large(what: &dyn std::fmt::Display) -> Self {
        Self::new(
            Code::BridgeRefused,
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            format!("the request's variables and headers do not fit the bridge: {what}"),
        )
    }

    /// Returns the failure of a group of which no process became ready in time.
    pub(super) fn none_ready(waited: std::time::Duration) -> Self {
        let message = format!("no daemon process was ready within {} s", waited.as_secs());
        Self::new(Code::DaemonUnreachable, StatusCode::SERVICE_UNAVAILABLE, message).retry_after(5)
    }

    /// Returns the failure of a group of which no process could be connected to.
    pub(super) fn cannot_connect(pid: u32, socket: &Path, error: &std::io::Error) -> Self {
        let user = rustix::process::geteuid().as_raw();
        let message = format!(
            "cannot connect to daemon process {pid} at its socket \"{}\" as user id {user}: {error}",
            socket.display()
        );
        let mut failure =
            Self::new(Code::DaemonUnreachable, StatusCode::SERVICE_UNAVAILABLE, message);
        // A full backlog has room again, and another process listens where one has died. What the
        // file system says stays.
        failure.is_lasting = !matches!(
            error.kind(),
            ErrorKind::WouldBlock | ErrorKind::ConnectionRefused | ErrorKind::Interrupted
        );
        failure.retry_after(5)
    }

    /// Returns whether another attempt would fail as well.
    pub(super) const fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    /// Returns the failure of a group whose threads are busy and whose queue is full.
    pub(super) fn full() -> Self {
        let message = "every thread is busy and as many requests wait as queue-size allows";
        Self::new(Code::QueueFull, StatusCode::SERVICE_UNAVAILABLE, message.into()).retry_after(1)
    }

    /// Returns the failure of a group without a ready process, for which as many requests wait as
    /// may.
    pub(super) fn too_many_wait(most: u32) -> Self {
        let message = format!(
            "no daemon process is ready, and {most} requests wait for one already (threads + queue-size)"
        );
        Self::new(Code::QueueFull, StatusCode::SERVICE_UNAVAILABLE, message).retry_after(1)
    }

    /// Returns the failure of a group whose processes fail to start. The next start is due in so
    /// many seconds.
    pub(super) fn circuit_open(seconds: u64) -> Self {
        let next = if seconds == 0 { "now".to_owned() } else { format!("in {seconds} s") };
        let message = format!(
            "its processes fail to start ({} and {} say why); the next is tried {next}",
            Code::DaemonEnded,
            Code::DaemonNotBuilt
        );
        Self::new(Code::CircuitOpen, StatusCode::SERVICE_UNAVAILABLE, message)
            .retry_after(seconds.max(1))
    }

    /// Returns the failure of a process that sent nothing for too long.
    pub(super) fn silent(pid: u32, timeout: std::time::Duration) -> Self {
        let message = format!(
            "daemon process {pid} sent nothing for {} s (socket-timeout)",
            timeout.as_secs_f64()
        );
        Self::new(Code::DaemonSilent, StatusCode::GATEWAY_TIMEOUT, message)
    }

    /// Returns the failure of a request that no thread took up in time.
    pub(super) fn queued(timeout: std::time::Duration) -> Self {
        let message =
            format!("no thread took the request up within {} s (queue-timeout)", timeout.as_secs());
        Self::new(Code::QueueTimeout, StatusCode::GATEWAY_TIMEOUT, message)
    }

    /// Returns the failure of a request that the process refused.
    pub(super) fn refused(pid: u32, what: &str) -> Self {
        let message = format!("daemon process {pid} refused the request: {what}");
        Self::new(Code::BridgeRefused, StatusCode::BAD_GATEWAY, message)
    }

    fn new(code: Code, status: StatusCode, message: String) -> Self {
        Self { code, status, message, retry_after: None, is_lasting: false }
    }

    const fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Returns the status for a client that has got nothing yet.
    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    /// Says it in the log of the request.
    pub(super) fn report(&self, request: &Request<'_>, group: &str, is_broken: bool) {
        let outcome = if is_broken {
            "breaking the response off".to_owned()
        } else {
            format!("answering {}", self.status.as_u16())
        };
        let line =
            self.code.line(format_args!("process group {group}: {}; {outcome}", self.message));
        log::request(request, self.code.level(), &line);
    }

    /// Tells the client when to come again, if that makes sense.
    pub(super) fn advise(&self, request: &Request<'_>) {
        if let Some(seconds) = self.retry_after {
            let out = request.err_headers_out();
            out.add(request.pool(), b"Retry-After", seconds.to_string().as_bytes());
        }
    }
}
