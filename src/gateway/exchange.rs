//! The traits that a server implements to run applications: one exchange, request and response.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
#[cfg(feature = "http-server")]
use hyper::ext::Protocol;
#[cfg(any(feature = "http-server", feature = "tower"))]
use hyper::upgrade::OnUpgrade;

use super::code::Level;
use super::error::Result;
use super::file::FileBody;
use super::status::Status;

/// A lazy view of the request: a value costs nothing until it is read.
///
/// Keys and values are unchanged bytes. The values live as long as the exchange.
pub trait Variables {
    /// Returns the value of an environ key: a CGI meta-variable, a variable of the server, a
    /// `gateway.*` or a `mod_rust.*` key.
    fn get(&self, key: &[u8]) -> Option<&[u8]>;

    /// Calls `visit` with every environ key and its value, in no particular order.
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8]));

    /// Returns the value of a request header, Authorization included. The case of `name` does not
    /// matter.
    fn header(&self, name: &[u8]) -> Option<&[u8]>;

    /// Calls `visit` with every request header, with each of a repeated one if the server keeps
    /// them apart.
    fn each_header(&self, visit: &mut dyn FnMut(&[u8], &[u8]));

    /// Returns the approximate number of request headers, if it costs nothing, else 0.
    fn header_count(&self) -> usize {
        0
    }

    /// Returns the target of the request line, not decoded.
    fn raw_target(&self) -> &[u8] {
        self.get(b"REQUEST_URI").unwrap_or_default()
    }

    /// Returns `REQUEST_METHOD`. A server that knows it without a look-up says it here as well.
    fn method(&self) -> &[u8] {
        self.get(b"REQUEST_METHOD").unwrap_or_default()
    }

    /// Returns `SCRIPT_NAME`, like [`method`](Self::method).
    fn script_name(&self) -> &[u8] {
        self.get(b"SCRIPT_NAME").unwrap_or_default()
    }

    /// Returns `PATH_INFO`, like [`method`](Self::method).
    fn path_info(&self) -> &[u8] {
        self.get(b"PATH_INFO").unwrap_or_default()
    }

    /// Returns `QUERY_STRING`, like [`method`](Self::method).
    fn query_string(&self) -> &[u8] {
        self.get(b"QUERY_STRING").unwrap_or_default()
    }

    /// Returns `SERVER_PROTOCOL`, like [`method`](Self::method).
    fn protocol(&self) -> &[u8] {
        self.get(b"SERVER_PROTOCOL").unwrap_or_default()
    }
}

/// An environ that is shared between threads and may outlive its exchange.
///
/// Services need it: their futures may outlive the request's thread.
pub trait SharedVariables: Send + Sync {
    /// Returns the value of an environ key, like [`Variables::get`].
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// Calls `visit` with every key and its value, like [`Variables::each`].
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8]));
}

/// One exchange, driven by [`run`](super::run::run()), which enforces the contract.
///
/// The order of calls is `begin`, `put_header` for each header, then `begin` again or `commit`,
/// then `write`, `file` and `flush`, and finally `finish`.
pub trait Exchange: Variables {
    /// Starts the response's head, and discards an earlier one.
    fn begin(&self, status: Status<'_>);

    /// Adds a checked header. Content-Length is passed to `commit` instead.
    fn put_header(&self, name: &[u8], value: &[u8]);

    /// Completes the head. `length` is the Content-Length, if there is one.
    fn commit(&self, length: Option<u64>);

    /// Takes a piece of the body. The server may hold it back until the next `flush`.
    ///
    /// # Errors
    ///
    /// [`ClientGone`](super::ErrorKind::ClientGone) when the client has left.
    fn write(&self, data: Bytes) -> Result<()>;

    /// Sets the validators of `file` on a 200 response without its own, and evaluates the request's
    /// conditional headers. Returns the status to answer with instead: 304 or 412.
    fn conditions(&self, file: &FileBody) -> Option<http::StatusCode>;

    /// Tells whether the server replaces the application's response with this error status by its
    /// own. [`run`](super::run::run()) asks before it commits the head.
    fn overrides(&self, status: http::StatusCode) -> bool {
        let _ = status;
        false
    }

    /// Returns the server's way to switch this connection to another protocol. It is asked once,
    /// for a request that asks for an upgrade.
    #[cfg(any(feature = "http-server", feature = "tower"))]
    #[doc(hidden)]
    fn upgrade(&self) -> Upgrade {
        Upgrade::None
    }

    /// Takes a file as the body.
    ///
    /// # Errors
    ///
    /// The same as [`Exchange::write`].
    fn file(&self, file: FileBody) -> Result<()>;

    /// Sends the pending output and the head.
    ///
    /// # Errors
    ///
    /// The same as [`Exchange::write`].
    fn flush(&self) -> Result<()>;

    /// Completes the response.
    ///
    /// # Errors
    ///
    /// The same as [`Exchange::write`].
    fn finish(&self, trailers: Option<HeaderMap>) -> Result<()>;

    /// Tells whether the log keeps records of this level.
    fn logs(&self, level: Level) -> bool;

    /// Writes one record to the log, with this request's data.
    fn log(&self, level: Level, message: &str);

    /// Returns an environ that may outlive this call. Only services ask for it.
    fn share(&self) -> Arc<dyn SharedVariables>;

    /// Returns the waker that ends [`Exchange::park`] in the request's thread. Any thread may call
    /// it, any number of times, even after the exchange.
    fn waker(&self) -> Waker {
        UNPARK.with(|unpark| unpark.clone().into())
    }

    /// Waits for the waker or for the event that `interest` names.
    ///
    /// Returns at once if the waker was called since the last `park`.
    fn park(&self, interest: Interest) -> Woken {
        UNPARK.with(|unpark| match interest {
            Interest::Input if !unpark.called.swap(false, Ordering::Acquire) => Woken::MustBlock,
            Interest::Input => Woken::Called,
            Interest::Waker => {
                unpark.park(None);
                Woken::Called
            }
        })
    }
}

/// A server's way to switch a connection to another protocol. A `commit` after a `begin` with status
/// 101 does it.
#[cfg(any(feature = "http-server", feature = "tower"))]
#[derive(Debug)]
#[cfg_attr(
    not(all(feature = "httpd", feature = "http-server", feature = "tower")),
    allow(dead_code, reason = "each server has its way")
)]
#[expect(unnameable_types, reason = "only servers of this crate can do it")]
pub enum Upgrade {
    /// The server cannot, or not with this request.
    None,
    /// The exchange goes on: the request body is what the client sends from then on, and neither
    /// body has a frame of HTTP's.
    Tunnel,
    /// The exchange ends with the head, and the application gets the connection from hyper.
    Hyper(OnUpgrade),
    /// The same for a stream of HTTP/2 (RFC 8441): a successful status does it, for this protocol.
    #[cfg(feature = "http-server")]
    Connect(OnUpgrade, Protocol),
}

/// The events that end [`Exchange::park`] besides a call of the waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest {
    /// The waker alone, and the client's departure if the server notices it.
    Waker,
    /// More of the request body.
    Input,
}

/// The reason for the end of [`Exchange::park`]. A spurious end is reported as `Called`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Woken {
    /// The waker was called.
    Called,
    /// The request body is readable, or its deadline has passed. A read tells which.
    Input,
    /// The client has left.
    Gone,
    /// The server cannot wait for the request body and the waker at once. Read the body blocking.
    MustBlock,
    /// The server cannot wait, because it lacks a descriptor.
    Unable,
    /// The process ends, and the response had its time to end.
    ProcessEnds,
}

/// Returns the waker that ends [`park_thread`] in the calling thread: the default of
/// [`Exchange::waker`].
#[cfg(feature = "http-server")]
pub(crate) fn thread_waker() -> Waker {
    UNPARK.with(|unpark| unpark.clone().into())
}

/// Waits for the calling thread's waker. Returns `false` when `deadline` passes first.
#[cfg(feature = "http-server")]
pub(crate) fn park_thread(deadline: Option<Instant>) -> bool {
    UNPARK.with(|unpark| unpark.park(deadline))
}

thread_local! {
    /// The waker of this thread. One a thread, so that a request costs no allocation for it.
    static UNPARK: Arc<Unpark> =
        Arc::new(Unpark { thread: thread::current(), called: AtomicBool::new(false) });
}

/// A waker for one thread.
///
/// The flag keeps each call even if the application uses the thread's park token, which scoped
/// threads and channels do.
struct Unpark {
    thread: Thread,
    called: AtomicBool,
}

impl Unpark {
    fn park(&self, deadline: Option<Instant>) -> bool {
        while !self.called.swap(false, Ordering::Acquire) {
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => return false,
                Some(left) => thread::park_timeout(left),
            }
        }
        true
    }
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.called.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn no_call_of_the_waker_is_lost() {
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            UNPARK.with(|unpark| {
                let waker = Waker::from(unpark.clone());
                waker.wake_by_ref();
                // A scoped thread that the application waits for uses up the token like this.
                thread::park();
                assert!(unpark.park(None));
                thread::spawn(move || waker.wake());
                assert!(unpark.park(None));
                assert!(!unpark.park(Some(Instant::now())));
            });
            done.send(()).unwrap();
        });
        is_done.recv_timeout(Duration::from_secs(10)).expect("it parked for good");
    }
}
