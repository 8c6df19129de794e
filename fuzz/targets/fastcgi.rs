//! Anything on a FastCGI connection, from either side and in any pieces: no panic, the same records
//! as in one piece, what decodes encodes to the same, requests keep their order, PARAMS are the
//! same however they are cut, and no more is held than the limits say.
#![no_main]

mod common;

use std::collections::BTreeMap;

use common::{LIMITS, assert_same, check, made_up};
use libfuzzer_sys::fuzz_target;
use mod_rust::internal::protocol::fastcgi::{
    BeginRequest, Capacity, FilterData, HEADER, MAX_RECORD, NameValuePairs, OpenRecord, PADDING,
    ParamsReader, Record, RecordContent, RecordError, RecordErrorKind, RecordHeader, RecordKind,
    RequestFlow, Role, Step, parse_web_server_addrs, put_abort, put_begin, put_end,
    put_get_values_result, put_header, put_pair, put_params, put_stream, put_stream_end,
    put_unknown_type, split,
};
use mod_rust::internal::protocol::params::Params;

fuzz_target!(|given: &[u8]| {
    // The first byte selects the sizes of the pieces, or another use of the rest.
    let Some((&how, rest)) = given.split_first() else { return };
    match how {
        ..0x80 => connection(rest, usize::from(how) + 1),
        0x80..0xa0 => encoded(&made_up(rest)),
        0xa0..0xc0 => stream(rest, how),
        0xc0..0xe0 => params(rest, usize::from(how & 31) + 1),
        _ => web_server_addresses(rest),
    }
});

/// Returns the number of bytes in good records, and the reason for their end.
type Found = (usize, Option<RecordError>);

fn connection(stream: &[u8], piece: usize) {
    let mut requests = BTreeMap::new();
    let mut taken = 0;
    let whole: Found = loop {
        let rest = &stream[taken..];
        match split(rest) {
            Ok(None) => {
                if let Some(header) = rest.first_chunk::<HEADER>() {
                    let header = RecordHeader::decode(header).expect("as split");
                    assert!(rest.len() < header.size(), "a record is kept back");
                }
                break (taken, None);
            }
            Ok(Some(record)) => {
                assert!(record.size() <= MAX_RECORD);
                match record.message() {
                    Ok(message) => one(&record, &message, rest, &mut requests),
                    Err(error) => {
                        assert!(matches!(error.kind(), RecordErrorKind::Truncated { .. }));
                        assert!(error.offset() < record.size() && !error.to_string().is_empty());
                    }
                }
                taken += record.size();
            }
            Err(error) => {
                assert!(error.offset() < HEADER && !error.to_string().is_empty());
                break (taken, Some(error));
            }
        }
    };
    assert_eq!(in_pieces(stream, piece), whole);
}

/// The same with a buffer that never holds more than a record and a piece.
fn in_pieces(stream: &[u8], piece: usize) -> Found {
    let mut buffer = Vec::new();
    let mut taken = 0;
    for piece_of_it in stream.chunks(piece) {
        buffer.extend_from_slice(piece_of_it);
        let mut used = 0;
        loop {
            match split(&buffer[used..]) {
                Ok(None) => break,
                Ok(Some(record)) => used += record.size(),
                Err(error) => return (taken + used, Some(error)),
            }
        }
        buffer.drain(..used);
        taken += used;
        assert!(buffer.len() < MAX_RECORD);
    }
    (taken, None)
}

/// A request as a driver keeps it.
struct Request {
    flow: RequestFlow,
    reader: ParamsReader,
    params: Params,
    /// The PARAMS stream as it came.
    stream: Vec<u8>,
    failed: Option<RecordError>,
}

fn one(
    record: &Record<'_>,
    message: &RecordContent<'_>,
    bytes: &[u8],
    requests: &mut BTreeMap<u16, Request>,
) {
    let header = record.header;
    // Version, type, id, lengths; the last byte means nothing.
    assert_eq!(header.encode()[..7], bytes[..7]);
    let again = put(message, &header, record.content);
    let copy = split(&again).expect("good").expect("whole");
    assert_eq!(copy.size(), again.len());
    assert_eq!(copy.message().as_ref(), Ok(message));
    if let RecordContent::GetValues(asked) = message {
        answer(*asked);
    }
    if let RecordContent::Begin(id, begin) = message {
        // An id that is in use is the driver's to refuse.
        requests.entry(*id).or_insert_with(|| Request {
            flow: RequestFlow::begin(begin.role),
            reader: ParamsReader::new(),
            params: Params::new(),
            stream: Vec::new(),
            failed: None,
        });
    } else if let Some(request) = requests.get_mut(&header.request_id) {
        passed(request, &header, record.content);
    }
}

fn passed(request: &mut Request, header: &RecordHeader, content: &[u8]) {
    let before = request.flow;
    match request.flow.pass(header) {
        Ok(step) => {
            let expected = match (header.kind, content.is_empty()) {
                (RecordKind::PARAMS, false) => Step::Params,
                (RecordKind::PARAMS, true) => Step::ParamsEnd,
                (RecordKind::STDIN, false) => Step::Stdin,
                (RecordKind::STDIN, true) => Step::StdinEnd,
                (RecordKind::DATA, false) => Step::Data,
                (RecordKind::DATA, true) => Step::DataEnd,
                _ => Step::Abort,
            };
            assert_eq!(step, expected);
            assert!(header.kind.is_from_server() && !header.kind.is_management());
            assert!(step != Step::Abort || request.flow == before);
            assert!(!before.is_ready() || request.flow.is_ready());
            let data = matches!(step, Step::Data | Step::DataEnd);
            assert!(!data || before.role() == Role::FILTER);
        }
        Err(error) => {
            assert!(request.flow == before && !error.to_string().is_empty());
            assert!(header.kind != RecordKind::ABORT_REQUEST);
            return;
        }
    }
    assert!(!request.flow.is_whole() || request.flow.is_ready());
    if header.kind != RecordKind::PARAMS || request.failed.is_some() {
        return;
    }
    request.stream.extend_from_slice(content);
    let fed = match content {
        [] => request.reader.finish(),
        _ => request.reader.feed(content, &mut request.params, &LIMITS),
    };
    request.failed = fed.err();
    assert!(request.reader.size() <= 2 * LIMITS.head);
    check(&request.params);
    if content.is_empty() {
        // The same as from one piece.
        let whole = read(&request.stream, request.stream.len().max(1), true);
        assert_eq!(whole.1, request.failed);
        assert!(whole.0 == request.params);
    }
}

/// The record anew, by the functions for its type.
fn put(message: &RecordContent<'_>, header: &RecordHeader, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match *message {
        RecordContent::Begin(id, BeginRequest { role, keep_conn }) => {
            put_begin(&mut out, id, role, keep_conn)
        }
        RecordContent::Abort(id) => put_abort(&mut out, id),
        RecordContent::End(id, end) => put_end(&mut out, id, end.app_status, end.protocol_status),
        RecordContent::UnknownType(kind) => put_unknown_type(&mut out, kind),
        RecordContent::Params(id, b"")
        | RecordContent::Stdin(id, b"")
        | RecordContent::Stdout(id, b"")
        | RecordContent::Stderr(id, b"")
        | RecordContent::Data(id, b"") => put_stream_end(&mut out, header.kind, id),
        RecordContent::Params(id, bytes)
        | RecordContent::Stdin(id, bytes)
        | RecordContent::Stdout(id, bytes)
        | RecordContent::Stderr(id, bytes)
        | RecordContent::Data(id, bytes)
            if bytes.len() <= 65_528 =>
        {
            put_stream(&mut out, header.kind, id, bytes);
        }
        RecordContent::Unknown(header) => {
            put_header(&mut out, &header);
            out.extend_from_slice(content);
            out.resize(header.size(), 0);
        }
        _ => {
            let header =
                RecordHeader::padded(header.kind, header.request_id, header.content_length);
            put_header(&mut out, &header);
            out.extend_from_slice(content);
            out.extend_from_slice(&PADDING[..usize::from(header.padding_length)]);
            assert_eq!(out.len() % 8, 0);
        }
    }
    out
}

fn answer(asked: NameValuePairs<'_>) {
    let mut out = Vec::new();
    let capacity = Capacity { max_conns: u32::MAX, max_reqs: 7, mpxs_conns: true };
    put_get_values_result(&mut out, asked, &capacity);
    assert!(out.len() <= 88, "an answer of {} bytes", out.len());
    let record = split(&out).expect("good").expect("whole");
    let Ok(RecordContent::GetValuesResult(values)) = record.message() else { panic!("{record:?}") };
    for name in Capacity::NAMES {
        let asked = asked.get(name.as_bytes()).is_some();
        assert_eq!(values.get(name.as_bytes()).is_some(), asked);
    }
    assert!(values.iter().count() <= 3);
}

/// A PARAMS stream in pieces of this size: the variables, and why they are not all.
fn read(stream: &[u8], piece: usize, ends: bool) -> (Params, Option<RecordError>) {
    let (mut reader, mut params) = (ParamsReader::new(), Params::new());
    for piece in stream.chunks(piece) {
        let fed = reader.feed(piece, &mut params, &LIMITS);
        assert!(reader.size() <= 2 * LIMITS.head, "{} bytes are held", reader.size());
        if let Err(error) = fed {
            assert!(error.offset() <= LIMITS.head && !error.to_string().is_empty());
            check(&params);
            return (params, Some(error));
        }
    }
    check(&params);
    let end = if ends { reader.finish().err() } else { None };
    (params, end)
}

fn params(stream: &[u8], piece: usize) {
    let (params, refused) = read(stream, stream.len().max(1), true);
    let (in_pieces, refused_in_pieces) = read(stream, piece, true);
    assert_eq!(refused, refused_in_pieces);
    assert!(params == in_pieces);
    if refused.is_none() {
        encoded(&params);
    }
}

/// Checks that an encoded value decodes to the same.
fn encoded(params: &Params) {
    let mut out = b"before".to_vec();
    if let Err(error) = put_params(&mut out, 1, params) {
        assert!(out == b"before" && !error.to_string().is_empty());
        return;
    }
    let mut stream = Vec::new();
    for (name, value) in params.iter() {
        put_pair(&mut stream, name, value).expect("short enough");
    }
    let mut rest = &out[6..];
    let mut carried = Vec::new();
    let mut last = None;
    while let Some(record) = split(rest).expect("good") {
        assert_eq!(record.size() % 8, 0);
        assert_ne!(last, Some(0), "a record behind the end");
        let Ok(RecordContent::Params(1, piece)) = record.message() else { panic!("{record:?}") };
        carried.extend_from_slice(piece);
        last = Some(piece.len());
        rest = &rest[record.size()..];
    }
    assert!(last == Some(0) && rest.is_empty() && carried == stream);
    match read(&carried, carried.len().max(1), true) {
        (got, None) => assert_same(&got, params),
        (_, Some(error)) => assert!(error.to_string().contains("too many"), "{error}"),
    }
    let filter = FilterData::of(params);
    assert!(filter.is_ok() || filter.is_err_and(|error| !error.to_string().is_empty()));
}

/// A stream of many records, made in both ways.
fn stream(seed: &[u8], how: u8) {
    // From a few bytes to several records.
    let bytes = seed.repeat(1 << (how & 15).min(11));
    let bytes = &bytes[..bytes.len().min(200_000)];
    let (mut one, mut other) = (b"before".to_vec(), b"before".to_vec());
    put_stream(&mut one, RecordKind::STDOUT, 9, bytes);
    let open = OpenRecord::begin(&mut other, RecordKind::STDOUT, 9);
    other.extend_from_slice(bytes);
    assert_eq!((open.len(&other), open.is_empty(&other)), (bytes.len(), bytes.is_empty()));
    open.close(&mut other);
    assert!(one == other);
    let (mut rest, mut got) = (&one[6..], Vec::new());
    while let Some(record) = split(rest).expect("good") {
        let Ok(RecordContent::Stdout(9, piece)) = record.message() else { panic!("{record:?}") };
        assert!(!piece.is_empty() && record.size() % 8 == 0);
        got.extend_from_slice(piece);
        rest = &rest[record.size()..];
    }
    assert!(rest.is_empty() && got == bytes);
}

fn web_server_addresses(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match parse_web_server_addrs(&text) {
        Ok(addresses) => {
            let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            assert_eq!(parse_web_server_addrs(&shown.join(",")), Ok(addresses));
        }
        Err(error) => assert!(error.offset() <= text.len() && !error.to_string().is_empty()),
    }
}
