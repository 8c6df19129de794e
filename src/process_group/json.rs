//! Writes JSON (RFC 8259) without a tree of values in between.

use std::fmt::Write as _;

/// JSON text that grows: the caller opens and closes, the commas come by themselves.
#[derive(Debug, Default)]
pub(crate) struct Json {
    text: String,
    /// Something stands before the next value in the same object or array.
    follows: bool,
}

impl Json {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// An object as the next value: `fill` writes its members.
    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Self)) {
        self.nested('{', '}', fill);
    }

    /// An array as the next value: `fill` writes its elements.
    pub(crate) fn array(&mut self, fill: impl FnOnce(&mut Self)) {
        self.nested('[', ']', fill);
    }

    /// A member's name; its value is to come.
    pub(crate) fn name(&mut self, name: &str) -> &mut Self {
        self.string(name);
        self.text.push(':');
        self.follows = false;
        self
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.comma();
        // A number of more than 53 bits loses digits in most readers; none here comes near.
        let _ = write!(self.text, "{number}");
    }

    pub(crate) fn string(&mut self, value: &str) {
        self.comma();
        self.text.push('"');
        for character in value.chars() {
            self.character(character);
        }
        self.text.push('"');
    }

    /// Bytes as text: those that are no UTF-8 as `\xNN`, and a backslash as two, so that every
    /// value can be told from every other.
    pub(crate) fn bytes(&mut self, value: &[u8]) {
        self.comma();
        self.text.push('"');
        for chunk in value.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character == '\\' {
                    self.text.push_str("\\\\");
                }
                self.character(character);
            }
            for byte in chunk.invalid() {
                let _ = write!(self.text, "\\\\x{byte:02x}");
            }
        }
        self.text.push('"');
    }

    pub(crate) fn null(&mut self) {
        self.comma();
        self.text.push_str("null");
    }

    pub(crate) fn optional(&mut self, number: Option<u64>) {
        match number {
            Some(number) => self.number(number),
            None => self.null(),
        }
    }

    fn character(&mut self, character: char) {
        match character {
            '"' => self.text.push_str("\\\""),
            '\\' => self.text.push_str("\\\\"),
            '\n' => self.text.push_str("\\n"),
            '\r' => self.text.push_str("\\r"),
            '\t' => self.text.push_str("\\t"),
            // C0 must be escaped. DEL, C1 and the line ends that are none in JSON but in
            // JavaScript may confuse what shows the text.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(self.text, "\\u{:04x}", u32::from(c));
            }
            c => self.text.push(c),
        }
    }

    fn nested(&mut self, open: char, close: char, fill: impl FnOnce(&mut Self)) {
        self.comma();
        self.text.push(open);
        self.follows = false;
        fill(self);
        self.text.push(close);
        self.follows = true;
    }

    fn comma(&mut self) {
        if self.follows {
            self.text.push(',');
        }
        self.follows = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nests_with_commas() {
        let mut json = Json::new();
        json.object(|json| {
            json.name("a").number(1);
            json.name("b").array(|json| {
                json.number(2);
                json.null();
                json.object(|_| {});
                json.array(|_| {});
                json.string("x");
            });
            json.name("c").optional(None);
            json.name("d").optional(Some(u64::MAX));
        });
        let expected = r#"{"a":1,"b":[2,null,{},[],"x"],"c":null,"d":18446744073709551615}"#;
        assert_eq!(json.finish(), expected);
    }

    #[test]
    fn escapes_strings() {
        let mut json = Json::new();
        json.string("a\"b\\c\n\r\t\u{0}\u{1f}\u{7f}\u{85}\u{2028}é😀</script>");
        let expected = r#""a\"b\\c\n\r\t\u0000\u001f\u007f\u0085\u2028é😀</script>""#;
        assert_eq!(json.finish(), expected);
    }

    #[test]
    fn escapes_bytes() {
        let mut json = Json::new();
        json.bytes(b"GET \xff\\xff\xc3\xa9\xc3");
        assert_eq!(json.finish(), r#""GET \\xff\\\\xffé\\xc3""#);
    }
}
