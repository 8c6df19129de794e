//! Conditional requests and ranges of files, as httpd answers them for files on disk.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;

use crate::gateway::{FileBody, header};

/// The validators that tell one version of a file from another.
#[derive(Clone, Debug, Default)]
pub(super) struct Validators {
    /// The entity tag, with its quotes.
    pub etag: Option<Vec<u8>>,
    /// When it was changed last, in whole seconds.
    pub modified: Option<SystemTime>,
}

impl Validators {
    /// Makes those of a file: its size and time, as httpd's `FileETag MTime Size` makes an ETag of
    /// them. A file that was changed a moment ago may change once more in that moment: its tag is
    /// weak.
    pub(super) fn of(file: &FileBody, now: SystemTime) -> Self {
        let modified_us = file.modified_us();
        let changed = UNIX_EPOCH + Duration::from_micros(modified_us.max(0).cast_unsigned());
        let is_fresh = now.duration_since(changed).is_ok_and(|age| age < Duration::from_secs(1));
        let weak = if is_fresh { "W/" } else { "" };
        let etag = format!("{weak}\"{:x}-{modified_us:x}\"", file.length()).into_bytes();
        let seconds = u64::try_from(modified_us / 1_000_000).unwrap_or(0);
        Self { etag: Some(etag), modified: Some(UNIX_EPOCH + Duration::from_secs(seconds)) }
    }
}

/// A date of a header.
pub(super) fn date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?.trim()).ok()
}

/// Returns the status that conditional headers give a GET or HEAD (RFC 9110, 13.2.2): 304, 412, or
/// none. `header` gives a request header by its name.
#[must_use]
pub(super) fn conditions<'h>(
    method: &[u8],
    validators: &Validators,
    header: impl Fn(&str) -> Option<&'h [u8]>,
) -> Option<StatusCode> {
    let is_read = matches!(method, b"GET" | b"HEAD");
    let later_than = |name: &str| {
        let since = date(header(name)?)?;
        Some(validators.modified? > since)
    };
    if let Some(wanted) = header("if-match") {
        if !matches(wanted, validators, true) {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
    } else if later_than("if-unmodified-since") == Some(true) {
        return Some(StatusCode::PRECONDITION_FAILED);
    }
    if let Some(known) = header("if-none-match") {
        // A range of what is known may be wanted (13.1.2 compares weakly all the same).
        return matches(known, validators, false).then_some(if is_read {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::PRECONDITION_FAILED
        });
    }
    let is_known = is_read && later_than("if-modified-since") == Some(false);
    is_known.then_some(StatusCode::NOT_MODIFIED)
}

/// Whether one of the tags in `list` is the file's; strongly: neither may be weak.
fn matches(list: &[u8], validators: &Validators, strongly: bool) -> bool {
    // A star stands for any version, also of a file without a tag.
    header::lists_tag(list, validators.etag.as_deref().unwrap_or_default(), strongly)
}

/// Which parts of a body a request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ByteRanges {
    /// All of it: no range, or none that is understood.
    Whole,
    /// These, each from its first byte so many bytes. At least one.
    Some(Vec<(u64, u64)>),
    /// None that there is: 416.
    None,
}

/// More ranges than this get the whole (httpd's `MaxRanges`).
const MOST: usize = 200;
/// More that overlap or go backwards get the whole too (`MaxRangeOverlaps`, `MaxRangeReversals`).
const MOST_ODD: usize = 20;

/// Returns the parts of a body of `length` bytes that a GET wants (RFC 9110, 14).
#[must_use]
pub(super) fn parts<'h>(
    method: &[u8],
    length: u64,
    validators: &Validators,
    header: impl Fn(&str) -> Option<&'h [u8]>,
) -> ByteRanges {
    let wanted = header("range").filter(|_| method == b"GET");
    let Some(wanted) = wanted.and_then(|range| std::str::from_utf8(range).ok()) else {
        return ByteRanges::Whole;
    };
    if header("if-range").is_some_and(|version| !is_same(version, validators)) {
        return ByteRanges::Whole;
    }
    let Some((unit, list)) = wanted.split_once('=') else { return ByteRanges::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || length == 0 {
        return ByteRanges::Whole;
    }
    let (mut parts, mut odd, mut total) = (Vec::<(u64, u64)>::new(), 0, 0_u64);
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let Some(part) = part(range, length) else { return ByteRanges::Whole };
        let Some((start, count)) = part else { continue };
        if let Some(&(before, size)) = parts.last()
            && start < before + size
        {
            odd += 1;
        }
        total = total.saturating_add(count);
        parts.push((start, count));
        if parts.len() > MOST || odd > MOST_ODD {
            return ByteRanges::Whole;
        }
    }
    // More than the whole is an attack, or a mistake.
    if parts.len() > 1 && total > length {
        return ByteRanges::Whole;
    }
    if parts.is_empty() { ByteRanges::None } else { ByteRanges::Some(parts) }
}

/// One range: `None` if it is malformed, `Some(None)` if it lies beyond the end.
fn part(range: &str, length: u64) -> Option<Option<(u64, u64)>> {
    let digits = |text: &str| -> Option<u64> {
        let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (first, last) = range.split_once('-')?;
    if first.is_empty() {
        let count = digits(last)?.min(length);
        return Some((count > 0).then_some((length - count, count)));
    }
    let first = digits(first)?;
    let last = if last.is_empty() { u64::MAX } else { digits(last)? };
    if last < first {
        return None;
    }
    Some((first < length).then(|| (first, last.min(length - 1) - first + 1)))
}

/// If-Range: the very same version, by a strong tag or by the exact date.
fn is_same(version: &[u8], validators: &Validators) -> bool {
    if version.starts_with(b"\"") {
        return validators.etag.as_deref() == Some(version);
    }
    date(version).is_some() && date(version) == validators.modified
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validators() -> Validators {
        let modified = UNIX_EPOCH + Duration::from_secs(784_111_777);
        Validators { etag: Some(b"\"a-1\"".to_vec()), modified: Some(modified) }
    }

    fn headers<'h>(all: &'h [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<&'h [u8]> {
        move |name| all.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes())
    }

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    #[test]
    fn conditions_are_answered() {
        for (method, all, expected) in [
            ("GET", &[][..], None),
            ("GET", &[("if-none-match", "\"b\", W/\"a-1\"")], Some(304)),
            ("GET", &[("if-none-match", "*")], Some(304)),
            ("POST", &[("if-none-match", "\"a-1\"")], Some(412)),
            ("GET", &[("if-none-match", "\"b\""), ("if-modified-since", DATE)], None),
            ("HEAD", &[("if-modified-since", DATE)], Some(304)),
            ("POST", &[("if-modified-since", DATE)], None),
            ("GET", &[("if-modified-since", BEFORE)], None),
            ("GET", &[("if-modified-since", "yesterday")], None),
            ("GET", &[("if-match", "\"b\"")], Some(412)),
            ("GET", &[("if-match", "W/\"a-1\"")], Some(412)),
            ("GET", &[("if-match", "\"a-1\""), ("if-unmodified-since", BEFORE)], None),
            ("GET", &[("if-unmodified-since", BEFORE)], Some(412)),
            ("GET", &[("if-unmodified-since", DATE)], None),
        ] {
            let status = conditions(method.as_bytes(), &validators(), headers(all));
            assert_eq!(status.map(|status| status.as_u16()), expected, "{method} {all:?}");
        }
    }

    #[test]
    fn ranges_are_found() {
        let some = |parts: &[(u64, u64)]| ByteRanges::Some(parts.to_vec());
        for (range, expected) in [
            ("bytes=0-0", some(&[(0, 1)])),
            ("Bytes=2-5", some(&[(2, 4)])),
            ("bytes=5-", some(&[(5, 5)])),
            ("bytes=-3", some(&[(7, 3)])),
            ("bytes=-30", some(&[(0, 10)])),
            ("bytes=8-99", some(&[(8, 2)])),
            ("bytes=0-1, 4-5", some(&[(0, 2), (4, 2)])),
            ("bytes=0-1,20-", some(&[(0, 2)])),
            ("bytes=10-", ByteRanges::None),
            ("bytes=-0", ByteRanges::None),
            ("bytes=5-2", ByteRanges::Whole),
            ("bytes=x-", ByteRanges::Whole),
            ("lines=1-2", ByteRanges::Whole),
            ("bytes=0-,0-,0-", ByteRanges::Whole),
            ("bytes=99999999999999999999-", ByteRanges::None),
        ] {
            let all = [("range", range)];
            assert_eq!(parts(b"GET", 10, &validators(), headers(&all)), expected, "{range}");
        }
        let range = [("range", "bytes=0-0")];
        assert_eq!(parts(b"HEAD", 10, &validators(), headers(&range)), ByteRanges::Whole);
        for (version, expected) in [
            ("\"a-1\"", some(&[(0, 1)])),
            ("\"b\"", ByteRanges::Whole),
            ("W/\"a-1\"", ByteRanges::Whole),
            (DATE, some(&[(0, 1)])),
            (BEFORE, ByteRanges::Whole),
        ] {
            let all = [("range", "bytes=0-0"), ("if-range", version)];
            assert_eq!(parts(b"GET", 10, &validators(), headers(&all)), expected, "{version}");
        }
    }

    #[test]
    fn many_odd_ranges_get_the_whole() {
        let range = format!("bytes={}", vec!["1-1"; 30].join(","));
        let range: &'static str = range.leak();
        let all = [("range", range)];
        assert_eq!(parts(b"GET", 1000, &validators(), headers(&all)), ByteRanges::Whole);
    }
}
