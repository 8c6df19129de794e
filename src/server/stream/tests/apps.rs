//! An application with a job for each path.

use std::io::{BufRead as _, Read as _, Write as _};
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;

use super::harness::LONG;
use crate::gateway::{
    Application, Body, Environ, Error, ErrorKind, Fill, Level, StartResponse, app_fn,
};

/// Requests wait here until the test lets them go on.
#[derive(Clone, Default)]
pub(in crate::server) struct Gate {
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    arrived: usize,
    open: bool,
    /// The ends of requests, for the test to see.
    notes: Vec<String>,
}

impl Gate {
    /// Announces a request and waits.
    fn pass(&self) {
        let (state, news) = &*self.state;
        let mut locked = state.lock().unwrap();
        locked.arrived += 1;
        news.notify_all();
        let (_locked, waited) = news.wait_timeout_while(locked, LONG, |state| !state.open).unwrap();
        assert!(!waited.timed_out(), "the gate stayed closed");
    }

    pub(in crate::server) fn open(&self) {
        let (state, news) = &*self.state;
        state.lock().unwrap().open = true;
        news.notify_all();
    }

    pub(in crate::server) fn shut(&self) {
        self.state.0.lock().unwrap().open = false;
    }

    fn is_open(&self) -> bool {
        self.state.0.lock().unwrap().open
    }

    /// Returns how many have arrived.
    pub(in crate::server) fn arrived(&self) -> usize {
        self.state.0.lock().unwrap().arrived
    }

    /// Waits until so many have arrived.
    pub(in crate::server) fn until_arrived(&self, count: usize) {
        let (state, news) = &*self.state;
        let locked = state.lock().unwrap();
        let (_locked, waited) =
            news.wait_timeout_while(locked, LONG, |state| state.arrived < count).unwrap();
        assert!(!waited.timed_out(), "{count} requests did not arrive");
    }

    pub(in crate::server) fn note(&self, note: impl Into<String>) {
        let (state, news) = &*self.state;
        state.lock().unwrap().notes.push(note.into());
        news.notify_all();
    }

    pub(in crate::server) fn forget_notes(&self) {
        self.state.0.lock().unwrap().notes.clear();
    }

    /// Waits for a note with this text.
    pub(in crate::server) fn until_noted(&self, text: &str) {
        let (state, news) = &*self.state;
        let locked = state.lock().unwrap();
        let missing = |state: &mut State| !state.notes.iter().any(|note| note.contains(text));
        let (locked, waited) = news.wait_timeout_while(locked, LONG, missing).unwrap();
        assert!(!waited.timed_out(), "no note {text:?}: {:?}", locked.notes);
    }
}

/// Makes the application. Each path is a job, and some of them wait at `gate`.
pub(in crate::server) fn test_application(gate: &Gate) -> impl Application + use<> {
    let gate = gate.clone();
    app_fn(move |mut environ: Environ<'_>, start_response: StartResponse<'_>| {
        let path = String::from_utf8_lossy(environ.get("PATH_INFO").unwrap_or(b"/")).into_owned();
        let query = String::from_utf8_lossy(environ.get("QUERY_STRING").unwrap_or_default());
        let number = query.parse::<usize>().unwrap_or(0);
        let start = |start_response: StartResponse<'_>| {
            start_response.start(200, [("Content-Type", "text/plain")]).map(drop)
        };
        match path.as_str() {
            "/echo" => {
                let mut body = Vec::new();
                environ.input().read_to_end(&mut body)?;
                start(start_response)?;
                Ok(Body::from(body))
            }
            "/count" => {
                let mut count = 0;
                loop {
                    let there = environ.input().fill_buf()?.len();
                    if there == 0 {
                        break;
                    }
                    count += there;
                    environ.input().consume(there);
                }
                start(start_response)?;
                Ok(Body::from(count.to_string()))
            }
            "/duplex" => {
                let mut writer = start_response.start(200, [("Content-Type", "text/plain")])?;
                while let Some(chunk) = environ.input().chunk(4096)? {
                    writer.write_all(&chunk)?;
                    writer.flush()?;
                }
                Ok(Body::empty())
            }
            "/early" => {
                start_response.start(403, [("Content-Type", "text/plain")])?;
                Ok(Body::from("no"))
            }
            "/gate" => {
                gate.pass();
                start(start_response)?;
                Ok(Body::from("through"))
            }
            // Waits at the gate, then reads: what it finds is noted.
            "/gate-read" => {
                gate.pass();
                let mut body = Vec::new();
                let read = environ.input().read_to_end(&mut body);
                if let Err(error) = read {
                    let error = Error::from(error);
                    gate.note(format!("read failed: {:?}", error.kind()));
                    return Err(error);
                }
                start(start_response)?;
                Ok(Body::from(body))
            }
            // Asks for input without a wait until the gate is open, and counts in the notes.
            "/poll" => {
                let mut asked = 0;
                while !gate.is_open() {
                    if let Fill::NotYet = environ.input().fill(false)? {
                        asked += 1;
                        gate.note(format!("asked {asked} times"));
                    }
                }
                let mut body = Vec::new();
                environ.input().read_to_end(&mut body)?;
                start(start_response)?;
                Ok(Body::from(body))
            }
            // Waits at the gate, then writes until that fails.
            "/gate-write" => {
                let mut writer = start_response.start(200, [("Content-Type", "text/plain")])?;
                gate.pass();
                loop {
                    if let Err(error) =
                        writer.write_all(&[b'x'; 4096]).and_then(|()| writer.flush())
                    {
                        let error = Error::from(error);
                        gate.note(format!("write failed: {:?}", error.kind()));
                        return Err(error);
                    }
                }
            }
            "/large" => {
                start(start_response)?;
                Ok(Body::from(vec![b'y'; number]))
            }
            "/stream" => {
                start(start_response)?;
                let chunks = (0..number).map(|_| Ok(Bytes::from_static(b"0123456789")));
                Ok(Body::from_chunks(chunks))
            }
            "/log" => {
                writeln!(environ.errors(), "a line for the log")?;
                environ.errors().log(Level::Warn, "a warning");
                environ.errors().log(Level::Warn, "odd \u{1b}[1m\n[error] forged");
                start(start_response)?;
                Ok(Body::from("logged"))
            }
            "/environ" => {
                let mut all = Vec::new();
                environ.each(&mut |key: &[u8], value: &[u8]| {
                    all.push(format!(
                        "{}={}\n",
                        String::from_utf8_lossy(key),
                        String::from_utf8_lossy(value)
                    ));
                });
                all.sort();
                start(start_response)?;
                Ok(Body::from(all.concat()))
            }
            "/fail" => Err(Error::new("it fails")),
            "/panic" => panic!("it panics"),
            "/broken" => {
                environ.input().read_to_end(&mut Vec::new())?;
                let mut writer = start_response.start(200, [("Content-Type", "text/plain")])?;
                writer.write_all(&vec![b'z'; number])?;
                writer.flush()?;
                Err(Error::of(ErrorKind::Application, "it breaks"))
            }
            "/redirect" => Ok(Body::internal_redirect("/hello")),
            "/authorize" => {
                start_response.start(200, [("Variable-AUTH_METHOD", "by hand")])?;
                Ok(Body::empty())
            }
            _ => {
                start(start_response)?;
                Ok(Body::from("Hello, world\n"))
            }
        }
    })
}
