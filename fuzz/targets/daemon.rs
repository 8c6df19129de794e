//! Anything from an httpd child, in any pieces, for a real daemon process: it answers each request
//! as the protocol has it, closes, and goes on to serve.
#![no_main]

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mod_rust::gateway::{Application, Body, Environ, Error, Level, Result, StartResponse, app_fn};
use mod_rust::internal::daemon_process::{Applications, Daemon, run};
use mod_rust::internal::os::{self, Event, monotonic_us};
use mod_rust::internal::process_group::{GroupOptions, ProcessState, Scoreboard};
use mod_rust::internal::protocol::bridge::{
    BridgeFlow, FrameLimits, InputFailure, Kind, Pairs, Peer, RequestEncoder, RequestFacts, TOKEN,
    put_header, put_hello, put_input_end, put_input_failed, put_input_stop, split,
};

const GROUP: [u8; TOKEN] = *b"sixteen bytes 16";

/// Nothing takes as long as this, unless it hangs.
const LONG: Duration = Duration::from_secs(8);

fuzz_target!(|given: &[u8]| {
    // First the cuts of the stream, then its content.
    let Some((&how, plan)) = given.split_first() else { return };
    let stream = stream(plan);
    let mut peer = connect();
    for piece in stream.chunks(usize::from(how) * 16 + 1) {
        // The process closes at the first frame that is wrong.
        if peer.write_all(piece).is_err() {
            break;
        }
    }
    let _ = peer.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    match peer.read_to_end(&mut answers) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("it hangs: {} of {}", answers.escape_ascii(), stream.escape_ascii())
        }
        _ => check(&stream, &answers),
    }
    // Another child is served whatever this one did.
    let mut peer = connect();
    let mut good = Vec::new();
    put_hello(&mut good, &GROUP);
    request(&mut good, 0, 0);
    peer.write_all(&good).expect("a process that takes requests");
    let mut start = [0; 5];
    peer.read_exact(&mut start).expect("its answer");
    assert_eq!(start[4], Kind::Head.number());
});

/// Makes a stream of the plan: bytes of it choose frames, or stand for themselves. A child sends
/// one REQUEST, and the next when it has the answer: there is one here, and what may follow it.
fn stream(mut plan: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut has_request = false;
    let mut next = || {
        let (&byte, rest) = plan.split_first()?;
        plan = rest;
        Some(byte)
    };
    while let Some(byte) = next() {
        match byte % 10 {
            0 => put_hello(&mut out, &GROUP),
            1..=3 if !has_request => {
                has_request = true;
                let (length, target) = (next().unwrap_or_default(), next().unwrap_or_default());
                request(&mut out, length, target);
            }
            1..=5 => {
                let length = next().unwrap_or_default();
                put_header(&mut out, Kind::Input, 0, u32::from(length));
                out.extend((0..length).map(|_| next().unwrap_or_default()));
            }
            6 => put_input_end(&mut out),
            7 => put_input_stop(&mut out),
            8 => put_input_failed(&mut out, InputFailure::Gone),
            _ => out.extend((0..byte / 10).map(|_| next().unwrap_or_default())),
        }
    }
    out
}

/// A REQUEST whose body has this length: 0 for none, 255 where nobody knows.
fn request(out: &mut Vec<u8>, length: u8, target: u8) {
    let upgrade = target % 2 == 1;
    let target = [b'/', b'0' + target % 8];
    let facts = RequestFacts {
        ticket: 1,
        incarnation: house().board.slots[0].incarnation(),
        sent_us: monotonic_us(),
        length: (length != 255).then_some(u64::from(length)),
        server: b"example.org",
        target: &target,
        expect: length % 3 == 1,
        upgrade,
        ..RequestFacts::default()
    };
    let mut request = RequestEncoder::begin(out, &facts);
    request.variable(b"REQUEST_METHOD", b"POST");
    request.variable(b"PATH_INFO", &target);
    request.headers().finish(&FrameLimits::default()).expect("a small request");
}

/// Holds what the process sent against the protocol, for the requests that the stream holds.
fn check(stream: &[u8], answers: &[u8]) {
    let limits = FrameLimits::default();
    let mut requests = Vec::new();
    let mut rest = stream;
    while let Ok(Some(frame)) = split(rest, Peer::Child, &limits) {
        if frame.kind == Kind::Request {
            requests.push(frame.flags);
        }
        rest = &rest[frame.size..];
    }
    let mut requests = requests.into_iter();
    let (mut rest, mut flow) = (answers, BridgeFlow::new());
    while let Some(frame) = split(rest, Peer::Daemon, &limits).expect("a good frame") {
        frame.message().expect("a good message");
        rest = &rest[frame.size..];
        match frame.kind {
            Kind::Refused => {
                assert!(rest.is_empty(), "frames behind REFUSED");
                return;
            }
            Kind::Reply => continue,
            _ => {}
        }
        if !flow.is_answering() {
            flow = BridgeFlow::of_request(
                requests.next().expect("an answer for each request at most"),
            );
        }
        flow.pass(frame.kind, frame.flags).expect("a frame whose turn it is");
    }
}

/// A process group of one process, whose end nobody waits for.
struct House {
    board: Scoreboard,
    path: std::path::PathBuf,
}

struct Built(Arc<dyn Application>);

impl Applications for Built {
    fn find(&self, index: u32, _: Pairs<'_>) -> Result<Arc<dyn Application>> {
        if index == 0 { Ok(self.0.clone()) } else { Err(Error::new("there is none")) }
    }
}

/// Reads none, some or all of the body, before or after it answers.
fn serve<'x>(mut environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let digit = environ.path_info().get(1).map_or(0, |digit| digit & 7);
    let mut some = [0; 3];
    match digit {
        0 => {}
        1 => drop(environ.input().read_all(1 << 20)?),
        2 => drop(environ.input().read(&mut some)?),
        3 => return Err(Error::new("as planned")),
        4 => {
            let mut writer = start_response.start(200, [("X-A", "b")])?;
            writer.write_all(b"first")?;
            writer.flush()?;
            writer.write_all(&environ.input().read_all(1 << 20)?)?;
            return Ok(Body::from("last"));
        }
        5 => return Ok(Body::internal_redirect("/elsewhere")),
        6 => drop(start_response.start(200, [("Content-Length", "9")])?),
        _ => drop(environ.input().read_all(2)?),
    }
    if digit != 6 {
        start_response.start(200, [("X-A", "b")])?;
    }
    Ok(Body::from("hello"))
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("fuzz-daemon-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket");
        let options = GroupOptions::parse("house", &["threads=2"]).expect("options");
        let board = Scoreboard::leaked(options.slots() as usize, 2);
        board.prepare(&options, monotonic_us());
        // Open for as long as this process lives.
        let (lifeline, kept) = std::io::pipe().expect("a pipe");
        std::mem::forget(kept);
        let uid = os::peer(UnixStream::pair().expect("a pair").0).expect("its user").uid;
        let daemon = Daemon {
            listener: listener.into(),
            lifeline: lifeline.into(),
            doorbell: Event::new().expect("an event counter").into(),
            signals: None,
            options,
            board,
            slot: 0,
            incarnation: board.slots[0].incarnation(),
            token: GROUP,
            peers: vec![uid],
            controllers: Vec::new(),
            build: Box::new(|| Ok(Arc::new(Built(Arc::new(app_fn(serve)))))),
            log: Arc::new(|level, line: &str| {
                // A panic of the kit's own.
                if level == Level::Error && line.contains("RUST0041") {
                    eprintln!("{line}");
                    std::process::abort();
                }
            }),
            abandon: Arc::new(|_| ()),
        };
        std::thread::spawn(move || run(daemon));
        while board.slots[0].state() != ProcessState::Ready {
            std::thread::yield_now();
        }
        House { board, path }
    })
}

fn connect() -> UnixStream {
    let peer = UnixStream::connect(&house().path).expect("the process");
    peer.set_read_timeout(Some(LONG)).expect("a time-out");
    peer.set_write_timeout(Some(LONG)).expect("a time-out");
    peer
}
