//! The query of a request to the probe: `name=value` pairs, percent-decoded to bytes.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use mod_rust::Environ;
use percent_encoding::percent_decode;

use super::answer::Refusal;

/// The query string. A `+` stands for itself. What a path does not ask for is passed over.
#[derive(Clone, Copy)]
pub(super) struct Query<'q>(&'q [u8]);

impl<'q> Query<'q> {
    pub(super) const fn new(query: &'q [u8]) -> Self {
        Self(query)
    }

    pub(super) fn of(environ: &'q Environ<'_>) -> Self {
        Self(environ.query_string())
    }

    /// Every pair in order, repeated names kept. A pair without `=` has an empty value.
    pub(super) fn pairs(self) -> impl Iterator<Item = (Cow<'q, [u8]>, Cow<'q, [u8]>)> {
        self.0.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
            let end = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            let value = pair.get(end + 1..).unwrap_or_default();
            (percent_decode(&pair[..end]).into(), percent_decode(value).into())
        })
    }

    /// The first value of `name`.
    pub(super) fn get(self, name: &str) -> Option<Cow<'q, [u8]>> {
        self.pairs().find(|(key, _)| **key == *name.as_bytes()).map(|(_, value)| value)
    }

    /// The value of `name`, which must be there.
    pub(super) fn required(self, name: &str) -> Result<Cow<'q, [u8]>, Refusal> {
        self.get(name).ok_or_else(|| {
            Refusal::bad_request(format!("the query needs {name}=…, percent-encoded"))
        })
    }

    /// The number `name`, if it is given.
    pub(super) fn number(
        self,
        name: &str,
        allowed: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Refusal> {
        self.get(name).map(|value| number(name, &value, allowed)).transpose()
    }
}

/// `value` as a number of decimal digits.
pub(super) fn number(
    name: &str,
    value: &[u8],
    allowed: RangeInclusive<u64>,
) -> Result<u64, Refusal> {
    std::str::from_utf8(value)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .filter(|number| allowed.contains(number))
        .ok_or_else(|| {
            let (least, most) = allowed.into_inner();
            Refusal::bad_request(format!(
                "{name} is \"{}\"; allowed are whole numbers from {least} to {most}",
                value.escape_ascii()
            ))
        })
}

/// Returns the part of PATH_INFO behind the first segment and its slash.
pub(super) fn rest<'e>(environ: &'e Environ<'_>) -> &'e [u8] {
    let path = environ.path_info();
    let path = path.strip_prefix(b"/").unwrap_or(path);
    match path.iter().position(|&byte| byte == b'/') {
        Some(end) => &path[end + 1..],
        None => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_in_order() {
        let query = Query::new(b"a=1&&b=%0d%0A+%ff&a=2=3&c&%61=%zz");
        let pairs: Vec<_> = query.pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        let expected = [
            (&b"a"[..], &b"1"[..]),
            (b"b", b"\r\n+\xff"),
            (b"a", b"2=3"),
            (b"c", b""),
            (b"a", b"%zz"),
        ];
        assert_eq!(pairs, expected.map(|(k, v)| (k.to_vec(), v.to_vec())));
        assert_eq!(query.get("a").as_deref(), Some(&b"1"[..]));
        assert_eq!(query.get("d"), None);
    }

    #[test]
    fn numbers_are_digits_within_bounds() {
        assert_eq!(number("n", b"7", 1..=9).ok(), Some(7));
        for bad in
            [&b""[..], b"0", b"10", b"+7", b"-7", b" 7", b"7.0", b"\xff", b"99999999999999999999"]
        {
            let Err(Refusal::Answer(400, reason)) = number("n", bad, 1..=9) else {
                panic!("{}", bad.escape_ascii())
            };
            assert!(reason.contains("n is ") && reason.contains("1 to 9"), "{reason}");
        }
    }
}
