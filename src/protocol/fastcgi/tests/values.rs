use std::net::IpAddr;

use super::*;
use crate::protocol::params::Params;

const CAPACITY: Capacity = Capacity { max_conns: 1000, max_reqs: 0, mpxs_conns: true };

fn pairs(out: &[u8]) -> NameValuePairs<'_> {
    match split(out).unwrap().unwrap().message().unwrap() {
        RecordContent::GetValues(pairs) | RecordContent::GetValuesResult(pairs) => pairs,
        other => panic!("{other:?}"),
    }
}

#[test]
fn known_names_are_answered_once() {
    let mut asked = Vec::new();
    let names = ["FCGI_MPXS_CONNS", "FCGI_WHAT", "FCGI_MAX_CONNS", "FCGI_MPXS_CONNS"];
    put_get_values(&mut asked, &names).unwrap();
    assert_eq!((asked.len() % 8, asked[1], &asked[2..4]), (0, 9, &[0, 0][..]));
    assert!(pairs(&asked).iter().map(|(name, _)| name).eq(names.map(str::as_bytes)));
    let mut out = Vec::new();
    put_get_values_result(&mut out, pairs(&asked), &CAPACITY);
    let answer: Vec<_> = pairs(&out).into_iter().collect();
    let expected = [(&b"FCGI_MAX_CONNS"[..], &b"1000"[..]), (b"FCGI_MPXS_CONNS", b"1")];
    assert_eq!((answer.as_slice(), out[1], out.len() % 8), (&expected[..], 10, 0));

    let mut out = Vec::new();
    asked.clear();
    put_get_values(&mut asked, &Capacity::NAMES).unwrap();
    let capacity = Capacity { max_conns: u32::MAX, max_reqs: 0, mpxs_conns: false };
    put_get_values_result(&mut out, pairs(&asked), &capacity);
    let answer: Vec<_> = pairs(&out).iter().map(|(_, value)| value).collect();
    assert_eq!(answer, [&b"4294967295"[..], b"0", b"0"]);

    // Nothing that is known: an answer all the same.
    let mut out = Vec::new();
    put_get_values_result(&mut out, NameValuePairs::default(), &CAPACITY);
    assert_eq!(out, [1, 10, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn more_than_a_record_is_refused() {
    let long = "x".repeat(65_530);
    let mut out = b"before".to_vec();
    put_get_values(&mut out, &[&long]).unwrap();
    let size = out.len();
    assert_eq!(size, 6 + 8 + 65_535 + 1);
    let error = put_get_values(&mut out, &[&long, "y"]).unwrap_err();
    assert_eq!(error.kind(), RecordErrorKind::TooLong { most: 65_535 });
    assert_eq!(out.len(), size);
}

#[test]
fn a_pair_that_is_not_whole() {
    let cases: [(&[u8], usize, usize); 4] = [
        (b"\x03", 0, 2),
        (b"\x01\0A\x80\0\0", 3, 2),
        (b"\x01\x02A", 0, 5),
        (b"\x01\0A\x05\0B", 3, 7),
    ];
    for (content, at, wanted) in cases {
        let header = RecordHeader::new(RecordKind::GET_VALUES, 0, content.len() as u16);
        let bytes = [&header.encode()[..], content].concat();
        let error = split(&bytes).unwrap().unwrap().message().unwrap_err();
        let left = content.len() - at;
        assert_eq!(
            (error.offset(), error.kind()),
            (8 + at, RecordErrorKind::Truncated { wanted, left })
        );
        let text =
            format!("a name-value pair of {wanted} bytes or more, but only {left} are there");
        assert_eq!(error.to_string(), format!("FastCGI GET_VALUES, byte {}: {text}", 8 + at));
    }
}

#[test]
fn web_server_addrs() {
    let found = parse_web_server_addrs("199.170.183.28,199.170.183.71, ::1").unwrap();
    assert_eq!(
        found,
        ["199.170.183.28", "199.170.183.71", "::1"].map(|it| it.parse::<IpAddr>().unwrap())
    );
    for (bad, at) in [("", 0), ("1.2.3", 0), ("1.2.3.4,", 8), ("1.2.3.4,localhost", 8)] {
        let error = parse_web_server_addrs(bad).unwrap_err();
        assert_eq!(error.offset(), at, "{bad}");
        let text = "FastCGI: FCGI_WEB_SERVER_ADDRS has to be IP addresses with commas between them";
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn values_for_a_filter() {
    let mut params = Params::new();
    params.push(b"FCGI_DATA_LENGTH", b"27");
    let error = FilterData::of(&params).unwrap_err();
    assert_eq!(error.to_string(), "FastCGI: FCGI_DATA_LAST_MOD has to be a number, for a filter");
    params.push(b"FCGI_DATA_LAST_MOD", b"1000000000");
    let expected = FilterData { length: 27, last_modified: 1_000_000_000 };
    assert_eq!(FilterData::of(&params), Ok(expected));
    params.push(b"FCGI_DATA_LENGTH", b"-1");
    assert!(FilterData::of(&params).is_err());
}
