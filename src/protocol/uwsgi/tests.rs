use super::*;

#[test]
fn round_trip() {
    let mut params = Params::new();
    params.push(b"A", b"");
    params.push(b"CONTENT_LENGTH", b"");
    params.push(b"B", &[7; 300]);
    let mut wire = Vec::new();
    encode(&params, &mut wire).unwrap();
    let mut got = Params::new();
    let head = decode(&wire, &Limits::default(), &mut got).unwrap().unwrap();
    let expected = Head { size: wire.len(), content_length: None, modifier1: 0, modifier2: 0 };
    assert_eq!((head, got), (expected, params));
}
