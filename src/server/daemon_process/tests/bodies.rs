//! Bodies in both directions.

use std::fs::File;
use std::io::{BufRead as _, Read as _, Write as _};
use std::thread;

use bytes::Bytes;
use http::HeaderMap;

use super::peer::Answer;
use super::{Ask, Ending, TestProcess};
use crate::gateway::{
    Body, BodyStream, Environ, ErrorKind, FileBody, Pace, Result, StartResponse, app_fn,
};
use crate::protocol::bridge::InputFailure;

/// Bytes that are all different from their neighbours.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Answers how long the body was, and whether it was the pattern.
fn measure<'x>(mut environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    let announced = environ.input().length();
    let mut body = Vec::new();
    environ.input().read_to_end(&mut body)?;
    let good = body == pattern(body.len());
    let trailers = environ.input().trailers();
    let sum = trailers.map_or_else(String::new, |all| format!("{:?}", all.get("x-sum")));
    start_response.start(200, [("Content-Type", "text/plain")])?;
    Ok(Body::from(format!("{announced:?} {} {good} {sum}", body.len())))
}

fn echo<'x>(mut environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, [("Content-Type", "application/octet-stream")])?;
    Ok(Body::from_input(environ.take_input()))
}

#[test]
fn uploads_of_any_size() {
    let (harness, _runner) = TestProcess::open(&["threads=2"], measure);
    let mut peer = harness.connect(0);
    for length in [1, 7, 8, 9, 1000, 65_536, 131_072, 131_073, 3_000_000] {
        for known in [true, false] {
            let data = pattern(length);
            peer.ask(&Ask::post("/", known.then_some(length as u64)));
            for piece in data.chunks(60_000) {
                peer.input(piece);
            }
            peer.input_end(&[]);
            let announced = known.then_some(length);
            assert_eq!(peer.answer().text(), format!("{announced:?} {length} true "));
        }
    }
    harness.until("the load", || harness.board.slots[0].is_idle());
}

#[test]
fn frames_that_end_anywhere() {
    let (harness, _runner) = TestProcess::open(&["threads=1"], measure);
    let mut peer = harness.connect(0);
    for piece in [1, 2, 3, 5, 7, 11, 13, 64, 1000] {
        let mut out = Vec::new();
        peer.put(&mut out, &Ask::post("/", None));
        for data in pattern(251 * 40).chunks(251 * 3) {
            crate::protocol::bridge::put_input(&mut out, data.len() as u32);
            // The pattern begins anew every 251 bytes.
            out.extend_from_slice(data);
        }
        let mut fields = crate::protocol::bridge::FieldsEncoder::input_end(&mut out);
        fields.header(b"X-Sum", b"42");
        fields.finish(&crate::protocol::bridge::FrameLimits::default()).unwrap();
        for piece in out.chunks(piece) {
            peer.write(piece);
        }
        assert_eq!(peer.answer().text(), "None 10040 true Some(\"42\")");
    }
}

#[test]
fn downloads_of_any_size() {
    let app = app_fn(|environ: Environ<'_>, start_response: StartResponse<'_>| {
        let length: usize = String::from_utf8_lossy(&environ.path_info()[1..]).parse().unwrap();
        start_response.start(200, [("A", "b")])?;
        Ok(Body::from(pattern(length)))
    });
    let (harness, _runner) = TestProcess::open(&["threads=2"], app);
    let mut peer = harness.connect(0);
    for (target, length) in
        [("/0", 0), ("/1", 1), ("/8192", 8192), ("/8193", 8193), ("/10000000", 10_000_000)]
    {
        let answer = peer.get(target);
        assert_eq!(answer.length, Some(length as u64));
        assert!(answer.body == pattern(length), "{target}");
        assert_eq!(answer.ending(), &Ending::End(Vec::new()));
    }
}

struct Chunks(u32, usize);

impl BodyStream for Chunks {
    fn next_chunk(&mut self, pace: &mut dyn Pace) -> Result<Option<Bytes>> {
        if self.0 == 0 {
            return Ok(None);
        }
        self.0 -= 1;
        if self.1 > 0 {
            pace.must_wait()?;
        }
        Ok(Some(Bytes::from(vec![b'x'; self.1.max(10)])))
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checked", "yes".parse().unwrap());
        Some(trailers)
    }
}

#[test]
fn streams_are_flushed_as_they_ask_for_it() {
    let app = app_fn(|environ: Environ<'_>, start_response: StartResponse<'_>| {
        start_response.start(200, [("A", "b")])?;
        let size = if environ.path_info() == b"/flushed" { 1000 } else { 0 };
        Ok(Body::stream(Chunks(50, size)))
    });
    let (harness, _runner) = TestProcess::open(&[], app);
    let mut peer = harness.connect(0);
    let answer = peer.get("/flushed");
    assert_eq!((answer.length, answer.body.len()), (None, 50_000));
    assert_eq!(answer.flushes, 50, "the head, and each chunk but the last");
    let trailers = vec![("x-checked".to_owned(), "yes".to_owned())];
    assert_eq!(answer.ending(), &Ending::End(trailers));
    assert_eq!((peer.get("/").flushes, peer.get("/").body.len()), (0, 500));
}

#[test]
fn each_piece_comes_back_before_the_next_is_sent() {
    let (harness, _runner) = TestProcess::open(&["threads=1"], echo);
    let mut peer = harness.connect(0);
    peer.ask(&Ask::post("/", None));
    let mut answer = Answer::default();
    for turn in 1..=200 {
        peer.input(&pattern(500));
        peer.read_until(&mut answer, |answer| answer.body.len() == turn * 500);
    }
    peer.input_end(&[]);
    peer.read_until(&mut answer, |_| false);
    assert_eq!(answer.ending(), &Ending::End(Vec::new()));
}

#[test]
fn both_directions_are_full_at_once() {
    // It writes all of its response before it reads a byte, the child all of its request before it
    // could read one: only as the child's reader always reads, and the process takes in what it
    // can, do both get on.
    const LENGTH: usize = 6_000_000;
    let app = app_fn(|mut environ: Environ<'_>, start_response: StartResponse<'_>| {
        let mut writer = start_response.start(200, [("A", "b")])?;
        for piece in pattern(LENGTH).chunks(100_000) {
            writer.write_all(piece)?;
        }
        writer.flush()?;
        let mut body = Vec::new();
        environ.input().read_to_end(&mut body)?;
        assert_eq!(body.len(), LENGTH);
        Ok(Body::from("end"))
    });
    let (harness, _runner) = TestProcess::open(&["threads=1"], app);
    let mut peer = harness.connect(0);
    for _ in 0..3 {
        peer.ask(&Ask::post("/", Some(LENGTH as u64)));
        let mut writer = raw_writer(&peer);
        let sender = thread::spawn(move || {
            let mut out = Vec::new();
            for piece in pattern(LENGTH).chunks(64_000) {
                out.clear();
                crate::protocol::bridge::put_input(&mut out, piece.len() as u32);
                out.extend_from_slice(piece);
                writer.write_all(&out).unwrap();
            }
            out.clear();
            crate::protocol::bridge::put_input_end(&mut out);
            writer.write_all(&out).unwrap();
        });
        let answer = peer.answer();
        sender.join().unwrap();
        assert_eq!(answer.ending(), &Ending::End(Vec::new()));
        assert_eq!(answer.body.len(), LENGTH + 3);
    }
}

fn raw_writer(peer: &super::Peer) -> std::os::unix::net::UnixStream {
    peer.stream.try_clone().unwrap()
}

#[test]
fn an_early_answer_and_the_rest_of_the_body() {
    let app = app_fn(|mut environ: Environ<'_>, start_response: StartResponse<'_>| {
        let first = environ.input().fill_buf()?.len().min(1);
        environ.input().consume(first);
        start_response.start(403, [("A", "b")])?;
        Ok(Body::from("no"))
    });
    let (harness, _runner) = TestProcess::open(&["threads=1"], app);
    let mut peer = harness.connect(0);
    for _ in 0..3 {
        peer.ask(&Ask::post("/", None));
        peer.input(&pattern(200_000));
        assert_eq!(peer.answer().status, 403);
        // Pieces on their way still come, then the notice that they were not all.
        peer.input(&pattern(100_000));
        peer.input_stop();
    }
    peer.ask(&Ask::post("/", None));
    peer.input(&pattern(10));
    assert_eq!(peer.answer().status, 403);
    // The whole body came, whether or not anybody wanted it.
    peer.input_end(&[]);
    peer.ask(&Ask::post("/", Some(1)));
    peer.input(b"x");
    peer.input_end(&[]);
    assert_eq!(peer.answer().text(), "no");
    harness.until("the load", || harness.board.slots[0].is_idle());
}

#[test]
fn continue_is_sent_when_the_body_is_read() {
    let app = app_fn(|mut environ: Environ<'_>, start_response: StartResponse<'_>| {
        let mut text = String::new();
        if environ.path_info() == b"/read" {
            environ.input().read_to_string(&mut text)?;
        }
        start_response.start(200, [("A", "b")])?;
        Ok(Body::from(format!("read {text}")))
    });
    let (harness, _runner) = TestProcess::open(&["threads=1"], app);
    let mut peer = harness.connect(0);
    peer.ask(&Ask { expect: true, ..Ask::post("/read", Some(3)) });
    let mut answer = Answer::default();
    peer.read_until(&mut answer, |answer| answer.continues > 0);
    assert_eq!((answer.continues, answer.status), (1, 0));
    peer.input(b"abc");
    peer.input_end(&[]);
    peer.read_until(&mut answer, |_| false);
    assert_eq!((answer.continues, answer.text()), (1, "read abc"));
    // The application does not read it: no 100 is sent, and the child does not send the body.
    peer.ask(&Ask { expect: true, ..Ask::post("/unread", Some(3)) });
    let answer = peer.answer();
    assert_eq!((answer.continues, answer.text()), (0, "read "));
    peer.input_stop();
    assert_eq!(peer.get("/unread").text(), "read ");
}

#[test]
fn a_body_that_fails() {
    let (harness, _runner) = TestProcess::open(&["threads=1"], measure);
    let mut peer = harness.connect(0);
    for (failure, kind, status) in [
        (InputFailure::TooLarge, ErrorKind::InputTooLarge, 413),
        (InputFailure::Timeout, ErrorKind::InputTimeout, 408),
        (InputFailure::Malformed, ErrorKind::InputMalformed, 400),
        (InputFailure::Gone, ErrorKind::ClientGone, 400),
    ] {
        peer.ask(&Ask::post("/", None));
        peer.input(&pattern(1000));
        let mut out = Vec::new();
        crate::protocol::bridge::put_input_failed(&mut out, failure);
        peer.write(&out);
        let answer = peer.answer();
        let Ending::Failed(found, found_status, _) = answer.ending() else { panic!("{answer:?}") };
        assert_eq!((*found, *found_status), (kind, status));
    }
    // The connection is at rest after each of them.
    peer.ask(&Ask::post("/", Some(0)));
    assert_eq!(peer.answer().text(), "Some(0) 0 true ");
}

#[test]
fn files_go_by_their_descriptor() {
    let path = std::env::temp_dir().join(format!("mod_rust-file-{}", std::process::id()));
    std::fs::write(&path, "what is in the file").unwrap();
    let file = path.clone();
    let app = app_fn(move |environ: Environ<'_>, start_response: StartResponse<'_>| {
        start_response.start(200, [("A", "b")])?;
        let file = File::open(&file)?;
        Ok(Body::file(match environ.path_info() {
            b"/part" => FileBody::range(file, 5, 7)?,
            _ => FileBody::new(file)?,
        }))
    });
    let (harness, _runner) = TestProcess::open(&["threads=1"], app);
    let mut peer = harness.connect(0);
    let content = || "what is in the file".to_owned();
    for _ in 0..3 {
        let answer = peer.get("/whole");
        assert_eq!((answer.length, answer.body.len()), (Some(19), 0));
        assert_eq!(answer.files, [(0, 19, true, content())]);
        assert_eq!(answer.ending(), &Ending::End(Vec::new()));
        let answer = peer.get("/part");
        assert_eq!(answer.length, Some(7));
        assert_eq!(answer.files, [(5, 7, false, content())]);
        // The validators of a HEAD come from the file, too.
        peer.ask(&Ask { method: "HEAD", ..Ask::get("/whole") });
        let answer = peer.answer();
        assert_eq!((answer.status, answer.length, answer.files.len()), (200, Some(19), 1));
    }
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_head_has_no_body() {
    let app = app_fn(|_: Environ<'_>, start: StartResponse<'_>| {
        start.start(200, [("A", "b")])?;
        Ok(Body::from("four"))
    });
    let (harness, _runner) = TestProcess::open(&["threads=1"], app);
    let mut peer = harness.connect(0);
    peer.ask(&Ask { method: "HEAD", ..Ask::get("/") });
    let answer = peer.answer();
    assert_eq!((answer.status, answer.length, answer.body.len()), (200, Some(4), 0));
}
