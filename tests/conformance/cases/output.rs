//! Response bodies: their bytes, their framing, and when they go out.

use crate::case::{Body, Case, End, Need, Step, case, get, ok, status, talk};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "chunks of unknown number",
            get("/stream?chunks=3&size=4"),
            ok().text("xxxxxxxxxxxx").end(End::Chunked).without("Content-Length"),
        ),
        case(
            "large chunks",
            get("/stream?chunks=4&size=200000"),
            ok().body(Body::Bytes(vec![b'x'; 800_000])).end(End::Chunked),
        ),
        case("a WebSocket that nobody asks for", get("/ws"), status(426)),
        case("no chunk at all", get("/stream?chunks=0"), ok().empty()),
        case("a bad number of bytes", get("/bytes/x"), status(400)),
        // Were anything held back for more to come, this would take hours: 64 KiB are reached after
        // 65,536 seconds.
        talk(
            "each chunk goes out at once, before the next is made",
            vec![
                Step::Write(
                    b"GET {probe}/stream?chunks=inf&size=1&ms=1000 HTTP/1.1\r\nHost: a\r\n\r\n"
                        .into(),
                ),
                Step::ReadHead(ok().header("Transfer-Encoding", "chunked")),
                Step::ReadChunk(b"x"),
                Step::ReadChunk(b"x"),
                Step::Leave,
            ],
        )
        .needs(Need::Streaming),
        talk(
            "events of an asynchronous application",
            vec![
                Step::Write(b"GET {probe}/events?ms=100 HTTP/1.1\r\nHost: a\r\n\r\n".into()),
                Step::ReadHead(
                    ok().header("Content-Type", "text/event-stream")
                        .header("Transfer-Encoding", "chunked"),
                ),
                Step::ReadChunks(b"id: 1\ndata: 1\n\nid: 2\ndata: 2\n\nid: 3\ndata: 3\n\n"),
                Step::Leave,
            ],
        )
        .needs(Need::Streaming),
        talk(
            "the first event does not wait for the second",
            vec![
                Step::Write(b"GET {probe}/events?ms=60000 HTTP/1.1\r\nHost: a\r\n\r\n".into()),
                Step::ReadHead(ok()),
                Step::ReadChunk(b"id: 1\ndata: 1\n\n"),
                Step::Leave,
            ],
        )
        .needs(Need::Streaming),
    ];
    for length in [0, 1, 8191, 8192, 65_510, 65_511, 65_536, 1_000_000] {
        let target = format!("/bytes/{length}");
        cases.push(case("a known length", get(target), ok().pattern(length).end(End::Length)));
    }
    cases
}
