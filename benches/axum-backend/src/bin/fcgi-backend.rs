//! The same answers over FastCGI on a Unix socket, with tokio-fastcgi: what stands behind
//! mod_proxy_fcgi, with the socket's path as its argument, and behind mod_fcgid, which starts it
//! with a listening socket as its standard input.
//!
//! tokio-fastcgi writes a record's header and payload on their own and leaves the last record
//! unflushed. In its favour, what it writes is collected here and sent once the response is
//! complete, or whenever the buffer is full.
#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum_backend::{CHUNK, CHUNKS, HELLO, announce, bind_unix, run, usage};
use tokio::io::{AsyncWrite, BufReader, BufWriter};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio_fastcgi::{Request, RequestResult, Requests};

const BUFFER: usize = 16384;

fn main() -> io::Result<()> {
    let path = std::env::args().nth(1);
    run(async move {
        let listener = match path {
            Some(path) => {
                let listener = bind_unix(Path::new(&path))?;
                announce(&path)?;
                listener
            }
            None => inherited()?,
        };
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream));
        }
    })
}

/// Returns the socket that FastCGI calls FCGI_LISTENSOCK_FILENO: descriptor 0.
fn inherited() -> io::Result<UnixListener> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let listener = std::os::unix::net::UnixListener::from(socket);
    if listener.local_addr().is_err() {
        return Err(usage("fcgi-backend [PATH]; without a path a FastCGI server starts it"));
    }
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn serve(stream: UnixStream) {
    let (input, output) = stream.into_split();
    let output = Output(Arc::new(Mutex::new(BufWriter::with_capacity(BUFFER, output))));
    let input = BufReader::with_capacity(BUFFER, input);
    let mut requests = Requests::new(input, output.clone(), 1, 1);
    while let Ok(Some(request)) = requests.next().await {
        let answered = request.process(|request| async move {
            RequestResult::Complete(u32::from(answer(request).await.is_err()))
        });
        if answered.await.is_err() || output.send().await.is_err() {
            return;
        }
    }
}

async fn answer<W: AsyncWrite + Unpin>(
    request: Arc<Request<W>>,
) -> Result<(), tokio_fastcgi::Error> {
    let mut out = request.get_stdout();
    let target = request.get_str_param("request_uri").unwrap_or_default();
    match target.split('?').next().unwrap_or_default() {
        "/hello" => {
            out.write(format!("{}{HELLO}", head(HELLO.len())).as_bytes()).await?;
        }
        "/echo" => {
            let mut body = Vec::with_capacity(65536);
            request.get_stdin().read_to_end(&mut body)?;
            out.write(head(body.len()).as_bytes()).await?;
            out.write(&body).await?;
        }
        "/stream" => {
            out.write(b"Content-Type: text/plain\r\n\r\n").await?;
            for _ in 0..CHUNKS {
                out.write(&CHUNK).await?;
            }
        }
        "/environ" => {
            let mut text = Vec::with_capacity(1024);
            for (name, value) in request.params_iter().into_iter().flatten() {
                text.extend_from_slice(name.to_uppercase().as_bytes());
                text.push(b'=');
                text.extend_from_slice(value);
                text.push(b'\n');
            }
            out.write(head(text.len()).as_bytes()).await?;
            out.write(&text).await?;
        }
        _ => {
            out.write(b"Status: 404 Not Found\r\nContent-Length: 0\r\n\r\n").await?;
        }
    }
    Ok(())
}

fn head(length: usize) -> String {
    format!("Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n")
}

/// The buffered write half. The library holds one handle and its flushes do nothing; the other
/// sends.
#[derive(Clone)]
struct Output(Arc<Mutex<BufWriter<OwnedWriteHalf>>>);

impl Output {
    fn writer(&self) -> MutexGuard<'_, BufWriter<OwnedWriteHalf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| Pin::new(&mut *self.writer()).poll_flush(cx)).await
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.writer()).poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut *self.writer()).poll_flush(cx))?;
        Pin::new(&mut *self.writer()).poll_shutdown(cx)
    }
}
