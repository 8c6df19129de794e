//! A response's head as a driver gets it, and as the CGI-like protocols write it.

use http::StatusCode;

use crate::protocol::head;

/// A final head. Its fields were checked: no name or value can end a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FinalHead<'h> {
    /// The status; `None` when the web server is to answer with what Location names (RFC 3875,
    /// 6.2.2).
    pub status: Option<StatusCode>,
    /// The application's own reason phrase; empty if it gave none.
    pub reason: &'h [u8],
    /// `Name: value` lines, each with CR LF at its end. Content-Length is not among them.
    pub fields: &'h [u8],
    /// The body's length, if it is known.
    pub length: Option<u64>,
}

impl FinalHead<'_> {
    /// Writes it as CGI, FastCGI, SCGI and uwsgi have it: a `Status` field where there is a status.
    pub(crate) fn write_cgi(&self, into: &mut Vec<u8>) {
        if let Some(status) = self.status {
            head::write_status(into, status, Some(self.phrase()));
        }
        self.write_rest(into);
    }

    /// Writes it with a status line, as NPH programs do, and as mod_proxy_uwsgi wants it.
    /// Without a status it is as [`Self::write_cgi`].
    pub(crate) fn write_http(&self, into: &mut Vec<u8>) {
        if let Some(status) = self.status {
            head::write_status_line(into, status, Some(self.phrase()));
        }
        self.write_rest(into);
    }

    /// Visits the fields, without Content-Length.
    pub(crate) fn each(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        for line in self.fields.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(colon) = line.iter().position(|&byte| byte == b':') {
                visit(&line[..colon], line[colon + 1..].trim_ascii());
            }
        }
    }

    /// Returns the reason phrase: the application's own, or the usual one.
    #[must_use]
    pub(crate) fn phrase(&self) -> &[u8] {
        match (self.reason, self.status) {
            ([], Some(status)) => status.canonical_reason().unwrap_or("Unknown").as_bytes(),
            (reason, _) => reason,
        }
    }

    fn write_rest(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(self.fields);
        if let Some(length) = self.length {
            head::write_length(into, length);
        }
        head::write_end(into);
    }
}

/// The value of the first field of this name, in any case.
pub(super) fn find<'f>(fields: &'f [u8], name: &[u8]) -> Option<&'f [u8]> {
    fields.split(|&byte| byte == b'\n').find_map(|line| {
        let (start, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// Keeps the fields that `wanted` says yes to.
pub(super) fn retain(fields: &mut Vec<u8>, wanted: impl Fn(&[u8]) -> bool) {
    let kept: Vec<u8> = fields
        .split_inclusive(|&byte| byte == b'\n')
        .filter(|line| wanted(line.split(|&byte| byte == b':').next().unwrap_or_default()))
        .flatten()
        .copied()
        .collect();
    *fields = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_own_form() {
        let mut fields = Vec::new();
        head::write_header(&mut fields, b"Content-Type", b"text/plain");
        head::write_header(&mut fields, b"X-A", b"");
        let head = FinalHead {
            status: Some(StatusCode::NOT_FOUND),
            reason: b"",
            fields: &fields,
            length: Some(1_204),
        };
        let rest = "Content-Type: text/plain\r\nX-A: \r\nContent-Length: 1204\r\n\r\n";
        let mut written = Vec::new();
        head.write_cgi(&mut written);
        assert_eq!(String::from_utf8_lossy(&written), format!("Status: 404 Not Found\r\n{rest}"));
        written.clear();
        head.write_http(&mut written);
        assert_eq!(String::from_utf8_lossy(&written), format!("HTTP/1.1 404 Not Found\r\n{rest}"));
        written.clear();
        FinalHead { status: None, fields: b"Location: /a\r\n", length: None, ..head }
            .write_cgi(&mut written);
        assert_eq!(written, b"Location: /a\r\n\r\n");
        let mut seen = Vec::new();
        head.each(|name, value| seen.push((name.to_vec(), value.to_vec())));
        assert_eq!(
            seen,
            [(b"Content-Type".to_vec(), b"text/plain".to_vec()), (b"X-A".into(), vec![])]
        );
    }

    #[test]
    fn fields_are_found_and_left_out() {
        let mut fields = b"A: 1\r\nAb: 2\r\nC: 3\r\n".to_vec();
        assert_eq!(find(&fields, b"ab"), Some(&b"2"[..]));
        assert_eq!(find(&fields, b"b"), None);
        retain(&mut fields, |name| name != b"Ab");
        assert_eq!(fields, b"A: 1\r\nC: 3\r\n");
    }
}
