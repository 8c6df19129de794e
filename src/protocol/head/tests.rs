use super::*;

const LIMITS: Limits = Limits { head: 100, pairs: 4 };

#[test]
fn kinds_of_responses() {
    let cases: [(&[u8], Response, u16); 4] = [
        (b"Content-Type: a/b\n\n", Response::Document, 200),
        (b"Location: /a?b\r\n\r\n", Response::LocalRedirect, 200),
        (b"Location: http://a/\n\n", Response::ClientRedirect, 302),
        (b"HTTP/1.1 404 Gone\r\n\r\n", Response::Nph, 404),
    ];
    for (bytes, response, code) in cases {
        let (head, size) = parse(bytes, &LIMITS).unwrap().unwrap();
        assert_eq!((head.response(), head.code(), size), (response, code, bytes.len()));
    }
}
