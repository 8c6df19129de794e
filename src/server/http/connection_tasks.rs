//! The tasks that hyper runs for one connection of HTTP/2.

use std::future::Future;
use std::sync::Arc;

use hyper::rt::Executor;

use super::deadlines::Activity;

/// Runs the tasks, and counts them. The task of a request ends with its response, and that of a
/// stream with another protocol at the end of the stream.
#[derive(Clone)]
pub(super) struct ConnectionTasks(pub(super) Arc<Activity>);

impl<F> Executor<F> for ConnectionTasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, future: F) {
        let task = RunningTask::new(self.0.clone());
        tokio::spawn(async move {
            let _task = task;
            future.await
        });
    }
}

/// A task that counts until it is dropped.
struct RunningTask(Arc<Activity>);

impl RunningTask {
    fn new(activity: Arc<Activity>) -> Self {
        activity.task(true);
        Self(activity)
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        self.0.task(false);
    }
}
