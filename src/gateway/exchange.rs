//! What a server implements to run applications: one exchange, request and response.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;

use super::code::Level;
use super::error::Result;
use super::file::FileBody;
use super::status::Status;

/// The request, as a lazy view: what is not asked for is not made.
///
/// Keys and values are bytes, as they came. The values live as long as the exchange.
pub trait Variables {
    /// The value of an environ key: a CGI meta-variable, one of the server's own environment, a
    /// `gateway.*` or a `mod_rust.*` key.
    fn get(&self, key: &[u8]) -> Option<&[u8]>;

    /// Every environ key with its value, in no order.
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8]));

    /// A request header by its name, in any case. Authorization is among them.
    fn header(&self, name: &[u8]) -> Option<&[u8]>;

    /// Every request header as it came, repeated ones too if the server keeps them apart.
    fn each_header(&self, visit: &mut dyn FnMut(&[u8], &[u8]));

    /// About how many request headers there are, where counting them costs nothing.
    fn header_count(&self) -> usize {
        0
    }

    /// The request's target as it stood on the request line, undecoded.
    fn raw_target(&self) -> &[u8] {
        self.get(b"REQUEST_URI").unwrap_or_default()
    }
}

/// The environ apart from its exchange: shared between threads, and there as long as wanted.
///
/// For services, whose futures may outlive the thread that has the request.
pub trait SharedVariables: Send + Sync {
    /// As [`Variables::get`].
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;

    /// As [`Variables::each`].
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8]));
}

/// One exchange. [`run`](super::run()) drives it by the rules of the contract; a server only
/// carries out what it is told, in this order: `begin`, `put_header` for each, then either again from
/// `begin` or `commit`, then `write`, `file` and `flush`, and at last `finish`.
pub trait Exchange: Variables {
    /// Starts the response's head, forgetting what an earlier one had set.
    fn begin(&self, status: Status<'_>);

    /// Adds a checked header. Content-Length never comes this way.
    fn put_header(&self, name: &[u8], value: &[u8]);

    /// The head is final. `length` is the Content-Length, if there is one.
    fn commit(&self, length: Option<u64>);

    /// Takes a piece of the body. It need not go out before the next `flush`.
    ///
    /// # Errors
    ///
    /// [`ClientGone`](super::ErrorKind::ClientGone) when nobody is there to take it.
    fn write(&self, data: Bytes) -> Result<()>;

    /// The validators of `file` for a 200 response without its own, and what conditional headers
    /// of the request make of it: a status (304, 412) that is to be answered in its place.
    fn conditions(&self, file: &FileBody) -> Option<http::StatusCode>;

    /// Whether the server has an answer of its own for this error status, in place of the
    /// application's. Asked before the head goes out.
    fn overrides(&self, status: http::StatusCode) -> bool {
        let _ = status;
        false
    }

    /// Takes a file as the body.
    ///
    /// # Errors
    ///
    /// As [`Exchange::write`].
    fn file(&self, file: FileBody) -> Result<()>;

    /// Sends everything taken so far, the head included.
    ///
    /// # Errors
    ///
    /// As [`Exchange::write`].
    fn flush(&self) -> Result<()>;

    /// The response is complete.
    ///
    /// # Errors
    ///
    /// As [`Exchange::write`].
    fn finish(&self, trailers: Option<HeaderMap>) -> Result<()>;

    /// Whether records of this level are kept, so that others need not be made.
    fn logs(&self, level: Level) -> bool;

    /// One record in the log, with the request that it belongs to.
    fn log(&self, level: Level, message: &str);

    /// The environ for what outlives this call. It is asked for by services only.
    fn share(&self) -> Arc<dyn SharedVariables>;

    /// Wakes the thread that has the request out of [`Exchange::park`]. It may be called from any
    /// thread, as often as wanted, also when the exchange is over.
    fn waker(&self) -> Waker {
        UNPARK.with(|unpark| unpark.clone().into())
    }

    /// Waits until woken, or until what `interest` names has happened. This is the seam at which
    /// a server may one day give its thread to another request.
    ///
    /// A call of the waker since the last `park` makes it come back at once.
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

/// What [`Exchange::park`] waits for beside a call of the waker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest {
    /// The waker alone; and the client's going, where the server can tell.
    Waker,
    /// More of the request body.
    Input,
}

/// Why [`Exchange::park`] came back. It may also come back for nothing, as `Called`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Woken {
    /// The waker was called.
    Called,
    /// The request body can be read on, or its time is up, which reading it will tell.
    Input,
    /// The client has gone.
    Gone,
    /// The server cannot wait for the request body beside the waker: it has to be read blocking.
    MustBlock,
    /// The server cannot wait: it lacks a descriptor.
    Unable,
}

/// The waker that ends [`park_thread`] in the calling thread: the one that [`Exchange::waker`] gives
/// unless a server has its own.
#[cfg(feature = "http-server")]
pub(crate) fn thread_waker() -> Waker {
    UNPARK.with(|unpark| unpark.clone().into())
}

/// Waits until the calling thread's waker is called; whether it was, before `deadline`.
#[cfg(feature = "http-server")]
pub(crate) fn park_thread(deadline: Option<Instant>) -> bool {
    UNPARK.with(|unpark| unpark.park(deadline))
}

thread_local! {
    /// Made once a thread: a request that is answered at once should cost no allocation for it.
    static UNPARK: Arc<Unpark> =
        Arc::new(Unpark { thread: thread::current(), called: AtomicBool::new(false) });
}

/// Wakes a thread. What the application itself does with the thread's park token (scoped threads
/// and channels use it) cannot lose a call.
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
                // As a scoped thread that the application waits for: the token is used up.
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
