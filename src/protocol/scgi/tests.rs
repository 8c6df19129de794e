use super::*;
use crate::protocol::params::PairError;

#[test]
fn the_example_of_the_specification() {
    let wire =
        b"70:CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,\
        What is the answer to life?";
    let mut params = Params::new();
    let head = decode(wire, &Limits::default(), &mut params).unwrap().unwrap();
    assert_eq!((head.size, head.content_length), (74, 27));
    assert_eq!(&wire[head.size..], b"What is the answer to life?");
    assert_eq!(params.get(b"REQUEST_URI"), Some(&b"/deepthought"[..]));
    let mut again = Vec::new();
    encode(&params, &mut again).unwrap();
    assert_eq!(again, &wire[..head.size]);
}

#[test]
fn pair_errors_say_which() {
    let mut params = Params::new();
    let wire = b"30:CONTENT_LENGTH\x000\0SCGI\x001\0a=b\0c\0,";
    let error = decode(wire, &Limits::default(), &mut params).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Pair(PairError::KeyByte { at: 1, byte: b'=' }));
}
