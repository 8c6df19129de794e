//! A peer that replaces a process of the group: it has the process's socket, and sends the frames
//! of a test.

use std::fs::{self, File, Permissions};
use std::io::{IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use mod_rust::internal::protocol::bridge::{FrameLimits, Kind, Message, Peer, split};

use crate::support::Stage;

/// A step of the peer's, once it has read a REQUEST.
#[derive(Clone)]
pub(super) enum Act {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes with descriptors of this file, so many.
    Descriptors(Vec<u8>, PathBuf, usize),
    /// Reads the request body to its end.
    Body,
    /// Waits until the child has closed the connection, and reads nothing.
    Wait,
    /// Takes nothing that the child sends from here on.
    Deaf,
    /// Closes the connection.
    Close,
    /// Does this, and closes the connection.
    Do(Arc<dyn Fn(&mut UnixStream) + Send + Sync>),
}

/// The peer. It ends when it is dropped.
pub(super) struct Hostile {
    listeners: Vec<Arc<UnixListener>>,
    threads: Vec<JoinHandle<()>>,
}

impl Hostile {
    /// Replaces the group's processes, in any slots. `acts` has the acts for each name of a
    /// request.
    pub(super) fn new(
        stage: &Stage,
        acts: impl Fn(&str) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        stage.app().wait_ready(1);
        let (mut listeners, mut threads, acts) = (Vec::new(), Vec::new(), Arc::new(acts));
        for (_, path) in stage.app().sockets() {
            let listener = Arc::new(listen(&path));
            listeners.push(listener.clone());
            let acts = acts.clone();
            threads.push(thread::spawn(move || {
                while let Ok((stream, _)) = listener.accept() {
                    let acts = acts.clone();
                    // It ends when the child closes its end, which httpd's own end does at the latest.
                    thread::spawn(move || serve(stream, &*acts));
                }
            }));
        }
        Self { listeners, threads }
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        for listener in &self.listeners {
            // It wakes the thread that accepts.
            rustix::net::shutdown(listener, rustix::net::Shutdown::Both).expect("a listener");
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn listen(path: &Path) -> UnixListener {
    fs::remove_file(path).expect("a socket of the group's");
    let listener = UnixListener::bind(path).expect("its place");
    fs::set_permissions(path, Permissions::from_mode(0o666)).expect("its mode");
    listener
}

/// Serves the requests of one connection, one after the other.
fn serve(mut stream: UnixStream, acts: &(impl Fn(&str) -> Vec<Act> + ?Sized)) {
    let mut read = Vec::new();
    while let Some(name) = next_request(&mut stream, &mut read) {
        for act in acts(&name) {
            if !carry_out(act, &mut stream, &mut read) {
                return;
            }
        }
    }
}

/// Reads up to the next REQUEST, and returns its `name=`.
fn next_request(stream: &mut UnixStream, read: &mut Vec<u8>) -> Option<String> {
    loop {
        while let Some(frame) = split(read, Peer::Child, &FrameLimits::default()).ok()? {
            let name = match frame.message().ok()? {
                Message::Request(request) => {
                    let target = String::from_utf8_lossy(request.facts.target);
                    let name = target.split("name=").nth(1).unwrap_or_default();
                    Some(name.split('&').next().unwrap_or_default().to_owned())
                }
                _ => None,
            };
            let size = frame.size;
            read.drain(..size);
            if name.is_some() {
                return name;
            }
        }
        more(stream, read)?;
    }
}

fn more(stream: &mut UnixStream, read: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 64 * 1024];
    let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
    read.extend_from_slice(&buffer[..count]);
    Some(())
}

/// Carries one act out; `false` when the connection is over.
fn carry_out(act: Act, stream: &mut UnixStream, read: &mut Vec<u8>) -> bool {
    match act {
        Act::Send(bytes) => stream.write_all(&bytes).is_ok(),
        Act::Descriptors(bytes, path, count) => {
            let file = File::open(path).expect("the file whose descriptor is sent");
            send_with(stream, &bytes, &file, count)
        }
        Act::Body => loop {
            while let Ok(Some(frame)) = split(read, Peer::Child, &FrameLimits::default()) {
                let is_end = matches!(frame.kind, Kind::InputEnd | Kind::InputFailed);
                let size = frame.size;
                read.drain(..size);
                if is_end {
                    return true;
                }
            }
            if more(stream, read).is_none() {
                return false;
            }
        },
        Act::Wait => {
            use rustix::event::{PollFd, PollFlags, poll};
            let _ = poll(&mut [PollFd::new(stream, PollFlags::empty())], None);
            false
        }
        Act::Deaf => stream.shutdown(Shutdown::Read).is_ok(),
        Act::Close => false,
        Act::Do(act) => {
            act(stream);
            false
        }
    }
}

fn send_with(stream: &UnixStream, bytes: &[u8], file: &File, count: usize) -> bool {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); 1024];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = vec![file.as_fd(); count];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)), "room for descriptors");
    sendmsg(stream, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).is_ok()
}
