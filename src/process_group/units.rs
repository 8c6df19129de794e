//! The values of options: times with units, sizes, counts, lists. Errors say what is allowed.

use std::time::Duration;

/// The longest time that an option takes: ten years, so that sums of times never overflow.
const LONGEST: u64 = 3650 * 24 * 3600 * 1000;

/// Reads a time: a whole number with `ms`, `s`, `min`, `h` or `d`; a bare number is seconds.
///
/// # Errors
///
/// The text is not a value of this kind; the error says what is allowed.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    const ALLOWED: &str = "a whole number with a unit of ms, s, min, h or d (seconds without one)";
    let (number, unit) = split(text);
    let scale = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "" | "s" => 1000,
        "min" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        "m" => return Err("expected \"min\" for minutes or \"ms\" for milliseconds".into()),
        _ => return Err(format!("expected {ALLOWED}")),
    };
    let number: u64 = number.parse().map_err(|_| format!("expected {ALLOWED}"))?;
    match number.checked_mul(scale) {
        Some(ms) if ms <= LONGEST => Ok(Duration::from_millis(ms)),
        _ => Err("expected 3650d at most".into()),
    }
}

/// A time from `least` to `most`.
pub(super) fn time_within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < least || time > most {
        return Err(format!("expected a time from {} to {}", show(least), show(most)));
    }
    Ok(time)
}

/// Reads a time, where 0 says that there is no such limit.
pub(crate) fn time_or_off(text: &str) -> Result<Option<Duration>, String> {
    Ok(Some(duration(text)?).filter(|time| !time.is_zero()))
}

/// Reads a size: a whole number of bytes, or with K, M or G of 1024, 1024² or 1024³ bytes.
///
/// # Errors
///
/// The text is not a value of this kind; the error says what is allowed.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const ALLOWED: &str = "a number of bytes, or with K, M or G";
    let (number, unit) = split(text);
    let shift = match unit {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        _ => return Err(format!("expected {ALLOWED}")),
    };
    let number: u64 = number.parse().map_err(|_| format!("expected {ALLOWED}"))?;
    match number.checked_mul(1 << shift) {
        Some(bytes) if bytes <= i64::MAX as u64 => Ok(bytes),
        _ => Err("expected less than 8589934592G".into()),
    }
}

/// Reads a size of `least` to `most` bytes, or 0 for none.
pub(crate) fn size_or_off(text: &str, least: u64, most: u64) -> Result<Option<u64>, String> {
    match size(text)? {
        0 => Ok(None),
        bytes if bytes < least || bytes > most => {
            Err(format!("expected 0, or a size from {least} to {most} bytes"))
        }
        bytes => Ok(Some(bytes)),
    }
}

/// A size of `least` to `most` bytes.
pub(super) fn size_within(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let bytes = size(text)?;
    if bytes < least || bytes > most {
        return Err(format!("expected a size from {least} to {most} bytes"));
    }
    Ok(bytes)
}

/// The most threads that the runtime for services may be given.
pub(crate) const MOST_RUNTIME_THREADS: i64 = 512;

/// Reads a whole number from `least` to `most`.
pub(crate) fn count(text: &str, least: i64, most: i64) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("expected a whole number from {least} to {most}")),
    }
}

/// Reads a share in percent, with or without `%`.
pub(crate) fn percent(text: &str, most: u8) -> Result<u8, String> {
    match text.strip_suffix('%').unwrap_or(text).parse::<u8>() {
        Ok(number) if number <= most => Ok(number),
        _ => Err(format!("expected a share from 0% to {most}%")),
    }
}

/// A umask in octal.
pub(super) fn creation_mask(text: &str) -> Result<u32, String> {
    let octal = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mask) if octal && mask <= 0o777 => Ok(mask),
        _ => Err("expected an octal number from 0 to 777, such as 0027".into()),
    }
}

/// Words with commas between them, none of them empty.
pub(super) fn list(text: &str) -> Result<Vec<String>, String> {
    let words: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
    if words.iter().any(String::is_empty) {
        return Err("expected names with commas between them".into());
    }
    Ok(words)
}

/// An absolute path.
pub(super) fn path(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("expected an absolute path".into());
    }
    Ok(text.to_owned())
}

/// A time as [`duration`] reads it, in the largest unit that shows it exactly.
pub(super) fn show(time: Duration) -> String {
    let ms = time.as_millis();
    for (unit, scale) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)] {
        if ms > 0 && ms.is_multiple_of(scale) {
            return format!("{}{unit}", ms / scale);
        }
    }
    if ms == 0 { "0".into() } else { format!("{ms}ms") }
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, ms) in [
            ("0", 0),
            ("15", 15_000),
            ("15s", 15_000),
            ("250ms", 250),
            ("250MS", 250),
            ("2min", 120_000),
            ("3h", 10_800_000),
            ("1d", 86_400_000),
            ("3650d", LONGEST),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "s", "-1", "+1", "1.5", "1 s", "1w", "1m", "3651d", "99999999999999999999"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("1m").unwrap_err().contains("min"));
        assert_eq!(time_or_off("0"), Ok(None));
        assert_eq!(time_or_off("0ms"), Ok(None));
        assert_eq!(time_or_off("1ms"), Ok(Some(Duration::from_millis(1))));
    }

    #[test]
    fn times_show_as_they_are_read() {
        for text in ["0", "1ms", "1500ms", "1s", "90s", "2min", "25h", "3d"] {
            assert_eq!(show(duration(text).unwrap()), text);
        }
        assert_eq!(show(Duration::from_secs(120)), "2min");
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("17", 17), ("1K", 1024), ("2m", 2 << 20), ("3G", 3 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "1KB", "-1", "1.5G", "1T", "8589934592G", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(size_or_off("0", 512, 1024), Ok(None));
        assert_eq!(size_or_off("1K", 512, 1024), Ok(Some(1024)));
        assert!(size_or_off("511", 512, 1024).is_err());
        assert!(size_within("0", 512, 1024).is_err());
    }

    #[test]
    fn counts_shares_and_masks() {
        assert_eq!(count("7", 0, 9), Ok(7));
        assert_eq!(count("-20", -20, 19), Ok(-20));
        for text in ["10", "-1", "", "x", "1 "] {
            assert!(count(text, 0, 9).is_err(), "{text}");
        }
        assert_eq!(percent("10%", 50), Ok(10));
        assert_eq!(percent("0", 50), Ok(0));
        assert!(percent("51%", 50).is_err() && percent("%", 50).is_err());
        assert_eq!(creation_mask("0027"), Ok(0o27));
        for text in ["", "8", "1000", "+7", "0o22"] {
            assert!(creation_mask(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_and_paths() {
        assert_eq!(list("a,b"), Ok(vec!["a".into(), "b".into()]));
        assert!(list("a,,b").is_err() && list("").is_err());
        assert!(path("/srv").is_ok() && path("srv").is_err());
    }
}
