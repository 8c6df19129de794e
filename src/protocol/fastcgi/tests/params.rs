use super::*;
use crate::protocol::params::{PairError, Params};

const LIMITS: ParamLimits = ParamLimits { head: 1000, pairs: 10 };

/// Feeds a stream in pieces of this size.
fn read(stream: &[u8], piece: usize, limits: &ParamLimits) -> Result<Params, RecordError> {
    let (mut reader, mut params) = (ParamsReader::new(), Params::new());
    for piece in stream.chunks(piece) {
        reader.feed(piece, &mut params, limits)?;
        assert!(reader.size() <= 2 * limits.head.max(8), "{} bytes are held", reader.size());
    }
    reader.finish().map(|()| params)
}

/// Reads the stream in pieces of every size, and expects one outcome.
fn read_in_all_ways(stream: &[u8], limits: &ParamLimits) -> Result<Params, RecordError> {
    let whole = read(stream, stream.len().max(1), limits);
    for piece in [1, 2, 3, 5, 7, 8, 9, 64, 127, 128, 129] {
        assert_eq!(read(stream, piece, limits), whole, "in pieces of {piece}");
    }
    whole
}

#[test]
fn the_example_of_the_specification() {
    let stream = b"\x0b\x02SERVER_PORT80\x0b\x0eSERVER_ADDR199.170.183.42";
    let params = read_in_all_ways(stream, &LIMITS).unwrap();
    let expected = [(&b"SERVER_PORT"[..], &b"80"[..]), (b"SERVER_ADDR", b"199.170.183.42")];
    assert_eq!(params.iter().collect::<Vec<_>>(), expected);
    let mut out = Vec::new();
    put_params(&mut out, 1, &params).unwrap();
    let records = records(&out);
    assert_eq!(records[0].content, stream);
    assert_eq!((records.len(), records[1].message()), (2, Ok(RecordContent::Params(1, b""))));
}

#[test]
fn lengths_of_one_byte_and_of_four() {
    for (name, value) in [(1, 0), (127, 127), (128, 127), (127, 128), (128, 128), (300, 400)] {
        let (name, value) = (vec![b'n'; name], vec![b'v'; value]);
        let mut stream = Vec::new();
        put_pair(&mut stream, &name, &value).unwrap();
        let lengths = [&name, &value].map(|it| if it.len() < 128 { 1 } else { 4 });
        assert_eq!(stream.len(), name.len() + value.len() + lengths[0] + lengths[1]);
        let params = read_in_all_ways(&stream, &LIMITS).unwrap();
        assert_eq!(params.get(&name), Some(&value[..]));
    }
    // Four bytes where one would do: other senders may.
    let params = read_in_all_ways(b"\x80\0\0\x01\x80\0\0\x02Abc", &LIMITS).unwrap();
    assert_eq!(params.get(b"A"), Some(&b"bc"[..]));
}

#[test]
fn more_than_a_record_holds() {
    let limits = ParamLimits { head: 300_000, pairs: 10 };
    let mut params = Params::new();
    params.push(b"FIRST", &[b'a'; 100_000]);
    params.push(b"SECOND", &[b'b'; 100_000]);
    let mut out = Vec::new();
    put_params(&mut out, 5, &params).unwrap();
    let (mut reader, mut got) = (ParamsReader::new(), Params::new());
    let records = records(&out);
    assert_eq!(records.len(), 5);
    for record in &records {
        match record.message().unwrap() {
            RecordContent::Params(5, b"") => reader.finish().unwrap(),
            RecordContent::Params(5, piece) => reader.feed(piece, &mut got, &limits).unwrap(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, params);
    // The next stream allocates no more memory.
    let held = (reader.size(), got.size());
    got.clear();
    for record in &records {
        reader.feed(record.content, &mut got, &limits).unwrap();
    }
    assert_eq!((reader.size(), got.size()), held);
    reader.reset();
    reader.shrink_to(10);
    assert!(reader.size() < 100);
}

#[test]
fn limits_at_their_borders() {
    let mut stream = Vec::new();
    put_pair(&mut stream, b"A", b"12345").unwrap();
    put_pair(&mut stream, b"B", b"12345").unwrap();
    assert_eq!(stream.len(), 16);
    let limits = |head, pairs| ParamLimits { head, pairs };
    assert!(read_in_all_ways(&stream, &limits(16, 2)).is_ok());
    let error = read_in_all_ways(&stream, &limits(15, 2)).unwrap_err();
    assert_eq!((error.offset(), error.kind()), (8, RecordErrorKind::TooLong { most: 15 }));
    let text = "FastCGI PARAMS, byte 8: too many bytes of name-value pairs; allowed are 15";
    assert_eq!(error.to_string(), text);
    let error = read_in_all_ways(&stream, &limits(16, 1)).unwrap_err();
    assert_eq!(
        (error.offset(), error.kind()),
        (8, RecordErrorKind::Pair(PairError::TooMany { most: 1 }))
    );
    assert!(read_in_all_ways(b"", &limits(0, 0)).is_ok());
    assert!(read_in_all_ways(b"\x01", &limits(0, 0)).is_err());
}

#[test]
fn hostile_lengths_hold_no_memory() {
    for lengths in
        [&b"\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\x01\xff\xff\xff\xff", b"\x84\0\0\0\0"]
    {
        let (mut reader, mut params) = (ParamsReader::new(), Params::new());
        let error = reader.feed(lengths, &mut params, &LIMITS).unwrap_err();
        assert_eq!((error.offset(), error.kind()), (0, RecordErrorKind::TooLong { most: 1000 }));
        assert_eq!((reader.size(), params.size()), (0, 0));
        assert_eq!(read_in_all_ways(lengths, &LIMITS), Err(error));
    }
    // Bytes announced within the limit are held only as they come.
    let (mut reader, mut params) = (ParamsReader::new(), Params::new());
    let limits = ParamLimits { head: usize::MAX, pairs: 1 };
    reader.feed(b"\x01\xff\xff\xff\xff", &mut params, &limits).unwrap();
    reader.feed(b"abc", &mut params, &limits).unwrap();
    assert!(reader.size() < 100, "{}", reader.size());
}

#[test]
fn variables_that_are_refused() {
    let cases: [(&[u8], usize, PairError); 4] = [
        (b"\x01\x01Ab\0\0", 4, PairError::EmptyKey),
        (b"\x03\0A=B", 0, PairError::KeyByte { at: 1, byte: b'=' }),
        (b"\x03\0AB\0", 0, PairError::KeyByte { at: 2, byte: 0 }),
        (b"\x01\x02Ax\0", 0, PairError::ValueNul { at: 1 }),
    ];
    for (stream, at, problem) in cases {
        let error = read_in_all_ways(stream, &LIMITS).unwrap_err();
        assert_eq!((error.offset(), error.kind()), (at, RecordErrorKind::Pair(problem)));
        assert!(error.to_string().starts_with(&format!("FastCGI PARAMS, byte {at}: ")));
    }
}

#[test]
fn a_stream_that_ends_in_a_pair() {
    let mut stream = Vec::new();
    put_pair(&mut stream, b"AB", b"cd").unwrap();
    let first = stream.len();
    put_pair(&mut stream, b"LONG", &[b'x'; 200]).unwrap();
    for end in first + 1..stream.len() {
        let error = read_in_all_ways(&stream[..end], &LIMITS).unwrap_err();
        let RecordErrorKind::Truncated { wanted, left } = error.kind() else { panic!("{error}") };
        assert_eq!((error.offset(), left), (first, end - first));
        assert!(wanted > left && wanted <= stream.len() - first);
    }
    // The reader can be used for the next stream.
    let (mut reader, mut params) = (ParamsReader::new(), Params::new());
    reader.feed(&stream[..first + 1], &mut params, &LIMITS).unwrap();
    assert!(reader.finish().is_err());
    params.clear();
    reader.feed(&stream, &mut params, &LIMITS).unwrap();
    assert_eq!((reader.finish(), params.len()), (Ok(()), 2));
}
