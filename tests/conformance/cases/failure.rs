//! Applications that fail: before anything went out the server answers, after that the client sees
//! that the response is broken.

use crate::case::{Case, Content, End, Level, Need, Step, case, get, head, ok, post, status, talk};

const ERROR: &str = "asked for an error";
const PANIC: &str = "asked for a panic";
const LATE: &str = "asked for a late panic";

pub(super) fn cases() -> Vec<Case> {
    [before(), after(), crashes(), logs()].concat()
}

fn before() -> Vec<Case> {
    let own_500 = || status(500).holds(&["the server's own 500"]);
    vec![
        case("an error", get("/error"), own_500()).logs(Level::Error, ERROR),
        case("an error with a status", get("/error?status=404"), {
            status(404).header_holds("Content-Type", "text/html")
        })
        .logs(Level::Info, ERROR),
        case(
            "an error in the midst of a body that comes",
            post("/error", Content::Pattern(100_000)),
            own_500(),
        )
        .logs(Level::Error, ERROR),
        case("a panic", get("/panic"), own_500()).logs(Level::Error, PANIC),
        case("a panic under a HEAD", head("/panic"), status(500).empty()).logs(Level::Error, PANIC),
        case("a panic in the body before its first chunk", get("/panic-late?after=0"), own_500())
            .logs(Level::Error, LATE),
        case(
            "a panic behind a redirect inside the server",
            get("/internal?to={probe}/panic"),
            own_500(),
        )
        .logs(Level::Error, PANIC),
        case(
            "a redirect inside the server to nothing",
            get("/internal?to={probe}/nothing"),
            status(404),
        ),
        case(
            "a redirect inside the server to no path",
            get("/internal?to=http://example.test/"),
            own_500(),
        )
        .logs(Level::Error, "internal redirect to \"http://example.test/\""),
    ]
}

fn after() -> Vec<Case> {
    let broken = |length| ok().pattern(length).end(End::Broken);
    let mut cases = vec![
        case("a late panic, chunked", get("/panic-late?after=1000"), broken(1000)),
        case("a late panic after many bytes", get("/panic-late?after=300000"), broken(300_000)),
        case(
            "a late panic one byte short of the length",
            get("/panic-late?after=1000&length=1001"),
            broken(1000),
        ),
        case(
            "a late panic far short of the length",
            get("/panic-late?after=70000&length=1000000"),
            broken(70_000),
        ),
        case(
            "a late panic while the client still sends",
            post("/panic-late?after=1000", Content::PatternChunks(3_000_000, 65_536)),
            broken(1000),
        ),
        case(
            "a late panic to HTTP/1.0 with a length",
            get("/panic-late?after=1000&length=2000").header("Connection", "keep-alive").http_1_0(),
            broken(1000),
        ),
        case("a late panic to HTTP/1.0", get("/panic-late?after=1000").http_1_0(), broken(1000))
            .needs(Need::Reset),
        case(
            "a late panic to HTTP/1.0 after many bytes",
            get("/panic-late?after=300000").header("Connection", "keep-alive").http_1_0(),
            broken(300_000),
        )
        .needs(Need::Reset),
        case(
            "a late panic behind a redirect inside the server",
            get("/internal?to={probe}/panic-late"),
            broken(1000),
        ),
        // The length is kept, so nothing can be seen of the panic; nothing need be.
        talk(
            "nothing follows a broken response on its connection",
            vec![
                Step::Write(
                    b"GET {probe}/panic-late?after=10 HTTP/1.1\r\nHost: a\r\n\r\n\
                      GET {probe}/bytes/3 HTTP/1.1\r\nHost: a\r\n\r\n"
                        .into(),
                ),
                Step::ReadHead(ok()),
                Step::ReadChunk(b"\0\x01\x02\x03\x04\x05\x06\x07\x08\x09"),
                Step::ReadClose,
            ],
        ),
    ];
    for case in &mut cases {
        case.needs.push(Need::BrokenEnd);
        case.logs.push((Level::Error, LATE));
    }
    cases
}

fn crashes() -> Vec<Case> {
    ["/exit", "/abort", "/segv", "/segv?after=5"]
        .map(|target| {
            let expect = status(403).holds(&["allowed where the option allow-crash is On"]);
            case("a crash that is not allowed", get(target), expect)
        })
        .to_vec()
}

fn logs() -> Vec<Case> {
    let answer = || ok().text("logged, if the server's log takes that level\n");
    let mut cases = vec![
        case("a bad level", get("/log?level=loud"), status(400)),
        case(
            "two lines through the errors stream",
            get("/log?via=errors&text=errors-one%0Aerrors-two"),
            answer(),
        )
        .logs(Level::Error, "errors-one")
        .logs(Level::Error, "errors-two"),
        case(
            "control characters in the log are harmless",
            get("/log?level=info&text=odd-%00-%1b-%07-%0d-%c3%a4-%ff-%0a-even-end"),
            answer(),
        )
        .logs(Level::Info, "odd-")
        .logs(Level::Info, "-even-end"),
    ];
    for (target, level, text) in [
        ("/log?level=error&text=environ-error", Level::Error, "environ-error"),
        ("/log?level=warn&text=environ-warn", Level::Warn, "environ-warn"),
        ("/log?level=info&text=environ-info", Level::Info, "environ-info"),
        ("/log?level=debug&text=environ-debug", Level::Debug, "environ-debug"),
        ("/log?level=trace&text=environ-trace", Level::Trace, "environ-trace"),
        ("/log?via=log&level=error&text=facade-error", Level::Error, "probe: facade-error"),
        ("/log?via=log&level=warn&text=facade-warn", Level::Warn, "probe: facade-warn"),
        ("/log?via=log&level=info&text=facade-info", Level::Info, "probe: facade-info"),
        ("/log?via=log&level=debug&text=facade-debug", Level::Debug, "probe: facade-debug"),
        ("/log?via=log&level=trace&text=facade-trace", Level::Trace, "probe: facade-trace"),
    ] {
        cases.push(case("a record at its level", get(target), answer()).logs(level, text));
    }
    cases
}
