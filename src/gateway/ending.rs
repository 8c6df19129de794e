//! The end of a process's applications: they are told, and their state is dropped before the process
//! ends.
//!
//! Every mode ends its applications here: httpd's children, daemon processes and gateway programs.
//! Code of an application that runs at the end of its process belongs into [`end`], before the drop.

use std::sync::Arc;
#[cfg(feature = "tower")]
use std::sync::LazyLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(feature = "tower")]
use tokio::sync::watch;

use super::application::Application;
use super::code::Code;
use super::panic;

/// An odd number from the time that the process begins to end. Servers in threads of one process may
/// start after others have ended, so the number grows.
#[cfg(feature = "tower")]
static STATE: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::Sender::new(0));

/// Waits until this process begins to end: it takes no more requests, and those that it has may
/// finish.
///
/// It becomes ready in every mode, whatever ends the process: a signal, a restart, a limit. Use it
/// for streams without an end, and for tasks. With the MPM prefork, and with httpd before 2.4.49, a
/// child learns of its end when a service waits, or after its last request.
///
/// The state of an application is dropped after the last request, so a `Drop` may wait for a task:
///
/// ```
/// use tokio::runtime::Handle;
/// use tokio::task::JoinHandle;
///
/// struct Sessions {
///     saved: Option<JoinHandle<()>>,
/// }
///
/// impl Sessions {
///     fn open() -> Self {
///         let save = async {
///             mod_rust::ending().await;
///             // Save the sessions here.
///         };
///         Self { saved: Some(tokio::spawn(save)) }
///     }
/// }
///
/// impl Drop for Sessions {
///     fn drop(&mut self) {
///         if let Some(saved) = self.saved.take() {
///             let _ = Handle::current().block_on(saved);
///         }
///     }
/// }
///
/// // The function of `Factory::service_async` or `service_with_options` opens them.
/// # let _ = || Sessions::open();
/// ```
#[cfg(feature = "tower")]
pub async fn ending() {
    let mut state = STATE.subscribe();
    let first = *state.borrow();
    // An error means that the sender is gone, but a static is never dropped.
    let _ = state.wait_for(|now| *now % 2 == 1 || *now != first).await;
}

/// Tells the applications that the process begins to end.
pub(crate) fn begin() {
    #[cfg(feature = "tower")]
    STATE.send_modify(|state| *state |= 1);
}

/// Forgets an earlier end: the process serves again.
#[cfg(feature = "serve")]
pub(crate) fn forget() {
    #[cfg(feature = "tower")]
    STATE.send_modify(|state| *state += *state % 2);
}

/// The interval at which a thread looks whether another one still has an application.
const INTERVAL: Duration = Duration::from_millis(1);

/// Drops `applications` in a thread of its own, within the process's runtime, and waits until the
/// drop has finished or `deadline` has passed. `log` gets a line if it fails.
///
/// Other threads that still have an application must let it go first. The thread goes on after the
/// deadline, so the caller must end the process.
pub(crate) fn end(
    applications: Vec<Arc<dyn Application>>,
    deadline: Duration,
    log: impl FnOnce(&str),
) {
    begin();
    let until = Instant::now() + deadline;
    let (sender, dropped) = channel();
    let drop_all = move || {
        let _ = sender.send(panic::catch(|| {
            #[cfg(feature = "tower")]
            let runtime = super::service::runtime::existing();
            #[cfg(feature = "tower")]
            let _context = runtime.as_ref().map(tokio::runtime::Handle::enter);
            for application in applications {
                while Arc::strong_count(&application) > 1 && Instant::now() < until {
                    thread::sleep(INTERVAL);
                }
                drop(application);
            }
        }));
    };
    let problem = match thread::Builder::new().name("mod_rust-end".to_owned()).spawn(drop_all) {
        Err(error) => format!("no thread can be started for it: {error}"),
        Ok(_) => match dropped.recv_timeout(deadline) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error,
            Err(RecvTimeoutError::Timeout) => format!("it takes more than {deadline:?}"),
            Err(RecvTimeoutError::Disconnected) => "its thread has ended".to_owned(),
        },
    };
    log(&Code::StateNotDropped.line(format_args!(
        "process {}: the applications' state is not dropped: {problem}; the process ends without",
        std::process::id()
    )));
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Mutex;

    use super::*;
    use crate::gateway::{Body, app_fn};

    struct OnDrop<F: FnMut()>(F);

    impl<F: FnMut()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    /// Returns an application whose state calls `f` when it is dropped.
    fn application(f: impl FnMut() + Send + Sync + 'static) -> Arc<dyn Application> {
        let state = OnDrop(f);
        Arc::new(app_fn(move |_, _| {
            let _ = &state;
            Ok(Body::empty())
        }))
    }

    /// Returns the line that the end of `application` logs.
    fn line_of(application: Arc<dyn Application>, deadline: Duration) -> String {
        let line = Cell::new(String::new());
        end(vec![application], deadline, |text| line.set(text.to_owned()));
        line.into_inner()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn state_is_dropped_when_the_last_thread_lets_it_go() {
        let (sender, dropped) = channel();
        let application = application(move || sender.send(()).unwrap());
        let (held, end) = (application.clone(), channel::<()>());
        let holder = thread::spawn(move || {
            let _ = end.1.recv();
            drop(held);
        });
        drop(end.0);
        assert_eq!(line_of(application, LONG), "");
        assert_eq!(dropped.try_recv(), Ok(()));
        holder.join().unwrap();
    }

    /// A pool of connections needs the runtime to close them.
    #[cfg(feature = "tower")]
    #[test]
    fn state_is_dropped_within_the_runtime() {
        super::super::service::runtime::start().unwrap();
        let (sender, has_runtime) = channel();
        let application = application(move || {
            let _ = sender.send(tokio::runtime::Handle::try_current().is_ok());
        });
        assert_eq!(line_of(application, LONG), "");
        assert_eq!(has_runtime.recv(), Ok(true));
    }

    /// The tasks hear of the end before the state is dropped, which may wait for them.
    #[cfg(feature = "tower")]
    #[test]
    fn a_drop_may_wait_for_a_task() {
        let runtime = super::super::service::runtime::handle().unwrap();
        let (sender, saved) = channel();
        let mut task = Some(runtime.spawn(async move {
            ending().await;
            tokio::task::yield_now().await;
            sender.send("saved").unwrap();
        }));
        let application = application(move || {
            let task = task.take().unwrap();
            tokio::runtime::Handle::current().block_on(task).unwrap();
        });
        assert_eq!(line_of(application, LONG), "");
        assert_eq!(saved.try_recv(), Ok("saved"));
    }

    #[test]
    fn a_drop_that_waits_or_panics_is_logged() {
        let (sender, held) = channel::<()>();
        let held = Mutex::new(held);
        let waiting = application(move || assert!(held.lock().unwrap().recv().is_err()));
        let line = line_of(waiting, Duration::from_millis(1));
        assert!(line.contains("is not dropped: it takes more than 1ms"), "{line}");
        drop(sender);
        let line = line_of(application(|| panic!("no way out")), LONG);
        assert!(line.contains("no way out"), "{line}");
    }
}
