use http::StatusCode;

use super::*;

const LIMITS: ParamLimits = ParamLimits { head: 150, pairs: 4 };

/// Parses the whole, after every part of it said that more is wanted or the same error.
fn parse_all(bytes: &[u8]) -> Result<CgiHead<'_>, HeadError> {
    let whole = parse(bytes, &LIMITS);
    for end in 0..bytes.len() {
        let part = parse(&bytes[..end], &LIMITS);
        match whole {
            Ok(Some((_, size))) if end < size => assert_eq!(part, Ok(None), "{end}"),
            Ok(_) => assert_eq!(part, whole, "{end}"),
            Err(_) => assert!(part == Ok(None) || part == whole, "{end}: {part:?}"),
        }
    }
    whole.map(|head| head.expect("the head is whole").0)
}

#[test]
fn kinds_of_responses() {
    type Case<'a> = (&'a [u8], ResponseKind, Option<u16>, u16, &'a [u8]);
    let cases: [Case<'_>; 12] = [
        (b"Content-Type: a/b\n\n", ResponseKind::Document, None, 200, b""),
        (
            b"content-type:a/b\r\nSTATUS:  404  Not there \r\n\r\n",
            ResponseKind::Document,
            Some(404),
            404,
            b" Not there",
        ),
        (b"Status: 204\n\n", ResponseKind::Document, Some(204), 204, b""),
        (b"Status: 299 \n\n", ResponseKind::Document, Some(299), 299, b""),
        (b"Location: /a?b\r\n\r\n", ResponseKind::LocalRedirect, None, 200, b""),
        (b"Location: http://a/\n\n", ResponseKind::ClientRedirect, None, 302, b""),
        (
            b"Location: http://a/\nStatus: 308 Permanent\n\n",
            ResponseKind::ClientRedirect,
            Some(308),
            308,
            b"Permanent",
        ),
        (
            b"Location: /a\nStatus: 302 Found\n\n",
            ResponseKind::ClientRedirect,
            Some(302),
            302,
            b"Found",
        ),
        (
            b"Location: /a\nStatus: 201 Created\n\n",
            ResponseKind::Document,
            Some(201),
            201,
            b"Created",
        ),
        (b"HTTP/1.1 404 Gone\r\nStatus-X: 1\r\n\r\n", ResponseKind::Nph, Some(404), 404, b"Gone"),
        (b"HTTP/1.0 200\r\n\r\n", ResponseKind::Nph, Some(200), 200, b""),
        (b"HTTP/1.1 302 Found\nLocation: /a\n\n", ResponseKind::Nph, Some(302), 302, b"Found"),
    ];
    for (bytes, response, status, code, reason) in cases {
        let head = parse_all(bytes).unwrap();
        assert_eq!(
            (head.response(), head.status()),
            (response, status),
            "{}",
            bytes.escape_ascii()
        );
        assert_eq!((head.code(), head.reason()), (code, reason));
        let (_, size) =
            parse(&[bytes, b"body\n\n"].concat(), &LIMITS).map(|it| it.unwrap()).unwrap();
        assert_eq!(size, bytes.len());
    }
}

#[test]
fn fields_are_found() {
    let bytes = b"X-A:  one two\t\r\nStatus: 200 OK\r\nLocation: x:y\r\nx-a: \xff\r\n\r\n";
    let head = parse_all(bytes).unwrap();
    let expected = [(&b"X-A"[..], &b"one two"[..]), (b"Location", b"x:y"), (b"x-a", b"\xff")];
    assert_eq!(head.headers().collect::<Vec<_>>(), expected);
    assert_eq!((head.header(b"x-A"), head.header(b"status")), (Some(&b"one two"[..]), None));
    assert_eq!((head.location(), head.content_length()), (Some(&b"x:y"[..]), None));
    let head = parse_all(b"Status: 200\nContent-Length: 7\nContent-length: 7\n\n").unwrap();
    assert_eq!(head.content_length(), Some(7));
}

#[test]
fn heads_that_are_refused() {
    let cases: [(&[u8], usize, HeadErrorKind); 26] = [
        (b"\n", 0, HeadErrorKind::Colon),
        (b"X: y\n\n", 0, HeadErrorKind::NoCgiField),
        (b"Status: 200\nno colon\n\n", 12, HeadErrorKind::Colon),
        (b"Status: 200\n: x\n\n", 12, HeadErrorKind::Name),
        (b"Status: 200\nX : x\n\n", 12, HeadErrorKind::Name),
        (b"Status: 200\n X: folded\n\n", 12, HeadErrorKind::Name),
        (b"Status: 200\nX\0: x\n\n", 12, HeadErrorKind::Name),
        (b"Status: 200\nX: a\0b\n\n", 12, HeadErrorKind::Value),
        (b"Status: 200\nX: a\rb\n\n", 12, HeadErrorKind::Value),
        (b"Status: 20\n\n", 0, HeadErrorKind::Status),
        (b"Status: 2000\n\n", 0, HeadErrorKind::Status),
        (b"Status: +20\n\n", 0, HeadErrorKind::Status),
        (b"Status: 099 x\n\n", 0, HeadErrorKind::Status),
        (b"Status: 600 x\n\n", 0, HeadErrorKind::Status),
        (b"Status: OK\n\n", 0, HeadErrorKind::Status),
        (b"Status:\n\n", 0, HeadErrorKind::Status),
        (b"HTTP/2 200 OK\n\n", 0, HeadErrorKind::StatusLine),
        (b"HTTP/1.1  200 OK\n\n", 0, HeadErrorKind::StatusLine),
        (b"HTTP/1.1 200 a\x7f\n\n", 0, HeadErrorKind::Value),
        (b"Status: 200\nHTTP/1.1 200 OK\n\n", 12, HeadErrorKind::Colon),
        (b"Status: 200\nStatus: 200\n\n", 12, HeadErrorKind::Twice),
        (b"Location: a:\nLocation: a:\n\n", 13, HeadErrorKind::Twice),
        (b"Content-Type: a\ncontent-type: a\n\n", 16, HeadErrorKind::Twice),
        (b"Status: 200\nContent-Length: -1\n\n", 12, HeadErrorKind::ContentLength),
        (b"Content-Length: 1\nContent-Length: 2\n\n", 18, HeadErrorKind::ContentLength),
        (b"Location: /a\nX: y\n\n", 0, HeadErrorKind::LocalRedirect),
    ];
    for (bytes, at, kind) in cases {
        let error = parse_all(bytes).unwrap_err();
        assert_eq!((error.offset(), error.kind()), (at, kind), "{}", bytes.escape_ascii());
        assert!(error.to_string().starts_with(&format!("CGI response, byte {at}: ")));
    }
}

#[test]
fn limits_at_their_borders() {
    let bytes = b"Status: 200 OK\r\nX: y\r\n\r\n";
    let limits = |head, pairs| ParamLimits { head, pairs };
    assert!(parse(bytes, &limits(bytes.len(), 2)).unwrap().is_some());
    let error = parse(bytes, &limits(bytes.len() - 1, 2)).unwrap_err();
    assert_eq!((error.offset(), error.kind()), (22, HeadErrorKind::TooLong { most: 23 }));
    let error = parse(bytes, &limits(bytes.len(), 1)).unwrap_err();
    assert_eq!((error.offset(), error.kind()), (16, HeadErrorKind::TooMany { most: 1 }));
    // A line without an end is not waited for.
    let long = [b'x'; 151];
    assert_eq!(parse(&long[..150], &LIMITS), Ok(None));
    let error = parse(&long, &LIMITS).unwrap_err();
    assert_eq!(
        error.to_string(),
        "CGI response, byte 0: the head is too long; allowed are 150 bytes"
    );
}

#[test]
fn heads_are_written_line_by_line() {
    let mut out = Vec::new();
    write_status(&mut out, StatusCode::NOT_FOUND, None);
    write_status(&mut out, StatusCode::OK, Some(b"Fine"));
    write_status(&mut out, StatusCode::from_u16(299).unwrap(), None);
    write_status_line(&mut out, StatusCode::NO_CONTENT, None);
    write_status_line(&mut out, StatusCode::OK, Some(b""));
    write_header(&mut out, b"X-A", b"\xff");
    write_length(&mut out, u64::MAX);
    write_end(&mut out);
    let expected: [&[u8]; 8] = [
        b"Status: 404 Not Found\r\n",
        b"Status: 200 Fine\r\n",
        b"Status: 299 \r\n",
        b"HTTP/1.1 204 No Content\r\n",
        b"HTTP/1.1 200 \r\n",
        b"X-A: \xff\r\n",
        b"Content-Length: 18446744073709551615\r\n",
        b"\r\n",
    ];
    assert_eq!(out, expected.concat());
}

#[test]
fn redirects_stay_on_this_server() {
    let mut out = Vec::new();
    write_local_redirect(&mut out, b"/a?b=c").unwrap();
    assert_eq!(out, b"Location: /a?b=c\r\n\r\n");
    let head = parse_all(&out).unwrap();
    assert_eq!(
        (head.response(), head.location()),
        (ResponseKind::LocalRedirect, Some(&b"/a?b=c"[..]))
    );
    for bad in [&b""[..], b"a", b"http://a/", b"?b"] {
        assert_eq!(
            write_local_redirect(&mut out, bad).unwrap_err().kind(),
            HeadErrorKind::LocalPath
        );
    }
    for bad in [&b"/a\r\nX: y"[..], b"/\0", b"/\x7f"] {
        assert_eq!(write_local_redirect(&mut out, bad).unwrap_err().kind(), HeadErrorKind::Value);
    }
    assert_eq!(out, b"Location: /a?b=c\r\n\r\n");
}

#[test]
fn variables_of_an_authorizer() {
    let mut out = Vec::new();
    write_status(&mut out, StatusCode::OK, None);
    write_variable(&mut out, b"AUTH_METHOD", b"database lookup").unwrap();
    let before = out.len();
    for bad in [&b""[..], b"a b", b"a=b", b"a:b", b"a\n"] {
        assert_eq!(write_variable(&mut out, bad, b"").unwrap_err().kind(), HeadErrorKind::Name);
    }
    assert_eq!(write_variable(&mut out, b"A", b"b\r\nc").unwrap_err().kind(), HeadErrorKind::Value);
    assert_eq!(out.len(), before);
    write_header(&mut out, b"Variables", b"no");
    write_end(&mut out);
    let head = parse_all(&out).unwrap();
    let expected = [(&b"AUTH_METHOD"[..], &b"database lookup"[..])];
    assert_eq!(head.variables().collect::<Vec<_>>(), expected);
}
