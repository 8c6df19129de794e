//! The environ of a request in memory, made by httpd's rules for CGI.

use std::collections::BTreeMap;

use crate::gateway::environ::GATEWAY_VERSION;
use crate::gateway::exchange::SharedVariables;
use crate::gateway::percent;

/// The data of a request.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) method: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) script_name: Vec<u8>,
    pub(super) path_info: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Keys that are set or removed after all others were made.
    pub(super) set: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Names {
    pub(super) fn new(method: &[u8], target: &[u8]) -> Self {
        Self {
            method: method.to_vec(),
            target: target.to_vec(),
            script_name: Vec::new(),
            path_info: None,
            headers: Vec::new(),
            set: Vec::new(),
        }
    }

    fn path_info(&self) -> Vec<u8> {
        if let Some(path_info) = &self.path_info {
            return path_info.clone();
        }
        let path = self.target.split(|&byte| byte == b'?').next().unwrap_or_default();
        let path = percent::decode(path);
        match path.strip_prefix(&self.script_name[..]) {
            Some(rest) if rest.is_empty() || rest.starts_with(b"/") => rest.to_vec(),
            _ => panic!(
                "the path \"{}\" does not lie below the mount point \"{}\"",
                path.escape_ascii(),
                self.script_name.escape_ascii()
            ),
        }
    }

    fn query(&self) -> &[u8] {
        match self.target.iter().position(|&byte| byte == b'?') {
            Some(at) => &self.target[at + 1..],
            None => &[],
        }
    }
}

/// Every key of the environ, and the unchanged headers.
#[derive(Debug)]
pub(super) struct VariableTable {
    variables: BTreeMap<Vec<u8>, Vec<u8>>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Headers by lower-case name, with the values of a repeated one joined like in httpd.
    merged: BTreeMap<Vec<u8>, Vec<u8>>,
    target: Vec<u8>,
}

impl VariableTable {
    pub(super) fn new(names: &Names, length: Option<u64>, has_body: bool) -> Self {
        let mut headers = names.headers.clone();
        let has = |headers: &[(Vec<u8>, Vec<u8>)], name: &[u8]| {
            headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name))
        };
        if !has(&headers, b"host") {
            headers.insert(0, (b"Host".to_vec(), b"localhost".to_vec()));
        }
        match length {
            Some(length) if !has(&headers, b"content-length") => {
                headers.push((b"Content-Length".to_vec(), length.to_string().into_bytes()));
            }
            None if has_body && !has(&headers, b"transfer-encoding") => {
                headers.push((b"Transfer-Encoding".to_vec(), b"chunked".to_vec()));
            }
            _ => {}
        }
        let merged = merge(&headers);
        let mut table =
            Self { variables: BTreeMap::new(), headers, merged, target: names.target.clone() };
        table.add_server_variables(names);
        table.add_header_variables();
        for (key, value) in &names.set {
            match value {
                Some(value) => table.variables.insert(key.clone(), value.clone()),
                None => table.variables.remove(key),
            };
        }
        table
    }

    fn add_server_variables(&mut self, names: &Names) {
        let host = self.merged.get(&b"host"[..]).cloned().unwrap_or_default();
        let name = host.split(|&byte| byte == b':').next().unwrap_or_default().to_vec();
        let path_info = names.path_info();
        for (key, value) in [
            ("GATEWAY_INTERFACE", &b"CGI/1.1"[..]),
            ("SERVER_PROTOCOL", b"HTTP/1.1"),
            ("SERVER_SOFTWARE", b"mod_rust (in memory)"),
            ("SERVER_NAME", &name),
            ("SERVER_ADDR", b"127.0.0.1"),
            ("SERVER_PORT", b"80"),
            ("REMOTE_ADDR", b"127.0.0.1"),
            ("REMOTE_PORT", b"49152"),
            ("REQUEST_METHOD", &names.method),
            ("REQUEST_SCHEME", b"http"),
            ("REQUEST_URI", &names.target),
            ("QUERY_STRING", names.query()),
            ("SCRIPT_NAME", &names.script_name),
            ("gateway.version", GATEWAY_VERSION.as_bytes()),
            ("gateway.url_scheme", b"http"),
            ("gateway.input_terminated", b"1"),
            ("gateway.multithread", b"0"),
            ("gateway.multiprocess", b"0"),
            ("gateway.run_once", b"0"),
        ] {
            self.variables.insert(key.into(), value.to_vec());
        }
        if !path_info.is_empty() {
            self.variables.insert(b"PATH_INFO".to_vec(), path_info);
        }
    }

    /// Makes the variables of headers by httpd's rule (`ap_add_common_vars`).
    ///
    /// Only letters, digits and hyphens are allowed, so that two names never give the same
    /// variable. Proxy (httpoxy) and credentials are left out.
    fn add_header_variables(&mut self) {
        for (name, value) in &self.merged {
            let key = match &name[..] {
                b"content-type" => b"CONTENT_TYPE".to_vec(),
                b"content-length" => b"CONTENT_LENGTH".to_vec(),
                b"proxy" | b"authorization" | b"proxy-authorization" => continue,
                name if name.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
                    let upper = name.iter().map(|&byte| match byte {
                        b'-' => b'_',
                        byte => byte.to_ascii_uppercase(),
                    });
                    b"HTTP_".iter().copied().chain(upper).collect()
                }
                _ => continue,
            };
            self.variables.insert(key, value.clone());
        }
    }

    pub(super) fn variable(&self, key: &[u8]) -> Option<&[u8]> {
        self.variables.get(key).map(Vec::as_slice)
    }

    pub(super) fn header(&self, name: &[u8]) -> Option<&[u8]> {
        self.merged.get(&name.to_ascii_lowercase()).map(Vec::as_slice)
    }

    pub(super) fn each_header(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.headers.iter().for_each(|(name, value)| visit(name, value));
    }

    pub(super) fn header_count(&self) -> usize {
        self.headers.len()
    }

    pub(super) fn target(&self) -> &[u8] {
        &self.target
    }
}

impl SharedVariables for VariableTable {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.variable(key).map(<[u8]>::to_vec)
    }

    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        self.variables.iter().for_each(|(key, value)| visit(key, value));
    }
}

fn merge(headers: &[(Vec<u8>, Vec<u8>)]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut merged = BTreeMap::<Vec<u8>, Vec<u8>>::new();
    for (name, value) in headers {
        merged
            .entry(name.to_ascii_lowercase())
            .and_modify(|known| {
                known.extend_from_slice(b", ");
                known.extend_from_slice(value);
            })
            .or_insert_with(|| value.clone());
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(target: &str, script_name: &str, headers: &[(&str, &str)]) -> VariableTable {
        let mut names = Names::new(b"GET", target.as_bytes());
        names.script_name = script_name.into();
        for (name, value) in headers {
            names.headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        }
        VariableTable::new(&names, None, false)
    }

    #[test]
    fn splits_the_target() {
        let table = table("/caf%C3%A9/a%2fb%?x=%20&y", "/caf\u{e9}", &[]);
        assert_eq!(table.variable(b"SCRIPT_NAME"), Some("/caf\u{e9}".as_bytes()));
        assert_eq!(table.variable(b"PATH_INFO"), Some(&b"/a/b%"[..]));
        assert_eq!(table.variable(b"QUERY_STRING"), Some(&b"x=%20&y"[..]));
        assert_eq!(table.variable(b"REQUEST_URI"), Some(&b"/caf%C3%A9/a%2fb%?x=%20&y"[..]));
    }

    #[test]
    #[should_panic(expected = "does not lie below the mount point")]
    fn keeps_to_the_mount_point() {
        let _ = table("/apple", "/app", &[]);
    }

    #[test]
    fn names_headers_as_httpd_does() {
        let table = table(
            "/",
            "",
            &[
                ("X-A", "1"),
                ("x-a", "2"),
                ("X_A", "3"),
                ("Proxy", "evil"),
                ("Authorization", "Basic x"),
                ("content-TYPE", "text/plain"),
                ("Content-Length", "0"),
            ],
        );
        assert_eq!(table.variable(b"HTTP_X_A"), Some(&b"1, 2"[..]));
        assert_eq!(table.header(b"X-a"), Some(&b"1, 2"[..]));
        assert_eq!(table.header(b"X_A"), Some(&b"3"[..]));
        assert_eq!(table.variable(b"HTTP_PROXY"), None);
        assert_eq!(table.variable(b"HTTP_AUTHORIZATION"), None);
        assert_eq!(table.header(b"authorization"), Some(&b"Basic x"[..]));
        assert_eq!(table.variable(b"CONTENT_TYPE"), Some(&b"text/plain"[..]));
        assert_eq!(table.variable(b"CONTENT_LENGTH"), Some(&b"0"[..]));
        assert_eq!(table.variable(b"HTTP_CONTENT_TYPE"), None);
    }
}
