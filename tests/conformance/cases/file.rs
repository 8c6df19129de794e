//! The file wrapper: validators, conditional requests (RFC 9110, 13) and ranges (14), as for the
//! server's own files.

use crate::case::{
    Ask, Case, End, Expect, Field, Need, Step, ask, case, get, head, ok, status, talk,
};

const DIGITS: &str = "/file?path=digits.txt";
/// The file's modification time, and times before and after it.
const THEN: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
const BEFORE: &str = "Sat, 08 Sep 2001 01:46:40 GMT";
const AFTER: &str = "Mon, 10 Sep 2001 01:46:40 GMT";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = [plain(), conditional(), ranges()].concat();
    for case in &mut cases {
        case.needs.push(Need::Files);
    }
    cases
}

fn digits() -> Ask {
    get(DIGITS)
}

fn all_digits() -> Expect {
    ok().text(concat!(
        "0123456789012345678901234567890123456789012345678",
        "901234567890123456789012345678901234567890123456789"
    ))
    .end(End::Length)
}

fn part(range: &'static str, text: &'static str) -> Expect {
    status(206).header("Content-Range", range).text(text).end(End::Length)
}

fn plain() -> Vec<Case> {
    vec![
        case(
            "a file",
            digits(),
            all_digits()
                .header("Content-Type", "text/plain; charset=utf-8")
                .header("Last-Modified", THEN)
                .header("Accept-Ranges", "bytes")
                .header_holds("ETag", "\""),
        ),
        case("a file by HEAD", head(DIGITS), {
            ok().empty().header("Content-Length", "100").header("Last-Modified", THEN)
        }),
        case("a file by POST", ask("POST", DIGITS), all_digits()),
        case("an empty file", get("/file?path=empty.txt"), ok().empty()),
        case("a large file", get("/file?path=large.bin"), ok().pattern(300_000).end(End::Length)),
        case("no such file", get("/file?path=none"), status(404)),
        case("a file out of reach", get("/file?path=../x"), status(403)),
    ]
}

fn conditional() -> Vec<Case> {
    let not_modified = || status(304).empty().without("Content-Type");
    // Each starts with a request that makes {etag} known.
    let then = |name, ask: Ask, expect: Expect| {
        talk(name, vec![Step::Ask(head(DIGITS), ok()), Step::Ask(ask, expect)])
    };
    vec![
        then(
            "If-None-Match with the tag",
            digits().header("If-None-Match", "{etag}"),
            not_modified().field(Field::Holds("ETag", "\"")),
        ),
        then(
            "If-None-Match with the tag among others",
            digits().header("If-None-Match", "\"a\", W/{etag}, \"b\""),
            not_modified(),
        ),
        then("If-None-Match *", digits().header("If-None-Match", "*"), not_modified()),
        then(
            "If-None-Match by HEAD",
            head(DIGITS).header("If-None-Match", "{etag}"),
            not_modified(),
        ),
        then("If-None-Match with another", digits().header("If-None-Match", "\"a\""), all_digits()),
        then(
            "If-None-Match goes before If-Modified-Since",
            digits().header("If-None-Match", "\"a\"").header("If-Modified-Since", "{modified}"),
            all_digits(),
        ),
        then(
            "If-Modified-Since then",
            digits().header("If-Modified-Since", "{modified}"),
            not_modified(),
        ),
        case(
            "If-Modified-Since after",
            digits().header("If-Modified-Since", AFTER),
            not_modified(),
        ),
        case(
            "If-Modified-Since before",
            digits().header("If-Modified-Since", BEFORE),
            all_digits(),
        ),
        case(
            "If-Modified-Since a word",
            digits().header("If-Modified-Since", "then"),
            all_digits(),
        ),
        then("If-Match with the tag", digits().header("If-Match", "{etag}"), all_digits()),
        then("If-Match *", digits().header("If-Match", "*"), all_digits()),
        then("If-Match with another", digits().header("If-Match", "\"a\""), status(412)),
        case(
            "If-Unmodified-Since then",
            digits().header("If-Unmodified-Since", THEN),
            all_digits(),
        ),
        case(
            "If-Unmodified-Since before",
            digits().header("If-Unmodified-Since", BEFORE),
            status(412),
        ),
    ]
}

fn ranges() -> Vec<Case> {
    let range = |range: &str| digits().header("Range", range);
    let unsatisfiable = || status(416).holds(&["the server's own 416"]);
    vec![
        case("a range", range("bytes=2-5"), part("bytes 2-5/100", "2345")),
        case("a range of one byte", range("bytes=0-0"), part("bytes 0-0/100", "0")),
        case("a range to the end", range("bytes=95-"), part("bytes 95-99/100", "56789")),
        case("a range beyond the end", range("bytes=95-200"), part("bytes 95-99/100", "56789")),
        case("a suffix", range("bytes=-3"), part("bytes 97-99/100", "789")),
        case(
            "a suffix that is longer than the file",
            range("bytes=-200"),
            // All of it: httpd answers as if no range were asked for, or with the whole range.
            status(206).header("Content-Range", "bytes 0-99/100"),
        ),
        case("a range that cannot be", range("bytes=100-"), unsatisfiable()),
        case("a range far out", range("bytes=200-300"), unsatisfiable()),
        case("a range that is none", range("bytes=5-2"), all_digits()),
        case("a range in another unit", range("lines=1-2"), all_digits()),
        case("a range by HEAD", head(DIGITS).header("Range", "bytes=2-5"), ok().empty()),
        case(
            "two ranges",
            range("bytes=0-1,50-52"),
            status(206)
                .header_holds("Content-Type", "multipart/byteranges; boundary=")
                .without("Content-Range")
                .holds(&[
                    "Content-range: bytes 0-1/100\r\n\r\n01\r\n",
                    "Content-range: bytes 50-52/100\r\n\r\n012\r\n",
                    "Content-type: text/plain; charset=utf-8\r\n",
                ]),
        ),
        talk(
            "If-Range with the tag",
            vec![
                Step::Ask(head(DIGITS), ok()),
                Step::Ask(
                    range("bytes=2-5").header("If-Range", "{etag}"),
                    part("bytes 2-5/100", "2345"),
                ),
            ],
        ),
        case(
            "If-Range with another tag",
            range("bytes=2-5").header("If-Range", "\"a\""),
            all_digits(),
        ),
        case(
            "If-Range with the time",
            range("bytes=2-5").header("If-Range", THEN),
            part("bytes 2-5/100", "2345"),
        ),
        case(
            "If-Range with another time",
            range("bytes=2-5").header("If-Range", BEFORE),
            all_digits(),
        ),
        case(
            "a range of a large file",
            get("/file?path=large.bin").header("Range", "bytes=100400-100403"),
            // 100,400 is 400 times 251.
            part("bytes 100400-100403/300000", "\0\u{1}\u{2}\u{3}"),
        ),
        case(
            "an unknown length has no ranges",
            get("/stream?chunks=3").header("Range", "bytes=2-5"),
            ok().without("Content-Range"),
        ),
    ]
}
