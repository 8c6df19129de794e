//! Text from outside in a line of a log.

use std::fmt::Write as _;

/// Adds `text` to a line of a log: nothing in it can look like another line, or move a terminal's
/// cursor.
#[cfg_attr(not(feature = "serve"), allow(dead_code, reason = "only a server uses it"))]
pub(crate) fn push_escaped(line: &mut String, text: &[u8]) {
    for piece in text.utf8_chunks() {
        for character in piece.valid().chars() {
            if character.is_control() {
                let _ = write!(line, "{}", character.escape_default());
            } else {
                line.push(character);
            }
        }
        for byte in piece.invalid() {
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        let mut line = String::new();
        push_escaped(&mut line, b"a\nb\x1b[1m\xff \xc3\xa9\t");
        assert_eq!(line, "a\\nb\\u{1b}[1m\\xff \u{e9}\\t");
    }
}
