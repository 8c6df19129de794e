//! Tests methods and targets, which the application gets unchanged.

use crate::case::{Case, Content, End, Need, ask, case, get, head, ok, post, status};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case("a GET", get("/bytes/5"), ok().pattern(5).end(End::Length)),
        case("a HEAD", head("/bytes/5"), ok().header("Content-Length", "5").empty()),
        case(
            "TRACE is the server's own",
            ask("TRACE", "/bytes/5").header("X-Mark", "traced"),
            ok().header("Content-Type", "message/http").holds(&["TRACE ", "X-Mark: traced"]),
        )
        .needs(Need::Httpd),
        case("OPTIONS * is the server's own", ask("OPTIONS", "*"), ok().empty()).needs(Need::Httpd),
        case(
            "a target in absolute form",
            get("{scheme}://example.test{probe}/environ/a?b"),
            ok().holds(&[
                "\"HTTP_HOST\": \"example.test\"",
                "\"PATH_INFO\": \"/environ/a\"",
                "\"QUERY_STRING\": \"b\"",
            ]),
        ),
        case(
            "every byte of a path",
            get("/environ/%41%20%22%c3%a4%ff%5c%3b;x=%25?%41%20%ff+%"),
            ok().holds(&[
                r#""PATH_INFO": "/environ/A \"ä\\xff\\\\;;x=%""#,
                r#""QUERY_STRING": "%41%20%ff+%""#,
            ]),
        ),
        case(
            "dots and slashes are resolved",
            get("/./status/../environ//a/%2e%2e/b/"),
            ok().holds(&["\"PATH_INFO\": \"/environ/b/\""]),
        ),
        case("an unknown path", get("/nothing"), status(404).holds(&["/environ[/…]"])),
        case(
            "the options of the mount",
            get("/config"),
            ok().header("Content-Type", "application/json")
                .holds(&["\"note\": \"conformance\"", "\"allow-crash\": false"]),
        ),
        case(
            "a target of 8000 bytes",
            get(format!("/environ/{}", "p".repeat(8000))),
            ok().holds(&[concat!("/environ/", "pppppppppp")]),
        ),
        case("a target that is too long", get(format!("/{}", "p".repeat(9000))), status(414))
            .needs(Need::Httpd),
        case(
            "a header of 8000 bytes",
            get("/environ").header("X-Long", "h".repeat(8000)),
            ok().holds(&["\"HTTP_X_LONG\": \"hhhhhhhhhh"]),
        ),
        case(
            "a header that is too long",
            get("/environ").header("X-Long", "h".repeat(9000)),
            status(400),
        )
        .needs(Need::Httpd),
        case(
            "80 headers",
            (0..80).fold(get("/environ"), |ask, _| ask.header("X-Many", "m")),
            ok().holds(&["\"HTTP_X_MANY\": \"m, m, m"]),
        ),
        case(
            "headers whose names make no variable",
            get("/environ").header("X_Under", "u").header("X.Dot", "d").header("Proxy", "p"),
            ok().holds(&["\"REQUEST_METHOD\""]),
        ),
        case(
            "a body whose type and length the application sees",
            post("/environ", Content::Bytes(b"hello")).header("Content-Type", "a/b"),
            ok().holds(&["\"CONTENT_LENGTH\": \"5\"", "\"CONTENT_TYPE\": \"a/b\""]),
        ),
    ];
    // An application answers every method: those that httpd knows, and others.
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "BREW", "get"] {
        let shown = format!("\"REQUEST_METHOD\": \"{method}\"");
        cases.push(case("any method", ask(method, "/environ"), ok().holds(&[&shown])));
    }
    cases
}
