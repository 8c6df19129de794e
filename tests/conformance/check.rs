//! Holds a response to what a case expects, and to what is expected of every response.

use std::fmt::Debug;

use httpd_testkit::{BodyEnd, Response};

use crate::case::{Body, End, Expect, Field, pattern};

/// `Err` says what was wrong.
pub(crate) type Result<T = ()> = std::result::Result<T, String>;

/// Headers in the order of the wire, their values as bytes.
pub(crate) type Headers = Vec<(String, Vec<u8>)>;

/// Compares `found` with the expected value. Returns `Err` if they differ.
pub(crate) fn same<F, E>(what: &str, found: F, expected: E) -> Result
where
    F: PartialEq<E> + Debug,
    E: Debug,
{
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what} is {found:?}, expected {expected:?}"))
    }
}

/// Holds a response to what is expected.
pub(crate) fn check(response: &Response, expect: &Expect) -> Result {
    same("interim responses", response.interim.as_slice(), [0_u16; 0].as_slice())?;
    check_head(response.status, &response.headers, expect)?;
    check_end(&response.end, expect.end)?;
    check_body(&response.body, expect)
}

/// Holds a head to what is expected, and to what is expected of every one.
pub(crate) fn check_head(status: u16, headers: &[(String, Vec<u8>)], expect: &Expect) -> Result {
    same("status", status, expect.status)?;
    check_fields(headers, &expect.fields)?;
    let count = |name| headers.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).count();
    for name in ["Content-Length", "Content-Type", "Date", "Server", "ETag", "Location"] {
        if count(name) > 1 {
            return Err(format!("{name} is there more than once"));
        }
    }
    // RFC 9110, 8.6.
    let has_length = count("Content-Length") > 0;
    if status == 204 && has_length { Err("a 204 with a Content-Length".into()) } else { Ok(()) }
}

fn check_end(found: &BodyEnd, expected: End) -> Result {
    let fits = match expected {
        End::Whole => found.is_complete(),
        End::Length => *found == BodyEnd::Length,
        End::Chunked => *found == BodyEnd::Chunked,
        End::Close => *found == BodyEnd::Close,
        End::Broken => found.is_truncated(),
    };
    if fits { Ok(()) } else { Err(format!("the end is {found:?}, expected {expected:?}")) }
}

pub(crate) fn check_fields(found: &[(String, Vec<u8>)], rules: &[Field]) -> Result {
    let values = |name: &str| -> Vec<String> {
        let named = found.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    };
    for rule in rules {
        match rule {
            Field::Are(name, expected) => same(name, values(name), expected.clone())?,
            Field::Holds(name, part) => {
                if !values(name).iter().any(|value| value.contains(part)) {
                    return Err(format!("{name} is {:?}, expected \"{part}\" in it", values(name)));
                }
            }
            Field::Absent(name) => same(name, values(name), Vec::<String>::new())?,
            Field::Order(start, expected) => {
                let found: Vec<_> = found
                    .iter()
                    .filter(|(name, _)| name.to_ascii_lowercase().starts_with(start))
                    .map(|(name, value)| (name.as_str(), std::str::from_utf8(value).unwrap_or("?")))
                    .collect();
                let is_same = found.len() == expected.len()
                    && std::iter::zip(&found, *expected).all(|(found, expected)| {
                        found.0.eq_ignore_ascii_case(expected.0) && found.1 == expected.1
                    });
                if !is_same {
                    return Err(format!("headers are {found:?}, expected {expected:?}"));
                }
            }
        }
    }
    Ok(())
}

/// Holds a body to what is expected: of a broken one, a part will do.
pub(crate) fn check_body(found: &[u8], expect: &Expect) -> Result {
    let is = |expected: &[u8]| {
        let fits =
            if expect.end == End::Broken { expected.starts_with(found) } else { found == expected };
        if fits {
            return Ok(());
        }
        let at = std::iter::zip(found, expected).take_while(|(a, b)| a == b).count();
        Err(format!(
            "the body has {} bytes, expected {}; they differ from byte {at} on",
            found.len(),
            expected.len()
        ))
    };
    match &expect.body {
        Body::Any => Ok(()),
        Body::Is(text) => is(text.as_bytes()),
        Body::Bytes(bytes) => is(bytes),
        Body::Pattern(length) => is(&pattern(*length)),
        Body::Holds(parts) => {
            let text = String::from_utf8_lossy(found);
            match parts.iter().find(|part| !text.contains(part.as_str())) {
                None => Ok(()),
                Some(part) => Err(format!("the body does not hold \"{part}\"")),
            }
        }
    }
}
