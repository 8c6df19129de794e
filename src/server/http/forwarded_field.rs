//! The grammar of the header Forwarded (RFC 7239, 4).

/// The parameters of one proxy (RFC 7239, 4).
#[derive(Debug, Default)]
pub(super) struct Element {
    /// `for`.
    pub(super) hop: Option<Vec<u8>>,
    pub(super) proto: Option<Vec<u8>>,
    pub(super) host: Option<Vec<u8>>,
}

/// Splits a Forwarded field; `None` if it breaks the grammar.
pub(super) fn elements(mut rest: &[u8]) -> Option<Vec<Element>> {
    let mut all = Vec::new();
    let (mut element, mut is_empty) = (Element::default(), true);
    loop {
        rest = rest.trim_ascii_start();
        match rest.first() {
            None | Some(b',') => {
                if !is_empty {
                    all.push(std::mem::take(&mut element));
                    is_empty = true;
                }
            }
            Some(b';') => {}
            Some(_) => {
                let (name, value, after) = pair(rest)?;
                let parameter = match &name.to_ascii_lowercase()[..] {
                    b"for" => Some(&mut element.hop),
                    b"proto" => Some(&mut element.proto),
                    b"host" => Some(&mut element.host),
                    _ => None,
                };
                // A parameter occurs once in an element.
                if parameter.is_some_and(|parameter| parameter.replace(value).is_some()) {
                    return None;
                }
                is_empty = false;
                rest = after.trim_ascii_start();
                if !matches!(rest.first(), None | Some(b',' | b';')) {
                    return None;
                }
                continue;
            }
        }
        match rest.split_first() {
            Some((_, after)) => rest = after,
            None => return Some(all),
        }
    }
}

/// Splits `name=value` off, whose value may be a quoted string.
fn pair(text: &[u8]) -> Option<(&[u8], Vec<u8>, &[u8])> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let length = text.iter().take_while(|byte| is_token(byte)).count();
    let (name, rest) = text.split_at(length);
    let rest = rest.strip_prefix(b"=").filter(|_| !name.is_empty())?;
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        // Some proxies write addresses with a colon without quotes.
        let is_plain = |byte: &u8| is_token(byte) || matches!(byte, b':' | b'[' | b']');
        let length = rest.iter().take_while(|byte| is_plain(byte)).count();
        let (value, rest) = rest.split_at(length);
        return Some((name, value.to_vec(), rest)).filter(|_| length > 0);
    };
    let (mut value, mut bytes) = (Vec::new(), quoted.iter().enumerate());
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' => return Some((name, value, &quoted[at + 1..])),
            b'\\' => value.push(*bytes.next()?.1),
            other => value.push(other),
        }
    }
    None
}
