//! Many requests on one connection, and HTTP/1.0.

use crate::case::{Case, Content, End, Step, case, get, head, ok, post, status, talk};

pub(super) fn cases() -> Vec<Case> {
    vec![
        kept(),
        pipelined(),
        talk(
            "the client wants to close",
            vec![Step::Ask(
                get("/bytes/9").header("Connection", "close"),
                ok().pattern(9).header("Connection", "close"),
            )],
        ),
        case("HTTP/1.0", get("/bytes/9").http_1_0(), ok().pattern(9).end(End::Length)),
        case("HTTP/1.0 has no chunks", get("/stream?chunks=3&size=5").http_1_0(), {
            ok().text("xxxxxxxxxxxxxxx").end(End::Close).without("Transfer-Encoding")
        }),
        case("a HEAD by HTTP/1.0", head("/bytes/9").http_1_0(), {
            ok().empty().header("Content-Length", "9")
        }),
        case(
            "a body by HTTP/1.0",
            post("/echo", Content::Bytes(b"hello")).http_1_0(),
            ok().text("hello").end(End::Length),
        ),
        talk(
            "HTTP/1.0 keeps a connection that it wants to keep",
            vec![
                Step::Ask(
                    get("/bytes/9").header("Connection", "keep-alive").http_1_0(),
                    ok().pattern(9).header("Connection", "Keep-Alive").end(End::Length),
                ),
                Step::Ask(
                    post("/unread", Content::Bytes(b"hello"))
                        .header("Connection", "keep-alive")
                        .http_1_0(),
                    ok().header("Connection", "Keep-Alive"),
                ),
                Step::Ask(
                    get("/stream?chunks=2&size=3").header("Connection", "keep-alive").http_1_0(),
                    ok().text("xxxxxx").end(End::Close),
                ),
            ],
        ),
    ]
}

/// Makes every kind of request and response follow every other, one at a time.
fn kept() -> Case {
    let steps = [
        (get("/bytes/3"), ok().pattern(3)),
        (post("/echo", Content::Chunks(&[b"a", b"b"])), ok().text("ab")),
        (head("/stream?chunks=inf"), ok().empty()),
        (get("/status/204"), status(204).empty()),
        (post("/unread", Content::Bytes(b"hello")), ok()),
        (get("/status/304"), status(304).empty()),
        (get("/stream?chunks=3&size=2"), ok().text("xxxxxx")),
        (post("/discard", Content::Pattern(100_000)), ok().holds(&["\"length\": 100000"])),
        (get("/file?path=digits.txt"), ok()),
        (post("/early", Content::Chunks(&[b"a", b"b"])), status(403)),
        (get("/wait?ms=1"), ok().text("waited 1 ms\n")),
        (get("/internal?to={probe}/bytes/4"), ok().pattern(4)),
        (get("/status/404"), status(404)),
    ];
    talk(
        "one connection for all",
        steps.into_iter().map(|(ask, expect)| Step::Ask(ask, expect)).collect(),
    )
}

/// Sends twenty of the same requests before it reads the first response.
fn pipelined() -> Case {
    const CHUNKED: &str = "Transfer-Encoding: chunked\r\n\r\n";
    let requests = [
        ("GET", "/bytes/3", "\r\n", ok().pattern(3)),
        ("POST", "/echo", "Content-Length: 5\r\n\r\nhello", ok().text("hello")),
        ("HEAD", "/bytes/1000", "\r\n", ok().empty()),
        ("GET", "/status/204", "\r\n", status(204).empty()),
        ("POST", "/echo", &format!("{CHUNKED}2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), ok().text("abc")),
        ("GET", "/stream?chunks=3&size=2", "\r\n", ok().text("xxxxxx")),
        ("POST", "/unread", "Content-Length: 7\r\n\r\nGET / x", ok()),
        ("GET", "/status/304", "\r\n", status(304).empty()),
        ("POST", "/unread", &format!("{CHUNKED}1\r\na\r\n0\r\nX-T: 1\r\n\r\n"), ok()),
        ("POST", "/early", "Content-Length: 3\r\n\r\nabc", status(403)),
        ("HEAD", "/stream?chunks=inf", "\r\n", ok().empty()),
        ("GET", "/bytes/70000", "\r\n", ok().pattern(70_000)),
        ("POST", "/duplex", &format!("{CHUNKED}2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"), ok().text("abc")),
        ("BREW", "/bytes/2", "\r\n", ok().pattern(2)),
        ("GET", "/file?path=empty.txt", "\r\n", ok().empty()),
        ("PUT", "/discard", "Content-Length: 3\r\n\r\nabc", ok().holds(&["\"length\": 3"])),
        ("GET", "/wait?ms=1", "\r\n", ok().text("waited 1 ms\n")),
        ("GET", "/redirect?to=x", "\r\n", status(302).header("Location", "x")),
        ("GET", "/status/404", "\r\n", status(404).text("404 Not Found\n")),
        ("GET", "/bytes/0", "\r\n", ok().empty().end(End::Length)),
    ];
    let mut all = String::new();
    let mut steps = Vec::new();
    for (method, target, rest, expect) in requests {
        all += &format!("{method} {{probe}}{target} HTTP/1.1\r\nHost: a\r\n{rest}");
        steps.push(Step::Read(method, expect));
    }
    steps.insert(0, Step::Write(all.into_bytes()));
    talk("twenty requests at once", steps)
}
