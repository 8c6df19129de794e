//! The chat: `live.rs` makes a module of it, `live-gateway.rs` a program.

use std::convert::Infallible;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, Response};
use axum::routing::{any, get};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

/// The lines of the chat. A reader that is this many lines late misses some.
type Lines = broadcast::Sender<String>;
const LATE: usize = 256;

async fn page() -> Html<&'static str> {
    Html(include_str!("../live.html"))
}

/// Joins the chat: each text goes to all, over WebSocket and as an event.
async fn chat(State(lines): State<Lines>, upgrade: WebSocketUpgrade) -> Response {
    // Before the answer: a client that has it hears everything that is said from then on.
    let heard = lines.subscribe();
    upgrade.on_upgrade(move |socket| talk(socket, lines, heard))
}

async fn talk(mut socket: WebSocket, lines: Lines, mut heard: Receiver<String>) {
    loop {
        tokio::select! {
            said = socket.recv() => match said {
                Some(Ok(Message::Text(text))) => {
                    // There is a reader: this one.
                    let _ = lines.send(text.as_str().to_owned());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
            line = heard.recv() => match line {
                Ok(line) => {
                    if socket.send(Message::text(line)).await.is_err() {
                        return;
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            // The browser joins again, at the process that follows this one.
            () = mod_rust::ending() => {
                let _ = socket.send(Message::Close(None)).await;
                return;
            }
        }
    }
}

/// Shows the chat as server-sent events, until the process begins to end.
async fn events(State(lines): State<Lines>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (events, receiver) = mpsc::channel(1);
    let mut heard = lines.subscribe();
    tokio::spawn(async move {
        let mut event = Event::default().comment("here");
        while events.send(Ok(event)).await.is_ok() {
            event = tokio::select! {
                line = heard.recv() => match line {
                    Ok(line) => Event::default().data(line),
                    Err(RecvError::Lagged(missed)) => Event::default().comment(missed.to_string()),
                    Err(RecvError::Closed) => return,
                },
                () = events.closed() => return,
                () = mod_rust::ending() => return,
            };
        }
    });
    Sse::new(ReceiverStream::new(receiver)).keep_alive(KeepAlive::default())
}

/// Returns the router: the page, its WebSocket and its events.
pub(crate) fn router() -> Router {
    let (lines, _) = broadcast::channel(LATE);
    Router::new()
        .route("/", get(page))
        .route("/chat", any(chat))
        .route("/events", get(events))
        .with_state(lines)
}
