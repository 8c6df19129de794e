//! An application that notes what tells it of the end of its process. The programs of this test and
//! the module of daemon mode's tests have it.

use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use mod_rust::Factory;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The file that gets a line for each event.
    journal: PathBuf,
}

/// Adds a line to the journal.
fn note(journal: &Path, event: &str) {
    let opened = OpenOptions::new().create(true).append(true).open(journal);
    let line = format!("{event} {}\n", std::process::id());
    opened.and_then(|mut file| file.write_all(line.as_bytes())).expect("a journal");
}

/// A task that goes on for a while after the end has begun, for which the state waits.
struct State {
    journal: PathBuf,
    task: Option<JoinHandle<()>>,
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            let _ = Handle::current().block_on(task);
        }
        note(&self.journal, "dropped");
    }
}

/// Has a task note a signal.
fn note_signal(journal: &Path, kind: SignalKind, name: &'static str) -> std::io::Result<()> {
    let (journal, mut signals) = (journal.to_owned(), signal(kind)?);
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            note(&journal, name);
        }
    });
    Ok(())
}

/// Returns a body without an end of its own.
async fn stream() -> Body {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _ = sender.send(Ok::<_, Infallible>(Bytes::from("begun,"))).await;
        mod_rust::ending().await;
        let _ = sender.send(Ok(Bytes::from("ended"))).await;
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

async fn build(options: Options) -> std::io::Result<Router> {
    let Options { journal } = options;
    // `tokio::signal::ctrl_c` is this.
    note_signal(&journal, SignalKind::interrupt(), "interrupt")?;
    note_signal(&journal, SignalKind::terminate(), "terminate")?;
    let task = {
        let journal = journal.clone();
        tokio::spawn(async move {
            mod_rust::ending().await;
            note(&journal, "ending");
            tokio::time::sleep(Duration::from_millis(20)).await;
            note(&journal, "saved");
        })
    };
    let state = Arc::new(State { journal, task: Some(task) });
    Ok(Router::new()
        .route("/pid", get(async || std::process::id().to_string()))
        .route("/stream", get(stream))
        .with_state(state))
}

pub(crate) fn factory() -> Factory {
    Factory::service_async(build)
}
