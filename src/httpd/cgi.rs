//! The CGI variables of a request, as httpd makes them for its own gateways (server/util_script.c).
//!
//! httpd makes them all at once, in a table. Here each is made of the record alone, when it is asked
//! for, with the functions that httpd uses itself. [`Request::add_cgi_variables`] remains for the
//! requests whose variables depend on more.

use std::cell::Cell;
use std::ffi::{CStr, OsStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::OnceLock;

use super::request::Request;
use super::table::Table;
use crate::sys;

/// A variable and the way to its value, if the request has one.
pub(crate) struct CgiVariable {
    pub(crate) name: &'static [u8],
    value: for<'r> fn(&Request<'r>) -> Option<&'r [u8]>,
}

impl CgiVariable {
    /// Returns the value, if the request has one.
    pub(crate) fn of<'r>(&self, request: &Request<'r>) -> Option<&'r [u8]> {
        (self.value)(request)
    }
}

/// Makes the table, with an entry for each name.
macro_rules! variables {
    ($($name:literal => $value:expr,)*) => {
        &[$(CgiVariable { name: $name, value: $value },)*]
    };
}

/// All variables but those of headers, of the error document's first request (`REDIRECT_*`), and
/// those that are taken from the environment (`PATH`, `LD_LIBRARY_PATH`).
pub(crate) const CGI_VARIABLES: &[CgiVariable] = variables! {
    b"REQUEST_METHOD" => |request| Some(request.method()),
    b"REQUEST_URI" => |request| Some(request.original_uri()),
    b"SCRIPT_NAME" => |request| Some(request.script_name()),
    b"PATH_INFO" => |request| Some(request.path_info()).filter(|path| !path.is_empty()),
    b"QUERY_STRING" => |request| Some(request.args().unwrap_or_default()),
    b"SERVER_PROTOCOL" => |request| Some(request.protocol()),
    b"SERVER_NAME" => |request| Some(request.server_name()),
    b"SERVER_PORT" => |request| Some(request.decimal(request.server_port().into())),
    b"REMOTE_ADDR" => |request| request.optional(field!(request, useragent_ip)),
    b"REMOTE_PORT" => |request| Some(request.decimal(request.client_port().into())),
    b"REMOTE_HOST" => |request| request.remote_host(),
    b"REMOTE_USER" => |request| request.optional(field!(request, user)),
    b"AUTH_TYPE" => |request| request.optional(field!(request, ap_auth_type)),
    b"REMOTE_IDENT" => |request| request.remote_logname(),
    b"SERVER_ADDR" => |request| request.local_address(),
    b"SERVER_SOFTWARE" => |request| request.server_banner(),
    b"SERVER_SIGNATURE" => |request| request.server_signature(),
    b"SERVER_ADMIN" => |request| request.server().admin(),
    b"DOCUMENT_ROOT" => |request| request.document_root(),
    b"CONTEXT_PREFIX" => |request| request.context_prefix(),
    b"CONTEXT_DOCUMENT_ROOT" => |request| request.context_document_root(),
    b"SCRIPT_FILENAME" => |request| request.filename(),
    b"PATH_TRANSLATED" => |request| request.path_translated(),
    b"REQUEST_SCHEME" => |request| Some(request.scheme()),
    b"GATEWAY_INTERFACE" => |_| Some(b"CGI/1.1"),
};

/// The variables that httpd takes from the environment.
pub(crate) const INHERITED: [&CStr; 2] = [c"PATH", c"LD_LIBRARY_PATH"];

/// The variable that a request header becomes.
pub(crate) enum HeaderVariable {
    ContentType,
    ContentLength,
    /// `HTTP_` and the name in capitals.
    Http,
    /// The same, if the credentials are passed on.
    Authorization,
    ProxyAuthorization,
    /// None: a client could set HTTP_PROXY, or the name has a character that no variable has.
    None,
}

impl HeaderVariable {
    /// Returns that of the header `name`.
    pub(crate) fn of(name: &[u8]) -> Self {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        match name.len() {
            5 if is("proxy") => Self::None,
            12 if is("content-type") => Self::ContentType,
            13 if is("authorization") => Self::Authorization,
            14 if is("content-length") => Self::ContentLength,
            19 if is("proxy-authorization") => Self::ProxyAuthorization,
            _ if name.iter().all(|&byte| byte == b'-' || byte.is_ascii_alphanumeric()) => {
                Self::Http
            }
            _ => Self::None,
        }
    }
}

thread_local! {
    /// Whether httpd is asked for PATH_TRANSLATED.
    static TRANSLATING: Cell<bool> = const { Cell::new(false) };
}

/// Has the look-up that `make` does be known as one for PATH_TRANSLATED.
fn translating<T>(make: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            TRANSLATING.set(self.0);
        }
    }
    let _restore = Restore(TRANSLATING.replace(true));
    make()
}

impl<'r> Request<'r> {
    /// Puts the CGI variables into the environment (`ap_add_common_vars`, `ap_add_cgi_vars`).
    pub(crate) fn add_cgi_variables(&self) {
        // SAFETY: P11: `self` keeps the record valid (P1).
        unsafe { sys::ap_add_common_vars(self.as_ptr()) };
        // SAFETY: P11: `self` keeps the record valid (P1).
        translating(|| unsafe { sys::ap_add_cgi_vars(self.as_ptr()) });
    }

    /// Returns whether this is the look-up for PATH_TRANSLATED, which wants only the name and
    /// nothing of the disk.
    #[must_use]
    pub(crate) fn is_translated_only(&self) -> bool {
        TRANSLATING.get() && self.is_subrequest()
    }

    /// Returns whether [`CGI_VARIABLES`] and the headers are all that httpd would make variables of:
    /// the request is no subrequest, nor an internal redirect's, and no directive or module changes
    /// the rules.
    pub(crate) fn has_plain_variables(&self) -> bool {
        field!(self, prev).is_null()
            && !self.is_subrequest()
            && self.notes().get(c"proxy-noquery").is_none()
            // SAFETY: P11: `self` keeps the record valid (P1).
            && unsafe { sys::rust_request_has_cgi_rules(self.as_ptr()) } == 0
    }

    /// Returns whether credentials become variables (CGIPassAuth).
    pub(crate) fn passes_authorization(&self) -> bool {
        // SAFETY: P11: `self` keeps the record valid (P1).
        unsafe { sys::rust_request_passes_auth(self.as_ptr()) != 0 }
    }

    /// Returns `http` or `https` (`ap_http_scheme`).
    #[must_use]
    pub fn scheme(&self) -> &'r [u8] {
        // SAFETY: P11: `self` keeps the record valid (P1).
        let scheme = unsafe { sys::ap_run_http_scheme(self.as_ptr()) };
        self.string(scheme)
    }

    /// Returns the path without PATH_INFO.
    pub(crate) fn script_name(&self) -> &'r [u8] {
        let (uri, path_info) = (self.uri(), self.path_info());
        if path_info.is_empty() {
            return uri;
        }
        let before = uri.strip_suffix(path_info);
        match before {
            // Slashes that were merged stay with neither, as in `ap_find_path_info`.
            Some(name) if !name.ends_with(b"/") => return name,
            // `ap_find_path_info` knows no slashes in a row, which MergeSlashes Off leaves.
            Some(name) if path_info.windows(2).any(|two| two == b"//") => return name,
            _ => {}
        }
        let (path, rest) = (field!(self, uri), field!(self, path_info));
        // SAFETY: P11; both end with NUL (P5).
        let end = unsafe { sys::ap_find_path_info(path, rest) };
        &uri[..usize::try_from(end).map_or(uri.len(), |end| end.min(uri.len()))]
    }

    /// Writes a number into the request's pool, without the allocator.
    pub(crate) fn decimal(&self, mut number: u64) -> &'r [u8] {
        let mut digits = [0; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return self.pool().bytes(&digits[start..]);
            }
        }
    }

    /// Returns the target on the request line (`original_uri` in util_script.c).
    fn original_uri(&self) -> &'r [u8] {
        // `apr_isspace` takes a vertical tab, too.
        let is_space = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
        let line = self.string(field!(self, the_request));
        let behind = line.iter().position(is_space).map_or(&[][..], |method| &line[method..]);
        let start = behind.iter().position(|byte| !is_space(byte)).unwrap_or(behind.len());
        let target = &behind[start..];
        &target[..target.iter().position(is_space).unwrap_or(target.len())]
    }

    fn server_name(&self) -> &'r [u8] {
        // SAFETY: P11: `self` keeps the record valid (P1).
        let name = unsafe { sys::ap_get_server_name_for_url(self.as_ptr()) };
        let plain = self.string(name);
        if !plain.iter().any(|byte| b"<>&\"".contains(byte)) {
            return plain;
        }
        // SAFETY: P11; the name ends with NUL (P5).
        let escaped = unsafe { sys::ap_escape_html2(self.pool().as_ptr(), name, 0) };
        self.string(escaped)
    }

    fn server_port(&self) -> u16 {
        // SAFETY: P11: `self` keeps the record valid (P1).
        unsafe { sys::ap_get_server_port(self.as_ptr()) }
    }

    fn client_port(&self) -> u16 {
        // SAFETY: P1: the connection outlives its requests.
        let address = unsafe { (*self.conn()).client_addr };
        // SAFETY: P1: a connection has its client's address.
        unsafe { (*address).port }
    }

    fn local_address(&self) -> Option<&'r [u8]> {
        // SAFETY: P1: the connection outlives its requests.
        self.optional(unsafe { (*self.conn()).local_ip })
    }

    fn remote_host(&self) -> Option<&'r [u8]> {
        let kind = sys::REMOTE_HOST.cast_signed();
        let no_matter = std::ptr::null_mut();
        // SAFETY: P11: `self` keeps the record valid (P1); null is allowed.
        self.optional(unsafe { sys::ap_get_useragent_host(self.as_ptr(), kind, no_matter) })
    }

    fn remote_logname(&self) -> Option<&'r [u8]> {
        // SAFETY: P11: `self` keeps the record valid (P1).
        self.optional(unsafe { sys::ap_get_remote_logname(self.as_ptr()) })
    }

    fn server_banner(&self) -> Option<&'r [u8]> {
        // SAFETY: P11; it lives as long as the configuration.
        self.optional(unsafe { sys::ap_get_server_banner() })
    }

    fn server_signature(&self) -> Option<&'r [u8]> {
        // SAFETY: P11: `self` keeps the record valid (P1); the prefix ends with NUL.
        self.optional(unsafe { sys::ap_psignature(c"".as_ptr(), self.as_ptr()) })
    }

    fn document_root(&self) -> Option<&'r [u8]> {
        // SAFETY: P11: `self` keeps the record valid (P1).
        self.optional(unsafe { sys::ap_document_root(self.as_ptr()) })
    }

    fn context_prefix(&self) -> Option<&'r [u8]> {
        // SAFETY: P11: `self` keeps the record valid (P1).
        self.optional(unsafe { sys::ap_context_prefix(self.as_ptr()) })
    }

    fn context_document_root(&self) -> Option<&'r [u8]> {
        // SAFETY: P11: `self` keeps the record valid (P1).
        self.optional(unsafe { sys::ap_context_document_root(self.as_ptr()) })
    }

    /// Has httpd look PATH_INFO up as if it were a path of its own.
    fn path_translated(&self) -> Option<&'r [u8]> {
        if self.path_info().is_empty() {
            return None;
        }
        let (pool, path_info) = (self.pool(), field!(self, path_info));
        // SAFETY: P11; the path ends with NUL (P5).
        let path = unsafe { sys::ap_os_escape_path(pool.as_ptr(), path_info, 1) };
        let no_filter = std::ptr::null_mut();
        // SAFETY: P11; the path ends with NUL.
        let found =
            translating(|| unsafe { sys::ap_sub_req_lookup_uri(path, self.as_ptr(), no_filter) });
        // SAFETY: httpd returns a subrequest, which is there until it is destroyed.
        let subrequest = unsafe { &*found };
        let (file, rest) = (subrequest.filename, subrequest.path_info);
        let name = (!file.is_null()).then(|| {
            let part = |part: *mut c_char| -> &[u8] {
                if part.is_null() {
                    return b"";
                }
                // SAFETY: both end with NUL (P5), and are there as long as the subrequest.
                unsafe { CStr::from_ptr(part) }.to_bytes()
            };
            pool.bytes(&[part(file), part(rest)].concat())
        });
        // SAFETY: nothing of the subrequest is used any more.
        unsafe { sys::ap_destroy_sub_req(found) };
        name
    }

    /// Visits the variables that httpd takes from the environment of the request, or else of its
    /// process (`env2env`).
    pub(crate) fn each_inherited(&self, mut visit: impl FnMut(&'static [u8], &[u8])) {
        static PROCESS: OnceLock<[Option<Vec<u8>>; 2]> = OnceLock::new();
        let set = self.subprocess_env();
        let process = PROCESS.get_or_init(|| {
            INHERITED.map(|name| {
                let name = OsStr::from_bytes(name.to_bytes());
                std::env::var_os(name).map(OsString::into_vec)
            })
        });
        for (name, of_process) in std::iter::zip(INHERITED, process) {
            if let Some(value) = set.get(name).or(of_process.as_deref()) {
                visit(name.to_bytes(), value);
            }
        }
    }
}

impl<'r> Table<'r> {
    /// Returns the entries, unless there are more than `N`, or two with the same name in any case.
    pub(crate) fn distinct<const N: usize>(
        self,
        room: &mut [(&'r [u8], &'r [u8]); N],
    ) -> Option<usize> {
        let mut count = 0;
        let mut is_distinct = true;
        self.each_while(|name, value| {
            let is_new = count < N
                && !room[..count].iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            if is_new {
                room[count] = (name, value);
                count += 1;
            }
            is_distinct = is_new;
            is_new
        });
        is_distinct.then_some(count)
    }
}
