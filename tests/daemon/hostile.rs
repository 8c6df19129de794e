//! An application process that was taken over: it runs under another user, and nothing that it
//! writes may hang, mislead or end httpd. The peer here listens on the socket of a real process.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use httpd_testkit::{Server, mpm_tests, proc};
use mod_rust::protocol::bridge::{HEADER, Kind, flags, put_header};

use crate::support::{self, Stage, setup};

/// Codes of the ErrorLog that say that a peer broke the protocol, or ended.
const TOLD: [&str; 3] = ["RUST0020", "RUST0021", "RUST0028"];

/// What the client of a hostile answer may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// A 502, since nothing has gone out.
    BadGateway,
    /// A response that breaks off.
    Broken,
}

fn frame(kind: Kind, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    put_header(&mut frame, kind, flags, u32::try_from(payload.len()).expect("a small payload"));
    frame.extend_from_slice(payload);
    frame
}

fn bytes(data: &[u8]) -> Vec<u8> {
    [&u32::try_from(data.len()).expect("small data").to_le_bytes(), data].concat()
}

fn fields(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in pairs {
        block.extend_from_slice(&u16::try_from(name.len()).expect("a short name").to_le_bytes());
        block.extend_from_slice(&u32::try_from(value.len()).expect("a short value").to_le_bytes());
        block.extend_from_slice(name.as_bytes());
        block.extend_from_slice(value.as_bytes());
    }
    bytes(&block)
}

const UNKNOWN: u64 = u64::MAX;

fn head_with(flags: u8, status: u16, length: u64, reason: &str, pairs: &[(&str, &str)]) -> Vec<u8> {
    let payload = [
        &status.to_le_bytes()[..],
        &length.to_le_bytes(),
        &bytes(reason.as_bytes()),
        &fields(pairs),
    ];
    frame(Kind::Head, flags, &payload.concat())
}

fn head(length: u64) -> Vec<u8> {
    head_with(0, 200, length, "", &[("Content-Type", "text/plain")])
}

/// A head that goes out at once.
fn sent_head(length: u64) -> Vec<u8> {
    head_with(flags::FLUSH, 200, length, "", &[("Content-Type", "text/plain")])
}

fn header(name: &str, value: &str) -> Vec<u8> {
    [head_with(0, 200, UNKNOWN, "", &[(name, value)]), body("x"), end(&[])].concat()
}

fn body(text: &str) -> Vec<u8> {
    frame(Kind::Body, 0, text.as_bytes())
}

fn end(trailers: &[(&str, &str)]) -> Vec<u8> {
    frame(Kind::End, 0, &[&fields(trailers)[..], &[0; 24]].concat())
}

fn status(code: u16, pairs: &[(&str, &str)]) -> Vec<u8> {
    frame(Kind::Status, 0, &[&code.to_le_bytes()[..], &fields(pairs), &[0; 24]].concat())
}

/// The bytes that a hostile process writes, after which it closes, and what a client then sees.
fn answers() -> Vec<(&'static str, Vec<u8>, Seen)> {
    use Seen::{BadGateway, Broken};
    let mut answers = vec![
        ("nothing", Vec::new(), BadGateway),
        ("noise", vec![0xff; 4096], BadGateway),
        ("HTTP", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec(), BadGateway),
        ("half a header", frame(Kind::End, 0, &[])[..5].to_vec(), BadGateway),
        ("half a frame", head(2)[..20].to_vec(), BadGateway),
        ("a frame of 4 GiB", [&[0xff; 4][..], &[18, 0, 0, 0]].concat(), BadGateway),
        ("a kind that is unknown", vec![0, 0, 0, 0, 99, 0, 0, 0], BadGateway),
        ("reserved bytes", vec![0, 0, 0, 0, 16, 0, 1, 0], BadGateway),
        ("a flag that is unknown", frame(Kind::Body, 0x80, b"x"), BadGateway),
        ("a frame of httpd's own side", frame(Kind::InputEnd, 0, &fields(&[])), BadGateway),
        ("BODY without HEAD", [body("x"), end(&[])].concat(), BadGateway),
        ("END without HEAD", end(&[]), BadGateway),
        ("FILE without HEAD", frame(Kind::File, 0, &[0; 16]), BadGateway),
        (
            "FILE without a descriptor",
            [head(1), frame(Kind::File, 0, &[0; 16])].concat(),
            BadGateway,
        ),
        ("two heads", [head(1), head(1)].concat(), BadGateway),
        ("two heads, one of them out", [sent_head(1), head(1)].concat(), Broken),
        ("a status behind a head", [sent_head(1), status(404, &[])].concat(), Broken),
        ("a body that is too short", [sent_head(10), body("12345"), end(&[])].concat(), Broken),
        ("a body that ends in the midst", [sent_head(10), body("12345")].concat(), Broken),
        ("chunks without an end", [sent_head(UNKNOWN), body("12345")].concat(), Broken),
        ("CONTINUE without a body", frame(Kind::Continue, 0, &[]), BadGateway),
        (
            "FILE behind a body",
            [sent_head(9), body("12345"), frame(Kind::File, 0, &[0; 16])].concat(),
            Broken,
        ),
        ("REPLY", frame(Kind::Reply, 0, b"{}"), BadGateway),
        ("an empty BODY", [sent_head(UNKNOWN), body("")].concat(), Broken),
        ("status 99", head_with(0, 99, UNKNOWN, "", &[]), BadGateway),
        ("status 101", head_with(0, 101, UNKNOWN, "", &[]), BadGateway),
        ("status 1000", head_with(0, 1000, UNKNOWN, "", &[]), BadGateway),
        ("a reason of two lines", head_with(0, 200, UNKNOWN, "OK\r\nX: y", &[]), BadGateway),
        ("STATUS 100", status(100, &[]), BadGateway),
        ("STATUS with framing", status(404, &[("Transfer-Encoding", "chunked")]), BadGateway),
        ("STATUS with a length", status(404, &[("Content-Length", "0")]), BadGateway),
        (
            "trailers with a length",
            [sent_head(UNKNOWN), body("x"), end(&[("Content-Length", "9")])].concat(),
            Broken,
        ),
        (
            "trailers of two lines",
            [sent_head(UNKNOWN), body("x"), end(&[("X-Sum", "a\r\nb")])].concat(),
            Broken,
        ),
        (
            "a trailer that ends behind its frame",
            frame(Kind::End, 0, &[&[0xff, 0, 0, 0][..], &[0; 24]].concat()),
            BadGateway,
        ),
    ];
    for (name, value) in [
        ("Content-Length", "1"),
        ("transfer-encoding", "chunked"),
        ("Connection", "close"),
        ("Upgrade", "websocket"),
        ("Keep-Alive", "timeout=9"),
        ("X", "a\r\nSet-Cookie: b"),
        ("X", "a\0b"),
        ("X: y\r\nZ", "a"),
        ("", "a"),
    ] {
        answers.push(("a header", header(name, value), BadGateway));
    }
    answers
}

/// What a peer does when it has read a request. It closes the connection after it.
type Act = Arc<dyn Fn(&mut UnixStream) + Send + Sync>;

fn says(bytes: Vec<u8>) -> Act {
    Arc::new(move |peer| {
        // httpd may close as soon as it has seen what is wrong.
        let _ = peer.write_all(&bytes);
    })
}

/// A peer in the place of the group's processes.
struct Peer {
    listeners: Vec<Arc<UnixListener>>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Peer {
    /// Listens where the group's processes do. A request whose target ends with `name=N` gets the
    /// answer N: httpd may send it again, where nothing shows that an application has seen it.
    fn take_over(stage: &Stage, answers: &[Act]) -> Self {
        let sockets = stage.app().sockets();
        let listeners: Vec<_> = sockets.iter().map(|(_, path)| Arc::new(listen(path))).collect();
        let answer_all = |listener: &Arc<UnixListener>| {
            let (listener, answers) = (Arc::clone(listener), answers.to_vec());
            thread::spawn(move || {
                while let Ok((mut peer, _)) = listener.accept() {
                    let number = take_request(&mut peer);
                    answers[number](&mut peer);
                }
            })
        };
        let threads = listeners.iter().map(answer_all).collect();
        Self { listeners, threads }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for listener in &self.listeners {
            // It wakes the thread that accepts.
            rustix::net::shutdown(listener, rustix::net::Shutdown::Both).expect("a listener");
        }
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the peer panicked");
        }
    }
}

fn listen(path: &Path) -> UnixListener {
    fs::remove_file(path).expect("a socket of the group's");
    let listener = UnixListener::bind(path).expect("its place");
    fs::set_permissions(path, Permissions::from_mode(0o666)).expect("its mode");
    listener
}

/// Reads HELLO and REQUEST, and returns the number that the request's target names.
fn take_request(peer: &mut UnixStream) -> usize {
    let mut payload = Vec::new();
    for _ in 0..2 {
        let mut header = [0; HEADER];
        peer.read_exact(&mut header).expect("a frame");
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        payload.resize(length as usize, 0);
        peer.read_exact(&mut payload).expect("its payload");
    }
    let text = String::from_utf8_lossy(&payload);
    let (_, rest) = text.split_once("/stage/run?name=").expect("its target");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

fn look(server: &Server, target: &str) -> Result<Seen, String> {
    let mut connection = server.connect();
    connection.write(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
    let response = connection.try_read_response("GET").map_err(|error| error.to_string())?;
    match response.status {
        502 if !response.end.is_truncated() => Ok(Seen::BadGateway),
        200 if response.end.is_truncated() => Ok(Seen::Broken),
        _ => Err(format!("{response:?}")),
    }
}

mpm_tests! {
    /// Each answer of the table, one after the other, before the same children.
    fn no_answer_of_a_process_misleads_httpd(mpm) {
        let stage = setup("threads=1 connect-timeout=5").mpm(mpm).allow(&TOLD).start();
        stage.app().wait_ready(1);
        let children = stage.children_pids();
        let table = answers();
        let acts: Vec<_> = table.iter().map(|(_, bytes, _)| says(bytes.clone())).collect();
        let peer = Peer::take_over(&stage, &acts);
        let mut wrong = Vec::new();
        for (number, (name, bytes, expected)) in table.iter().enumerate() {
            let seen = look(&stage, &support::run(&number.to_string(), ""));
            if seen.as_ref() != Ok(expected) {
                wrong.push(format!("{name}: {}: {seen:?}", bytes.escape_ascii()));
            }
        }
        drop(peer);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(stage.children_pids(), children);
    }
}

/// A stage whose one peer does this.
fn with_peer(group: &str, codes: &[&str], act: Act) -> (Peer, Stage) {
    let stage = setup(&format!("threads=1 connect-timeout=5 {group}"))
        .with(|builder| builder.conf("Timeout 30"))
        .allow(codes)
        .start();
    stage.app().wait_ready(1);
    (Peer::take_over(&stage, &[act]), stage)
}

/// The answer was complete before httpd could write the rest of the body.
#[test]
fn an_answer_that_came_before_a_write_failed_counts() {
    let refused = frame(
        Kind::Status,
        flags::CLOSE,
        &[&413_u16.to_le_bytes()[..], &fields(&[]), &[0; 24]].concat(),
    );
    // httpd is in the midst of writing when the connection ends.
    let act: Act = Arc::new(move |peer| {
        let _ = peer.read_exact(&mut vec![0; 1_000_000]);
        let _ = peer.write_all(&refused);
    });
    let (_peer, stage) = with_peer("", &[], act);
    for _ in 0..50 {
        let mut request = stage.request("POST", &support::run("0", ""));
        request = request.body(vec![b'b'; 3_000_000]);
        assert_eq!(request.send().status, 413);
    }
}

/// Bodies in pieces of a byte, for a client that does not read: httpd keeps what the option says,
/// and stops taking more.
#[test]
fn tiny_pieces_for_a_client_that_does_not_read() {
    const PIECES: usize = 4_000_000;
    let (sender, receiver) = mpsc::channel();
    let flood: Act = Arc::new(move |peer| {
        peer.set_write_timeout(Some(Duration::from_secs(2))).expect("a time-out");
        let frames = body("x").repeat(10_000);
        let written = peer
            .write_all(&sent_head(UNKNOWN))
            .and_then(|()| (0..PIECES / 10_000).try_for_each(|_| peer.write_all(&frames)));
        let _ = sender.send(written.map_err(|error| error.kind()));
    });
    let (_peer, stage) = with_peer("response-buffer-size=256K", &["RUST0021"], flood);
    let daemons = stage.app().pids();
    let children = stage.children_pids();
    let child =
        children.into_iter().find(|pid| !daemons.contains(pid)).expect("a child of httpd's");
    let before = proc::anon_kib(child).expect("its memory");
    let mut client = stage.send(&support::run("0", ""));
    client.read_head();
    let written = receiver.recv().expect("the peer is through");
    let grown = proc::anon_kib(child).expect("its memory") - before;
    assert_eq!(written, Err(ErrorKind::WouldBlock), "httpd takes no more than it may keep");
    assert!(grown < 8 * 1024, "{grown} KiB");
    client.reset();
}

/// A client that takes nothing is given up, also while the process goes on sending.
#[test]
fn a_process_that_trickles_does_not_keep_a_client_that_is_stuck() {
    let trickle: Act = Arc::new(|peer| {
        let large = "x".repeat(200_000);
        let mut piece = [sent_head(UNKNOWN), body(&large).repeat(40)].concat();
        // Until httpd closes the connection.
        while peer.write_all(&piece).is_ok() {
            piece = body("x");
            thread::sleep(Duration::from_millis(20));
        }
    });
    let (_peer, stage) = with_peer("response-socket-timeout=1", &[], trickle);
    let mut client = stage.send(&support::run("0", ""));
    client.read_head();
    let line = stage.wait_log("took nothing of the response for 1 s");
    assert!(line.contains("RUST0003"), "{line}");
    client.reset();
}
