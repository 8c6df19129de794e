//! Tests the order of messages: interim responses, responses before the end of the request, and
//! both directions at once. Each connection has one exchange, because the order itself is tested.

use crate::case::{Case, Content, Level, Need, Step, case, get, ok, pattern, post, status, talk};

pub(super) fn cases() -> Vec<Case> {
    [continues(), early(), duplex(), waits()].concat()
}

/// Makes a request head with a body of which nothing is sent.
fn head(path: &str, fields: &str) -> Step {
    Step::Write(format!("POST {{probe}}{path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes())
}

fn continues() -> Vec<Case> {
    const FIVE: &str = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    const CHUNKS: &str = "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n";
    let not_read = || ok().text("the request body was not read\n").header("Connection", "close");
    let mut cases = vec![
        talk(
            "one 100 when the body is read",
            vec![
                head("/echo", FIVE),
                Step::ReadInterim(100),
                Step::Write(b"hello".into()),
                Step::Read("POST", ok().text("hello")),
            ],
        ),
        talk(
            "one 100 when the body is read in pieces",
            vec![
                head("/discard", CHUNKS),
                Step::ReadInterim(100),
                Step::Write(b"1\r\na\r\n".into()),
                Step::Write(b"1\r\nb\r\n1\r\nc\r\n".into()),
                Step::Write(b"0\r\n\r\n".into()),
                Step::Read("POST", ok().holds(&["\"length\": 3"])),
            ],
        ),
        talk(
            "one 100 before the first byte is asked for, though the rest is not read",
            vec![
                head("/early", FIVE),
                Step::ReadInterim(100),
                Step::Write(b"hello".into()),
                Step::Read("POST", status(403)),
            ],
        ),
        talk(
            "no 100 when the body is not read",
            vec![head("/unread", FIVE), Step::Read("POST", not_read())],
        ),
        talk(
            "no 100 when chunks are not read",
            vec![head("/unread", CHUNKS), Step::Read("POST", not_read())],
        ),
        talk(
            "no 100 when the application refuses",
            vec![
                head("/status/401", FIVE),
                Step::Read("POST", status(401).header("Connection", "close")),
            ],
        ),
        talk(
            "no 100 behind a redirect inside the server",
            vec![
                head("/internal?to={probe}/echo", FIVE),
                Step::Read("POST", ok().empty().header("Connection", "close")),
            ],
        ),
        talk(
            "no 100 before an error",
            vec![
                head("/error?status=422", FIVE),
                Step::Read("POST", status(422).header("Connection", "close")),
            ],
        )
        .logs(Level::Info, "asked for an error"),
        talk(
            "an expectation that is none",
            vec![
                Step::Ask(get("/echo").header("Expect", "a-miracle"), status(417)),
                Step::ReadClose,
            ],
        )
        .needs(Need::Httpd),
        case(
            "no 100 to HTTP/1.0",
            post("/echo", Content::Bytes(b"hello")).header("Expect", "100-continue").http_1_0(),
            ok().text("hello"),
        ),
    ];
    for case in &mut cases {
        case.needs.push(Need::EarlyAnswer);
    }
    cases
}

fn early() -> Vec<Case> {
    const SIZE: usize = 1_000_000;
    let rest = || Step::Write(pattern(SIZE - 1));
    let sized = |path| {
        Step::Write(
            format!("POST {{probe}}{path} HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\nx")
                .into_bytes(),
        )
    };
    vec![
        talk(
            "an answer at the first byte, while the client still sends",
            vec![
                sized("/early"),
                Step::Read(
                    "POST",
                    status(403).text("refused at the first byte of the request body\n"),
                ),
                rest(),
            ],
        )
        .needs(Need::EarlyAnswer),
        talk(
            "an answer to an unread body, while the client still sends",
            vec![
                sized("/unread"),
                Step::Read("POST", ok().text("the request body was not read\n")),
                rest(),
            ],
        )
        .needs(Need::EarlyAnswer),
        talk(
            "an answer at the first chunk, while the client still sends",
            vec![
                head("/early", "Transfer-Encoding: chunked\r\n"),
                Step::Write(b"1\r\na\r\n".into()),
                Step::Read("POST", status(403)),
                Step::Write(b"5\r\nhello\r\n0\r\n\r\n".into()),
            ],
        )
        .needs(Need::EarlyAnswer),
    ]
}

fn duplex() -> Vec<Case> {
    vec![
        talk(
            "each chunk comes back before the next is sent",
            vec![
                head("/duplex", "Transfer-Encoding: chunked\r\n"),
                Step::Write(b"5\r\nhello\r\n".into()),
                Step::ReadHead(ok().header("Transfer-Encoding", "chunked")),
                Step::ReadChunk(b"hello"),
                Step::Write(b"1\r\n \r\n".into()),
                Step::ReadChunk(b" "),
                Step::Write(b"6\r\nworld!\r\n".into()),
                Step::ReadChunk(b"world!"),
                Step::Write(b"0\r\n\r\n".into()),
                Step::ReadLastChunk,
            ],
        )
        .needs(Need::Duplex),
        talk(
            "each piece of a body of known length comes back before the next is sent",
            vec![
                head("/duplex", "Content-Length: 9\r\n"),
                Step::Write(b"abc".into()),
                Step::ReadHead(ok()),
                Step::ReadChunk(b"abc"),
                Step::Write(b"def".into()),
                Step::ReadChunk(b"def"),
                Step::Write(b"ghi".into()),
                Step::ReadChunk(b"ghi"),
                Step::ReadLastChunk,
            ],
        )
        .needs(Need::Duplex),
        talk(
            "a 100 and then both directions",
            vec![
                head("/duplex", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"),
                Step::ReadInterim(100),
                Step::Write(b"2\r\nab\r\n".into()),
                Step::ReadHead(ok()),
                Step::ReadChunk(b"ab"),
                Step::Write(b"0\r\n\r\n".into()),
                Step::ReadLastChunk,
            ],
        )
        .needs(Need::Duplex),
        talk(
            "an echo gives back what has come while more is awaited",
            vec![
                head("/echo", "Content-Length: 6\r\n"),
                Step::Write(b"abc".into()),
                Step::ReadHead(ok().header("Content-Length", "6")),
                Step::Write(b"def".into()),
                Step::ReadBytes(b"abcdef"),
            ],
        )
        .needs(Need::Duplex),
    ]
}

fn waits() -> Vec<Case> {
    vec![
        case("a blocking wait", get("/sleep?ms=20"), ok().text("slept 20 ms\n")),
        case("an asynchronous wait", get("/wait?ms=20"), ok().text("waited 20 ms\n")),
        case("no wait", get("/wait?ms=0"), ok().text("waited 0 ms\n")),
        case("a wait that is too long", get("/wait?ms=60001"), status(400)),
        case(
            "an asynchronous wait with an unread body",
            post("/wait?ms=20", Content::Pattern(100_000)),
            ok().text("waited 20 ms\n"),
        ),
    ]
}
