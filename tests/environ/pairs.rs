//! Names and values of an environ, read out of what the probe and the CGI program print.

use std::collections::BTreeMap;

/// An environ.
pub(crate) type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Parses the CGI program's output: `name=value`, each ended by NUL.
pub(crate) fn from_cgi(bytes: &[u8]) -> Result<Pairs, String> {
    let mut pairs = Pairs::new();
    for entry in bytes.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()) {
        let at = entry.iter().position(|&byte| byte == b'=');
        let at = at.ok_or_else(|| format!("no = in {}", entry.escape_ascii()))?;
        if pairs.insert(entry[..at].to_vec(), entry[at + 1..].to_vec()).is_some() {
            return Err(format!("{} is there twice", entry[..at].escape_ascii()));
        }
    }
    Ok(pairs)
}

/// Parses the probe's output: one flat JSON object of strings. In its text, `\xNN` stands for a
/// byte that is not UTF-8, and `\\` for a backslash.
pub(crate) fn from_probe(text: &str) -> Result<Pairs, String> {
    let mut rest = text.trim().strip_prefix('{').ok_or("no JSON object")?;
    let mut pairs = Pairs::new();
    loop {
        let (name, after) = string(rest)?;
        let after = after.trim_start().strip_prefix(':').ok_or("no colon")?;
        let (value, after) = string(after)?;
        if pairs.insert(bytes(&name)?, bytes(&value)?).is_some() {
            return Err(format!("{name} is there twice"));
        }
        rest = after.trim_start();
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None if rest == "}" => return Ok(pairs),
            None => return Err(format!("no end of an object: {rest:.40}")),
        }
    }
}

/// Parses a JSON string. Returns it and the rest.
fn string(text: &str) -> Result<(String, &str), String> {
    let text =
        text.trim_start().strip_prefix('"').ok_or_else(|| format!("no string: {text:.40}"))?;
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((out, &text[at + 1..])),
            '\\' => out.push(match chars.next().map(|(_, c)| c) {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                    let code = u32::from_str_radix(&digits, 16).map_err(|e| e.to_string())?;
                    char::from_u32(code).ok_or("half of a surrogate pair")?
                }
                Some(c @ ('"' | '\\' | '/')) => c,
                other => return Err(format!("no JSON escape: {other:?}")),
            }),
            c => out.push(c),
        }
    }
    Err("a string without an end".into())
}

/// Decodes the probe's notation into bytes.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('\\') {
            out.push(b'\\');
            rest = after;
        } else {
            let digits = rest.strip_prefix('x').and_then(|rest| rest.get(..2));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            out.push(byte.ok_or_else(|| format!("no escape of the probe's: \\{rest:.10}"))?);
            rest = &rest[3..];
        }
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

#[test]
fn reads_the_probes_notation() {
    let text = "{\n  \"A\": \"x\\\"\\\\\\\\\\u0001\\\\xff\u{e4}\",\n  \"B\": \"\"\n}\n";
    let expected = [(b"A".to_vec(), b"x\"\\\x01\xff\xc3\xa4".to_vec()), (b"B".to_vec(), vec![])];
    assert_eq!(from_probe(text), Ok(expected.into()));
    for bad in ["", "{", "{\"a\": \"b\"", "{\"a\" \"b\"}", "{\"a\": \"\\\\q\"}", "[]"] {
        assert!(from_probe(bad).is_err(), "{bad}");
    }
}

#[test]
fn reads_the_programs_output() {
    let expected = [(b"A".to_vec(), b"x=\n".to_vec()), (b"B".to_vec(), vec![])];
    assert_eq!(from_cgi(b"A=x=\n\0B=\0"), Ok(expected.into()));
    assert!(from_cgi(b"A\0").is_err() && from_cgi(b"A=1\0A=2\0").is_err());
}
