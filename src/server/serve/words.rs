//! The words of `MOD_RUST_OPTIONS`, as a shell would split them.

/// Splits at white space; `'…'` and `"…"` keep it, and a backslash keeps the character behind it
/// but in `'…'`.
///
/// # Errors
///
/// When a quote is not closed.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => {
                let next = characters.next().ok_or("it ends with a backslash")?;
                word.get_or_insert_default().push(next);
            }
            (None, space) if space.is_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    if let Some(open) = quote {
        return Err(format!("a {open} is not closed"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_a_shell() {
        for (text, words) in [
            ("", &[][..]),
            ("  --a 1\t--b\n", &["--a", "1", "--b"]),
            (r#"--o 'a b' c"d e"f g\ h"#, &["--o", "a b", "cd ef", "g h"]),
            (r#"'' 'a\' "b\"""#, &["", r"a\", "b\""]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        assert!(split("'a").is_err());
        assert!(split("a\\").is_err());
    }
}
