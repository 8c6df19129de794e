//! Request bodies: read, half read and not read, of known length and chunked.

use crate::case::{Ask, Body, Case, Content, End, Need, Step, case, get, ok, post, status, talk};

const MIB: usize = 1 << 20;

pub(super) fn cases() -> Vec<Case> {
    [echo(), discard(), unread(), malformed()].concat()
}

fn echo() -> Vec<Case> {
    let mut cases = vec![
        case("an echo of nothing", get("/echo"), ok().empty()),
        case("an echo of no bytes", post("/echo", Content::Bytes(b"")), ok().empty()),
        case("an echo of no chunks", post("/echo", Content::Chunks(&[])), ok().empty()),
        case(
            "an echo keeps the type and every byte",
            post("/echo", Content::Bytes(b"a\0b\r\n\r\n\xff")).header("Content-Type", "a/b; c=d"),
            ok().header("Content-Type", "a/b; c=d")
                .body(Body::Bytes(b"a\0b\r\n\r\n\xff".to_vec()))
                .end(End::Length),
        ),
        case(
            "an echo of chunks, with trailers after them",
            post("/echo", Content::Chunks(&[b"one ", b"", b"two ", b"three"]))
                .header("Trailer", "X-Sum")
                .trailer("X-Sum", "13"),
            ok().text("one two three"),
        ),
        talk(
            "an echo of chunks with extensions and odd sizes",
            vec![
                Step::Write(
                    b"POST {probe}/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                      0005;name=\"value\"\r\nhello\r\nA\r\n0123456789\r\n000;last\r\nX-T: 1\r\n\r\n"
                        .into(),
                ),
                Step::Read("POST", ok().text("hello0123456789")),
            ],
        ),
    ];
    for length in [1, 65_536, 10 * MIB] {
        cases.push(case(
            "an echo of known length",
            post("/echo", Content::Pattern(length)),
            ok().pattern(length).end(End::Length),
        ));
        cases.push(case(
            "an echo of chunks",
            post("/echo", Content::PatternChunks(length, 100_000)).trailer("X-Last", "x"),
            // A server may know the length of a short one before it sends the head.
            ok().pattern(length).end(if length > 1 { End::Chunked } else { End::Whole }),
        ));
    }
    cases
}

fn discard() -> Vec<Case> {
    let mut cases = vec![case(
        "a body that is read with PUT",
        Ask { method: "PUT", ..post("/discard", Content::Bytes(b"abc")) },
        // FIPS 180-2, B.1.
        ok().holds(&["ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]),
    )];
    for content in [Content::Pattern(2 * MIB), Content::PatternChunks(2 * MIB, 30_011)] {
        cases.push(case(
            "a body that is read to its last byte",
            post("/discard", content),
            ok().holds(&["\"length\": 2097152", PATTERN_SHA256]),
        ));
    }
    cases
}

/// Of the first two MiB of the pattern.
const PATTERN_SHA256: &str = "1e075c8d478ad21844e33e830a695ef03a4d2488b69ee275bd8947618bb1be1e";

fn unread() -> Vec<Case> {
    let answer = || ok().text("the request body was not read\n");
    vec![
        case("an unread body", post("/unread", Content::Bytes(b"hello")), answer()),
        case("a large unread body", post("/unread", Content::Pattern(3 * MIB)), answer()),
        case(
            "unread chunks",
            post("/unread", Content::PatternChunks(300_000, 7_001)).trailer("X-T", "1"),
            answer(),
        ),
        talk(
            "an unread body is not taken for the next request",
            vec![
                Step::Write(
                    b"POST {probe}/unread HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\n\
                      GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n\
                      GET {probe}/bytes/3 HTTP/1.1\r\nHost: a\r\n\r\n"
                        .into(),
                ),
                Step::Read("POST", answer()),
                Step::Read("GET", ok().pattern(3)),
            ],
        ),
        talk(
            "unread chunks are not taken for the next request",
            vec![
                Step::Write(
                    b"POST {probe}/unread HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                      26\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n\r\n0\r\n\r\n\
                      GET {probe}/bytes/3 HTTP/1.1\r\nHost: a\r\n\r\n"
                        .into(),
                ),
                Step::Read("POST", answer()),
                Step::Read("GET", ok().pattern(3)),
            ],
        ),
        case(
            "a GET with a body",
            Ask { method: "GET", ..post("/bytes/3", Content::Bytes(b"hello")) },
            ok().pattern(3),
        ),
        case(
            "a HEAD with a body",
            Ask { method: "HEAD", ..post("/bytes/3", Content::Chunks(&[b"hello"])) },
            ok().empty().header("Content-Length", "3"),
        ),
        case(
            "a DELETE whose body is echoed",
            Ask { method: "DELETE", ..post("/echo", Content::Bytes(b"hello")) },
            ok().text("hello"),
        ),
        case(
            "a body of which one byte is read",
            post("/early", Content::Bytes(b"hello")),
            status(403).text("refused at the first byte of the request body\n"),
        ),
        case(
            "a chunked body of which one byte is read",
            post("/early", Content::Chunks(&[b"hello", b"world"])),
            status(403).text("refused at the first byte of the request body\n"),
        ),
        case(
            "a body of which one byte could be read, and there is none",
            get("/early"),
            status(403).text("refused: the request has no body\n"),
        ),
        case(
            "the body of a request that is redirected inside the server is not read again",
            post("/internal?to={probe}/environ/there%3Fa=b", Content::Bytes(b"hello"))
                .header("Content-Type", "a/b"),
            ok().holds(&[
                "\"REQUEST_METHOD\": \"GET\"",
                "\"PATH_INFO\": \"/environ/there\"",
                "\"QUERY_STRING\": \"a=b\"",
                "\"REDIRECT_STATUS\": \"200\"",
            ]),
        ),
        case(
            "an echo that a redirect inside the server leads to is one of nothing",
            post("/internal?to={probe}/echo", Content::Bytes(b"hello")),
            ok().empty(),
        ),
        case(
            "chunks before a redirect inside the server",
            post("/internal?to={probe}/discard", Content::Chunks(&[b"hello", b"world"])),
            ok().holds(&["\"length\": 0"]),
        ),
    ]
}

fn malformed() -> Vec<Case> {
    let chunked = |path: &str, body: &str| {
        let head = "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        Step::Write(format!("POST {{probe}}{path} {head}{body}").into_bytes())
    };
    vec![
        talk(
            "a body with a malformed chunk",
            vec![
                chunked("/discard", "5\r\nhello\r\nzz\r\n"),
                Step::Read("POST", status(400)),
                Step::Leave,
            ],
        ),
        talk(
            "a chunk that is longer than it says",
            vec![
                chunked("/discard", "5\r\nhello!\r\n0\r\n\r\n"),
                Step::Read("POST", status(400)),
                Step::Leave,
            ],
        ),
        talk(
            "a body that is cut off",
            vec![
                Step::Write(
                    b"POST {probe}/discard HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello"
                        .into(),
                ),
                Step::CloseWrite,
                Step::Read("POST", status(400)),
                Step::Leave,
            ],
        )
        .needs(Need::HalfClose),
        talk(
            "chunks that are cut off",
            vec![
                chunked("/discard", "5\r\nhello\r\n"),
                Step::CloseWrite,
                Step::Read("POST", status(400)),
                Step::Leave,
            ],
        )
        .needs(Need::HalfClose),
        talk(
            "an answer on its way is broken by a malformed chunk",
            vec![
                chunked("/duplex", "5\r\nhello\r\n"),
                Step::ReadHead(ok()),
                Step::ReadChunk(b"hello"),
                Step::Write(b"zz\r\n".into()),
                Step::ReadBroken,
            ],
        )
        .needs(Need::Duplex)
        .needs(Need::BrokenEnd),
        talk(
            "an answer on its way is broken by a body that is cut off",
            vec![
                Step::Write(
                    b"POST {probe}/duplex HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello"
                        .into(),
                ),
                Step::ReadHead(ok()),
                Step::ReadChunk(b"hello"),
                Step::CloseWrite,
                Step::ReadBroken,
            ],
        )
        .needs(Need::Duplex)
        .needs(Need::BrokenEnd)
        .needs(Need::HalfClose),
    ]
}
