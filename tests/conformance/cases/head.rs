//! Tests the allowed and refused parts of a response head.

use crate::case::{Case, End, Field, Level, Need, Step, case, get, head, ok, status, talk};

pub(super) fn cases() -> Vec<Case> {
    [statuses(), kept(), refused(), lengths(), heads()].concat()
}

fn statuses() -> Vec<Case> {
    let mut cases = vec![
        case("a status below 200 is none to answer with", get("/status/199"), status(400)),
        talk(
            "a 204 has no body, and the next request is understood",
            vec![Step::Ask(get("/status/204"), status(204).empty().without("Transfer-Encoding"))],
        ),
        talk(
            "a 304 has no body, and the next request is understood",
            vec![Step::Ask(get("/status/304"), status(304).empty().without("Transfer-Encoding"))],
        ),
        case("a 205 has no body", get("/status/205"), status(205).empty()),
        case(
            "a redirect of the client",
            get("/redirect?to=http://example.test/x%3Fy"),
            status(302).header("Location", "http://example.test/x?y").text("see the Location\n"),
        ),
        case(
            "a redirect to a path",
            get("/redirect?to=environ"),
            status(302).header("Location", "environ"),
        ),
    ];
    for (target, code, text) in [
        ("/status/200", 200, "200 OK\n"),
        ("/status/201", 201, "201 Created\n"),
        ("/status/206", 206, "206 Partial Content\n"),
        ("/status/299", 299, "299 has no name\n"),
        ("/status/300", 300, "300 Multiple Choices\n"),
        ("/status/303", 303, "303 See Other\n"),
        ("/status/400", 400, "400 Bad Request\n"),
        ("/status/401", 401, "401 Unauthorized\n"),
        ("/status/404", 404, "404 Not Found\n"),
        ("/status/413", 413, "413 Payload Too Large\n"),
        ("/status/418", 418, "418 I'm a teapot\n"),
        ("/status/500", 500, "500 Internal Server Error\n"),
        ("/status/503", 503, "503 Service Unavailable\n"),
        ("/status/599", 599, "599 has no name\n"),
    ] {
        cases.push(case("a status with the application's own body", get(target), {
            status(code).text(text).end(End::Length).header_holds("Content-Type", "text/plain")
        }));
    }
    cases
}

fn kept() -> Vec<Case> {
    vec![
        case(
            "headers are repeated and in order",
            get("/headers?X-A=1&X-B=2&X-A=3&X-a=4"),
            ok().headers("X-A", &["1", "3", "4"]).field(Field::Order(
                "x-",
                &[("X-A", "1"), ("X-B", "2"), ("X-A", "3"), ("X-a", "4")],
            )),
        ),
        case(
            "cookies are kept apart",
            get("/headers?Set-Cookie=a%3D1%2C2&Set-Cookie=b%3D2%3B%20Path%3D/"),
            ok().headers("Set-Cookie", &["a=1,2", "b=2; Path=/"]),
        ),
        case(
            "an empty value and one with odd bytes",
            get("/headers?X-Empty=&X-Tab=a%09b&X-Utf8=%c3%a4"),
            ok().header("X-Empty", "").header("X-Tab", "a\tb").header("X-Utf8", "ä"),
        ),
        case(
            "a type of the application's",
            get("/headers?Content-Type=text/x-odd;%20q%3D1"),
            ok().header("Content-Type", "text/x-odd; q=1"),
        ),
        case(
            "a value of 7000 bytes",
            get(format!("/headers?X-Long={}", "v".repeat(7000))),
            ok().header_holds("X-Long", "vvvvvvvvvv"),
        ),
    ]
}

fn refused() -> Vec<Case> {
    let mut cases = Vec::new();
    for (target, record) in [
        ("/headers?Connection=close", "header \"Connection\" belongs to the connection"),
        ("/headers?Keep-Alive=x", "header \"Keep-Alive\" belongs to the connection"),
        ("/headers?Proxy-Authenticate=x", "\"Proxy-Authenticate\" belongs to the connection"),
        ("/headers?Proxy-Authorization=x", "\"Proxy-Authorization\" belongs to the connection"),
        ("/headers?Proxy-Connection=x", "\"Proxy-Connection\" belongs to the connection"),
        ("/headers?TE=x", "header \"TE\" belongs to the connection"),
        ("/headers?transfer-encoding=chunked", "\"transfer-encoding\" belongs to the connection"),
        ("/headers?Upgrade=x", "header \"Upgrade\" belongs to the connection"),
        ("/headers?Status=200", "header \"Status\" is refused: the status goes to"),
        ("/headers?X-Cr-Lf=a%0d%0aX-Evil:%20b", "header \"X-Cr-Lf\" is refused"),
        ("/headers?X-Lf=a%0aX-Evil:%20b", "header \"X-Lf\" is refused"),
        ("/headers?X-Cr=a%0db", "header \"X-Cr\" is refused"),
        ("/headers?X-Nul=a%00b", "header \"X-Nul\" is refused"),
        ("/headers?X-Del=a%7fb", "header \"X-Del\" is refused"),
        ("/headers?Content-Type=a/b%0d%0aX-Evil:%20b", "header \"Content-Type\" is refused"),
        ("/headers?X-Name%0d%0aX-Evil=a", "header \"X-Name"),
        ("/headers?X%20Blank=a", "header \"X Blank\" is refused"),
        ("/headers?X-Colon%3A=a", "header \"X-Colon:\" is refused"),
        ("/headers?=a", "header \"\" is refused"),
        ("/redirect?to=/a%0d%0aX-Evil:%20b", "header \"Location\" is refused"),
    ] {
        let expect = status(500).holds(&["the server's own 500"]).without("X-Evil");
        cases
            .push(case("a header that is refused", get(target), expect).logs(Level::Error, record));
    }
    cases
}

fn lengths() -> Vec<Case> {
    // The body of `/headers` has 16 bytes.
    let own_500 = || status(500).holds(&["the server's own 500"]);
    vec![
        case(
            "a right Content-Length",
            get("/headers?Content-Length=16"),
            ok().header("Content-Length", "16").text("see the headers\n").end(End::Length),
        ),
        case("a small Content-Length", get("/headers?Content-Length=5"), own_500())
            .logs(Level::Error, "Content-Length is 5, but the body has 16 bytes"),
        case("a large Content-Length", get("/headers?Content-Length=17"), own_500())
            .logs(Level::Error, "Content-Length is 17, but the body has 16 bytes"),
        case(
            "two Content-Lengths, even if they agree",
            get("/headers?Content-Length=16&content-length=16"),
            own_500(),
        )
        .logs(Level::Error, "Content-Length is given twice"),
        case("a negative Content-Length", get("/headers?Content-Length=-16"), own_500())
            .logs(Level::Error, "Content-Length \"-16\" is not a number of bytes"),
        case("a Content-Length with a plus", get("/headers?Content-Length=%2b16"), own_500())
            .logs(Level::Error, "Content-Length \"+16\" is not a number of bytes"),
        case("a Content-Length list", get("/headers?Content-Length=16,%2016"), own_500())
            .logs(Level::Error, "Content-Length \"16, 16\" is not a number of bytes"),
        case(
            "a Content-Length beyond 64 bits",
            get("/headers?Content-Length=18446744073709551616"),
            own_500(),
        )
        .logs(Level::Error, "Content-Length \"18446744073709551616\" is not a number of bytes"),
        case(
            "more bytes than the length says, before anything went out",
            get("/panic-late?after=5000&length=100"),
            own_500(),
        )
        .logs(Level::Error, "Content-Length is 100, but the body has more: at least 5000 bytes"),
        case(
            "more bytes than the length says, after some went out",
            get("/panic-late?after=200000&length=70000"),
            ok().pattern(70_000).end(End::Broken),
        )
        .needs(Need::BrokenEnd)
        .logs(Level::Error, "Content-Length is 70000, but the body has more: at least"),
    ]
}

fn heads() -> Vec<Case> {
    let mut cases = vec![
        case(
            "a HEAD of an endless stream returns at once",
            head("/stream?chunks=inf&ms=1000"),
            ok().empty().without("Content-Length"),
        ),
        case("a HEAD of endless events", head("/events"), {
            ok().empty().header("Content-Type", "text/event-stream")
        }),
        case(
            "a HEAD of more bytes than there are",
            head("/bytes/9223372036854775807"),
            ok().empty().header("Content-Length", "9223372036854775807"),
        ),
        case("a HEAD of a body that would panic", head("/panic-late"), ok().empty()),
        case("a HEAD of an error", head("/error"), status(500).empty())
            .logs(Level::Error, "asked for an error"),
    ];
    for target in [
        "/bytes/12345",
        "/stream?chunks=3",
        "/wait?ms=0",
        "/sleep?ms=0",
        "/headers?X-A=1&X-A=2&ETag=%22e%22",
        "/status/404",
        "/status/204",
        "/status/304",
        "/status/503",
        "/redirect?to=x",
        "/config",
        "/discard",
        "/unread",
        "/early",
        "/nothing",
        "/internal?to={probe}/bytes/9",
    ] {
        cases.push(talk("a HEAD has the headers of a GET", vec![Step::HeadLikeGet(target)]));
    }
    cases.push(
        talk(
            "a HEAD of a file has the headers of a GET",
            vec![
                Step::HeadLikeGet("/file?path=digits.txt"),
                Step::HeadLikeGet("/file?path=large.bin"),
                Step::HeadLikeGet("/file?path=none"),
            ],
        )
        .needs(Need::Files),
    );
    cases
}
