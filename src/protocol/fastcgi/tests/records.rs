use super::*;
use crate::protocol::params::{PairError, Params};

#[test]
fn every_discrete_record_is_its_bytes() {
    let mut out = Vec::new();
    put_begin(&mut out, 0x0102, Role::FILTER, true);
    put_begin(&mut out, 1, Role::RESPONDER, false);
    put_abort(&mut out, 0xffff);
    put_end(&mut out, 3, 938, ProtocolStatus::OVERLOADED);
    put_unknown_type(&mut out, RecordKind(200));
    let expected: [&[u8]; 5] = [
        &[1, 1, 1, 2, 0, 8, 0, 0, 0, 3, 1, 0, 0, 0, 0, 0],
        &[1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        &[1, 2, 255, 255, 0, 0, 0, 0],
        &[1, 3, 0, 3, 0, 8, 0, 0, 0, 0, 3, 170, 2, 0, 0, 0],
        &[1, 11, 0, 0, 0, 8, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0],
    ];
    assert_eq!(out, expected.concat());
    let messages: Vec<_> = records(&out).iter().map(|it| it.message().unwrap()).collect();
    let end = EndRequest { app_status: 938, protocol_status: ProtocolStatus::OVERLOADED };
    let expected = [
        RecordContent::Begin(0x0102, BeginRequest { role: Role::FILTER, keep_conn: true }),
        RecordContent::Begin(1, BeginRequest { role: Role::RESPONDER, keep_conn: false }),
        RecordContent::Abort(0xffff),
        RecordContent::End(3, end),
        RecordContent::UnknownType(RecordKind(200)),
    ];
    assert_eq!(messages, expected);
}

#[test]
fn flags_and_reserved_bytes_that_are_not_there_are_not_looked_at() {
    let begin = [1, 1, 0, 1, 0, 8, 3, 77, 0, 1, 0xfe, 1, 2, 3, 4, 5, 9, 9, 9];
    let record = split(&begin).unwrap().unwrap();
    let expected =
        RecordContent::Begin(1, BeginRequest { role: Role::RESPONDER, keep_conn: false });
    assert_eq!((record.message(), record.size()), (Ok(expected), begin.len()));
}

#[test]
fn streams_are_records_on_boundaries_of_eight_bytes() {
    for (size, count) in [(0, 0), (1, 1), (8, 1), (65_528, 1), (65_529, 2), (200_000, 4)] {
        let data: Vec<u8> = (0..size).map(|at| at as u8).collect();
        let mut out = b"before".to_vec();
        put_stream(&mut out, RecordKind::STDOUT, 7, &data);
        // The same by what is put piece by piece.
        let mut open = b"before".to_vec();
        let record = OpenRecord::begin(&mut open, RecordKind::STDOUT, 7);
        assert!(record.is_empty(&open));
        open.extend_from_slice(&data);
        assert_eq!(record.len(&open), size);
        record.close(&mut open);
        assert_eq!(out, open, "{size} bytes");
        let records = records(&out[6..]);
        let sizes_fit = records.iter().all(|record| record.size() % 8 == 0);
        assert!(sizes_fit && records.len() == count, "{size}: {}", records.len());
        let pieces = records.iter().map(|record| match record.message().unwrap() {
            RecordContent::Stdout(7, piece) => piece,
            other => panic!("{other:?}"),
        });
        assert_eq!(pieces.collect::<Vec<_>>().concat(), data);
    }
    let mut out = b"before".to_vec();
    let record = OpenRecord::begin(&mut out, RecordKind::STDERR, 1);
    out.extend_from_slice(b"lost");
    record.abandon(&mut out);
    assert_eq!(out, b"before");
    put_stream_end(&mut out, RecordKind::STDERR, 1);
    assert_eq!(&out[6..], [1, 7, 0, 1, 0, 0, 0, 0]);
}

#[test]
fn a_record_in_pieces_is_not_an_error() {
    let mut out = Vec::new();
    put_stream(&mut out, RecordKind::STDIN, 1, b"abc");
    for end in 0..out.len() {
        assert_eq!(split(&out[..end]), Ok(None));
    }
    assert_eq!(split(&out).unwrap().unwrap().content, b"abc");
    // The largest that there is.
    let header = RecordHeader {
        kind: RecordKind::DATA,
        request_id: 9,
        content_length: u16::MAX,
        padding_length: u8::MAX,
    };
    let mut out = header.encode().to_vec();
    out.resize(MAX_RECORD - 1, b'x');
    assert_eq!(split(&out), Ok(None));
    out.push(b'x');
    let record = split(&out).unwrap().unwrap();
    assert_eq!((record.content.len(), record.size()), (MAX_CONTENT, MAX_RECORD));
}

fn refused(bytes: [u8; 8]) -> (usize, RecordErrorKind, String) {
    let error = RecordHeader::decode(&bytes).unwrap_err();
    assert_eq!(split(&bytes), Err(error));
    (error.offset(), error.kind(), error.to_string())
}

#[test]
fn headers_that_are_refused() {
    for version in [0, 2, b'G', 255] {
        let (at, kind, text) = refused([version, 5, 0, 1, 0, 0, 0, 0]);
        assert_eq!((at, kind), (0, RecordErrorKind::Version(version)));
        assert_eq!(text, format!("FastCGI record, byte 0: version {version}; allowed is 1"));
    }
    for kind in RecordKind::ALL {
        let length = kind.content_length().unwrap_or(0) as u8;
        let id = u8::from(kind.is_management());
        let (at, problem, text) = refused([1, kind.0, 0, id, 0, length, 0, 0]);
        assert_eq!((at, problem), (2, RecordErrorKind::RequestId(u16::from(id))));
        let allowed = if id == 1 { "0" } else { "1 to 65535" };
        assert_eq!(
            text,
            format!("FastCGI {kind}, byte 2: request id {id}; allowed is {allowed}")
                .replace("is 1 to", "are 1 to")
        );
        if kind.content_length().is_none() {
            continue;
        }
        for other in [length + 1, length.wrapping_sub(1)] {
            let (at, problem, text) = refused([1, kind.0, 0, 1 - id, 0, other, 0, 0]);
            let (found, allowed) = (u16::from(other), u16::from(length));
            assert_eq!((at, problem), (4, RecordErrorKind::ContentLength { found, allowed }));
            let end = format!("{found} bytes of content; allowed are {allowed}");
            assert_eq!(text, format!("FastCGI {kind}, byte 4: {end}"));
        }
    }
}

#[test]
fn unknown_types_are_reported() {
    for id in [0, 3] {
        let header = RecordHeader {
            kind: RecordKind(77),
            request_id: id,
            content_length: 2,
            padding_length: 1,
        };
        let bytes = [&header.encode()[..], b"ab."].concat();
        let record = split(&bytes).unwrap().unwrap();
        assert_eq!(record.message(), Ok(RecordContent::Unknown(header)));
        assert_eq!((record.content, record.size()), (&b"ab"[..], 11));
    }
    assert_eq!(
        (RecordKind(77).to_string(), RecordKind::STDIN.to_string()),
        ("type 77".into(), "STDIN".into())
    );
    assert_eq!(format!("{:?}", [Role::FILTER, Role(9)]), "[FILTER, role 9]");
    assert_eq!(ProtocolStatus(7).to_string(), "protocol status 7");
}

#[test]
fn properties_of_the_types_are_those_of_table_a() {
    // type, from the web server, management, stream
    let table = [
        (RecordKind::GET_VALUES, true, true, false),
        (RecordKind::GET_VALUES_RESULT, false, true, false),
        (RecordKind::UNKNOWN_TYPE, false, true, false),
        (RecordKind::BEGIN_REQUEST, true, false, false),
        (RecordKind::ABORT_REQUEST, true, false, false),
        (RecordKind::END_REQUEST, false, false, false),
        (RecordKind::PARAMS, true, false, true),
        (RecordKind::STDIN, true, false, true),
        (RecordKind::DATA, true, false, true),
        (RecordKind::STDOUT, false, false, true),
        (RecordKind::STDERR, false, false, true),
    ];
    assert_eq!(table.len(), RecordKind::ALL.len());
    for (kind, from_server, management, stream) in table {
        let found = (kind.is_from_server(), kind.is_management(), kind.is_stream());
        assert_eq!(found, (from_server, management, stream), "{kind}");
        assert!(kind.is_known() && RecordKind::ALL.contains(&kind));
    }
    for number in [0, 12, 255] {
        let kind = RecordKind(number);
        assert!(!kind.is_known() && !kind.is_stream() && !kind.is_management());
        assert!(!kind.is_from_server() && kind.content_length().is_none());
    }
    let roles = [0, 1, 2, 3, 4, 257].map(|role| Role(role).is_known());
    assert_eq!(roles, [false, true, true, true, false, false]);
}

#[test]
fn params_that_cannot_be_sent_leave_nothing() {
    let mut out = b"before".to_vec();
    let mut params = Params::new();
    params.push(b"GOOD", b"value");
    params.push(b"a=b", b"");
    let error = put_params(&mut out, 1, &params).unwrap_err();
    assert_eq!(error.kind(), RecordErrorKind::Pair(PairError::KeyByte { at: 1, byte: b'=' }));
    assert_eq!((out.as_slice(), error.record()), (&b"before"[..], Some(RecordKind::PARAMS)));
}
