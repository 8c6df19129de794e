//! Counts the allocations of the gateway protocols' codecs: none for a request once their buffers
//! are warm, and none for an announced length.
//!
//! The test runs only without the httpd layers, because an executable has none of httpd's symbols.
#![cfg(not(feature = "httpd"))]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use http::StatusCode;
use mod_rust::internal::protocol::fastcgi::{
    self as fcgi, OpenRecord, ParamsReader, RecordContent, RecordKind, RequestFlow, Role,
};
use mod_rust::internal::protocol::params::{ParamLimits, Params};
use mod_rust::internal::protocol::{head, scgi, uwsgi};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Counts what this thread allocates.
struct Counting;

// SAFETY: the system's allocator does it all; growing goes through `alloc`, as GlobalAlloc has it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        BYTES.set(BYTES.get() + layout.size());
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and their bytes.
fn allocated(run: impl FnOnce()) -> (usize, usize) {
    let (count, bytes) = (ALLOCATIONS.get(), BYTES.get());
    run();
    (ALLOCATIONS.get() - count, BYTES.get() - bytes)
}

fn params() -> Params {
    let mut params = Params::new();
    params.push(b"CONTENT_LENGTH", b"0");
    params.push(b"SCGI", b"1");
    for key in 0..50 {
        params.push(format!("HTTP_X_{key}").as_bytes(), &[b'v'; 200]);
    }
    params
}

/// A request and its response in each protocol.
struct Peer {
    sent: Params,
    got: Params,
    reader: ParamsReader,
    wire: Vec<u8>,
}

impl Peer {
    fn scgi(&mut self) {
        self.wire.clear();
        scgi::encode(&self.sent, &mut self.wire).unwrap();
        let head = scgi::decode(&self.wire, &ParamLimits::default(), &mut self.got).unwrap();
        assert_eq!(head.map(|head| head.size), Some(self.wire.len()));
    }

    fn uwsgi(&mut self) {
        self.wire.clear();
        uwsgi::encode(&self.sent, &mut self.wire).unwrap();
        let head = uwsgi::decode(&self.wire, &ParamLimits::default(), &mut self.got).unwrap();
        assert_eq!(head.map(|head| head.size), Some(self.wire.len()));
    }

    /// Feeds pieces of seven bytes, so that pairs span them.
    fn fastcgi(&mut self) {
        let Self { sent, got, reader, wire } = self;
        wire.clear();
        got.clear();
        fcgi::put_begin(wire, 1, Role::RESPONDER, true);
        fcgi::put_params(wire, 1, sent).unwrap();
        fcgi::put_stream_end(wire, RecordKind::STDIN, 1);
        let (mut rest, mut flow) = (&wire[..], RequestFlow::begin(Role::RESPONDER));
        while let Some(record) = fcgi::split(rest).unwrap() {
            match record.message().unwrap() {
                RecordContent::Begin(1, _) => {}
                message => {
                    flow.pass(&record.header).unwrap();
                    if let RecordContent::Params(1, bytes) = message {
                        for piece in bytes.chunks(7) {
                            reader.feed(piece, got, &ParamLimits::default()).unwrap();
                        }
                    }
                }
            }
            rest = &rest[record.size()..];
        }
        reader.finish().unwrap();
        assert!(flow.is_whole() && rest.is_empty() && got.len() == sent.len());
    }

    fn response(&mut self) {
        self.wire.clear();
        let open = OpenRecord::begin(&mut self.wire, RecordKind::STDOUT, 1);
        head::write_status(&mut self.wire, StatusCode::OK, None);
        head::write_header(&mut self.wire, b"Content-Type", b"text/plain");
        head::write_length(&mut self.wire, 13);
        head::write_end(&mut self.wire);
        self.wire.extend_from_slice(b"Hello, world\n");
        open.close(&mut self.wire);
        let record = fcgi::split(&self.wire).unwrap().unwrap();
        let (head, size) = head::parse(record.content, &ParamLimits::default()).unwrap().unwrap();
        assert_eq!(
            (head.content_length(), &record.content[size..]),
            (Some(13), &b"Hello, world\n"[..])
        );
    }
}

#[test]
fn warm_buffers_are_enough() {
    assert!(allocated(|| drop(params())).0 > 0, "nothing is counted");
    let mut peer =
        Peer { sent: params(), got: Params::new(), reader: ParamsReader::new(), wire: Vec::new() };
    for (what, run) in [
        ("SCGI", Peer::scgi as fn(&mut Peer)),
        ("uwsgi", Peer::uwsgi),
        ("FastCGI", Peer::fastcgi),
        ("a response", Peer::response),
    ] {
        run(&mut peer);
        let (count, _) = allocated(|| (0..100).for_each(|_| run(&mut peer)));
        assert_eq!(count, 0, "{what}");
    }
}

#[test]
fn announced_lengths_cost_nothing() {
    let limits = ParamLimits { head: 1 << 30, pairs: 1000 };
    let mut params = Params::new();
    let (count, _) = allocated(|| {
        assert_eq!(scgi::decode(b"999999999:CONTENT_LENGTH", &limits, &mut params), Ok(None));
        assert!(scgi::decode(b"99999999999", &limits, &mut params).is_err());
        assert_eq!(uwsgi::decode(b"\0\xff\xff\0\xff\xff", &limits, &mut params), Ok(None));
        assert_eq!(fcgi::split(b"\x01\x04\0\x01\xff\xff\xff\0abc"), Ok(None));
        let mut reader = ParamsReader::new();
        assert!(reader.feed(&[0xff; 8], &mut params, &limits).is_err());
    });
    assert_eq!(count, 0);
    // Half a gigabyte is announced, within the limit: what came is held.
    let (_, bytes) = allocated(|| {
        let mut reader = ParamsReader::new();
        reader.feed(b"\x01\xa0\0\0\0Aabc", &mut params, &limits).unwrap();
    });
    assert!(bytes < 100, "{bytes} bytes");
}
