//! Handlers that wait: the same axum application in every peer of `cargo httpd bench --waiting`.

use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::Path;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::time::{Instant, interval_at, sleep};
use tokio_stream::wrappers::IntervalStream;
use tokio_stream::{Stream, StreamExt as _};

/// The bytes that a WebSocket reads at once: the usual 128 KiB would be most of its memory.
const READ_BUFFER: usize = 4096;

/// Returns the application. Mount it at `/waiting`.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/wait/{ms}", get(wait))
        .route("/events/{ms}", get(events))
        .route("/socket/{ms}", get(socket))
        .route("/echo", get(echo))
}

async fn wait(Path(ms): Path<u64>) -> impl IntoResponse {
    sleep(Duration::from_millis(ms)).await;
    ([(CONTENT_TYPE, "text/plain")], "Hello, world\n")
}

/// Sends the time at which each event was due.
async fn events(Path(ms): Path<u64>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(dues(ms).map(|due| Ok(Event::default().data(due))))
}

/// Sends the time at which each message was due, until the client leaves.
async fn socket(Path(ms): Path<u64>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(READ_BUFFER).on_upgrade(move |socket| tell(socket, ms))
}

async fn tell(mut socket: WebSocket, ms: u64) {
    let mut dues = std::pin::pin!(dues(ms));
    loop {
        tokio::select! {
            due = dues.next() => {
                let Some(due) = due else { return };
                if socket.send(Message::text(due)).await.is_err() {
                    return;
                }
            }
            message = socket.recv() => {
                if !matches!(message, Some(Ok(_))) {
                    return;
                }
            }
        }
    }
}

/// Sends each message back.
async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.read_buffer_size(READ_BUFFER).on_upgrade(async |mut socket: WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            let is_data = matches!(message, Message::Text(_) | Message::Binary(_));
            if is_data && socket.send(message).await.is_err() {
                return;
            }
        }
    })
}

/// Returns the times, one each `ms` milliseconds, in microseconds of the system's clock.
fn dues(ms: u64) -> impl Stream<Item = String> + Send {
    let period = Duration::from_millis(ms.max(1));
    let (wall, start) = (SystemTime::now(), Instant::now());
    IntervalStream::new(interval_at(start + period, period)).map(move |due| {
        let due = wall + due.duration_since(start);
        let since = due.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since.as_micros().to_string()
    })
}
