//! Versions of Cargo as versions of Debian.

use anyhow::{Result, bail};

/// `1.2.0-rc.1` is older than `1.2.0`, which Debian writes `1.2.0~rc.1`; `+` may stand in both.
pub(super) fn of(version: &str, revision: u32) -> Result<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".+-".contains(c);
    if !version.starts_with(|c: char| c.is_ascii_digit()) || !version.chars().all(plain) {
        bail!(
            "version \"{version}\": not usable for a Debian package; expected a digit first, then \
             letters, digits, ., + and -"
        );
    }
    // A hyphen is not the last but one here: it separates the revision.
    let version = match version.split_once('-') {
        Some((version, pre)) => format!("{version}~{}", pre.replace('-', ".")),
        None => version.to_owned(),
    };
    Ok(format!("{version}-{revision}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(of("0.1.0", 1).unwrap(), "0.1.0-1");
        assert_eq!(of("1.2.0-rc.1", 2).unwrap(), "1.2.0~rc.1-2");
        assert_eq!(of("1.2.0-a-b+5", 1).unwrap(), "1.2.0~a.b+5-1");
        assert!(of("", 1).is_err());
        assert!(of("1.0 beta", 1).is_err());
    }
}
