//! Waiting on the thread that runs an application, for what comes from the thread that has the
//! connections.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::executor::Executor;
use crate::gateway::{park_thread, thread_waker};

/// Polls until there is something, which may be at once; `None` when `deadline` comes first. The
/// thread's turn is somebody else's while it waits.
pub(super) fn until<T>(
    executor: &Arc<Executor>,
    deadline: Option<Instant>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let waker = thread_waker();
    let mut context = Context::from_waker(&waker);
    if let Poll::Ready(value) = poll(&mut context) {
        return Some(value);
    }
    let found = executor.waiting(|| {
        loop {
            if !park_thread(deadline) {
                return None;
            }
            if let Poll::Ready(value) = poll(&mut context) {
                return Some(value);
            }
        }
    });
    // A call may have been meant for the application's future, which has the same waker.
    waker.wake_by_ref();
    found
}
