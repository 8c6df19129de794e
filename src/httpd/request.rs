//! `request_rec`: one request, for as long as a hook works on it.

use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::Invariant;
use super::brigade::Brigade;
use super::pace::Pace;
use super::pool::Pool;
use super::server::Server;
use super::table::Table;
use crate::sys;

/// A request within a hook. It cannot leave the hook, nor its thread:
///
/// ```compile_fail,E0521
/// fn keep(request: &mod_rust::httpd::Request<'_>) {
///     let request: &'static mod_rust::httpd::Request<'static> = request;
/// }
/// ```
///
/// ```compile_fail,E0277
/// fn send(request: &mod_rust::httpd::Request<'_>) {
///     std::thread::scope(|scope| {
///         scope.spawn(|| request.method());
///     });
/// }
/// ```
pub struct Request<'r> {
    request: NonNull<sys::request_rec>,
    /// Whether something went to the output filters through this wrapper.
    passed: Cell<bool>,
    /// The number of reads of the body that gave something.
    pub(super) reads: Cell<u32>,
    /// Whether the client's input ended within the body.
    pub(super) is_cut_off: Cell<bool>,
    /// Whether and how the response is paced.
    pub(super) pace: Cell<Option<Pace>>,
    lifetime: Invariant<'r>,
}

/// The progress of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Its head has not gone out: an error page may take its place.
    Nothing,
    /// Its head has gone out.
    Begun,
    /// Its end has gone out.
    Complete,
}

/// A response's status and type at some moment, in a record of httpd's.
#[derive(Debug)]
pub(crate) struct SoFar<'r> {
    pub(crate) status: i32,
    content_type: *const c_char,
    lifetime: Invariant<'r>,
}

/// The file that answers, as httpd's record has it; times in microseconds since 1970.
pub(super) struct FileInfo {
    pub(super) size: i64,
    pub(super) inode: u64,
    /// The file's own time.
    pub(super) mtime_us: i64,
    /// The time that the response says.
    pub(super) modified: i64,
}

impl<'r> Request<'r> {
    /// # Safety
    ///
    /// `request` is what httpd gave to a hook that runs for all of `'r`, on this thread (P1, P2).
    #[must_use]
    pub(crate) const unsafe fn from_ptr(request: *mut sys::request_rec) -> Self {
        // SAFETY: httpd hands out no null requests.
        let request = unsafe { NonNull::new_unchecked(request) };
        Self {
            request,
            passed: Cell::new(false),
            reads: Cell::new(0),
            is_cut_off: Cell::new(false),
            pace: Cell::new(None),
            lifetime: PhantomData,
        }
    }

    /// Returns the record itself.
    #[must_use]
    pub(crate) const fn as_ptr(&self) -> *mut sys::request_rec {
        self.request.as_ptr()
    }

    /// Returns this wrapper in the request's pool, so that what borrows it may outlive the hook's
    /// call, as long as the request.
    pub(crate) fn kept(&self) -> &'r Self {
        const { assert!(!std::mem::needs_drop::<Self>(), "the pool drops nothing") };
        const { assert!(align_of::<Self>() <= 8, "pool memory is aligned to 8 bytes") };
        let copy = Self {
            request: self.request,
            passed: self.passed.clone(),
            reads: self.reads.clone(),
            is_cut_off: self.is_cut_off.clone(),
            pace: Cell::new(None),
            lifetime: PhantomData,
        };
        // SAFETY: P9: the pool lives for 'r.
        let place = unsafe { sys::apr_palloc(self.pool().as_ptr(), size_of::<Self>()) };
        let place = place.cast::<Self>();
        // SAFETY: the place is fresh, large enough and aligned (P9).
        unsafe { place.write(copy) };
        // SAFETY: it was written just now, and stays for 'r; nobody else has the pointer.
        unsafe { &*place }
    }

    /// Returns whether no other request led to this one: it is neither a subrequest nor an internal
    /// redirect of another.
    pub(crate) fn is_initial(&self) -> bool {
        field!(self, main).is_null() && field!(self, prev).is_null()
    }

    /// Shows in the scoreboard that this thread works on the request.
    pub(crate) fn show_in_scoreboard(&self) {
        let connection = field!(self, connection);
        // SAFETY: P1, P2: the connection is there, and this thread has it.
        let handle = unsafe { (*connection).sbh };
        // SAFETY: P11: the handle is the connection's, which may be null, and the record is valid.
        unsafe {
            sys::ap_update_child_status(
                handle.cast(),
                sys::SERVER_BUSY_WRITE.cast_signed(),
                self.as_ptr(),
            );
        }
    }

    /// Returns the request's pool.
    #[must_use]
    pub fn pool(&self) -> Pool<'r> {
        let pool = field!(self, pool);
        // SAFETY: P1: the request's own pool lives for 'r, and this thread has the request (P2).
        unsafe { Pool::from_ptr(pool) }
    }

    /// Returns the virtual host.
    #[must_use]
    pub fn server(&self) -> Server<'r> {
        let server = field!(self, server);
        // SAFETY: P1: the request's server lives longer than 'r.
        unsafe { Server::from_ptr(server) }.expect("a request has a server")
    }

    /// Returns the method, unchanged.
    #[must_use]
    pub fn method(&self) -> &'r [u8] {
        self.string(field!(self, method))
    }

    /// Returns whether it is a TRACE, which httpd answers itself.
    #[must_use]
    pub(crate) fn is_trace(&self) -> bool {
        field!(self, method_number) == sys::M_TRACE.cast_signed()
    }

    /// Tells whether the method is HEAD.
    #[must_use]
    pub fn is_head(&self) -> bool {
        field!(self, header_only) != 0
    }

    /// Returns the decoded path.
    #[must_use]
    pub fn uri(&self) -> &'r [u8] {
        self.string(field!(self, uri))
    }

    /// Returns the decoded path, as httpd has it.
    #[must_use]
    pub(crate) fn uri_c_str(&self) -> &'r CStr {
        let uri = field!(self, uri);
        if uri.is_null() {
            return c"";
        }
        // SAFETY: the path ends with NUL (P5), and lives as long as the request (P1).
        unsafe { CStr::from_ptr(uri) }
    }

    /// Returns the target of the request line, unchanged.
    #[must_use]
    pub fn unparsed_uri(&self) -> &'r [u8] {
        self.string(field!(self, unparsed_uri))
    }

    /// Returns the query string, if there is one.
    #[must_use]
    pub fn args(&self) -> Option<&'r [u8]> {
        self.optional(field!(self, args))
    }

    /// Returns the part of the path after the file or mount point.
    #[must_use]
    pub fn path_info(&self) -> &'r [u8] {
        self.string(field!(self, path_info))
    }

    /// Returns the protocol: `HTTP/1.1`, `HTTP/2.0`, or `INCLUDED` for a subrequest.
    #[must_use]
    pub fn protocol(&self) -> &'r [u8] {
        self.string(field!(self, protocol))
    }

    /// Returns whether the protocol is HTTP/1.1 or later, so that a response of unknown length has
    /// an end.
    #[must_use]
    pub(crate) fn has_framing(&self) -> bool {
        field!(self, proto_num) >= 1001
    }

    /// Returns the handler that httpd has chosen.
    #[must_use]
    pub fn handler(&self) -> Option<&'r CStr> {
        let handler = field!(self, handler);
        // SAFETY: the name ends with NUL (P5), and lives as long as the request (P1).
        (!handler.is_null()).then(|| unsafe { CStr::from_ptr(handler) })
    }

    /// Returns whether httpd has chosen this handler. Its own pointer tells at once.
    pub(crate) fn has_handler(&self, handler: &'static CStr) -> bool {
        field!(self, handler) == handler.as_ptr() || self.handler() == Some(handler)
    }

    /// Sets the handler.
    pub fn set_handler(&self, handler: &'static CStr) {
        field!(self, handler = handler.as_ptr());
    }

    /// Says what answers, in place of a file, and which end of the path is left over.
    pub(crate) fn set_file(&self, name: &'r CStr, path_info: &'r CStr) {
        field!(self, filename = name.as_ptr().cast_mut());
        field!(self, canonical_filename = name.as_ptr().cast_mut());
        field!(self, path_info = path_info.as_ptr().cast_mut());
    }

    /// Lets this look like a regular file to who looks a subrequest up: mod_dir takes nothing else
    /// as a DirectoryIndex.
    pub(crate) fn stand_in_for_file(&self) {
        field!(self, finfo.filetype = sys::APR_REG);
    }

    /// Returns the file that httpd mapped the request to.
    #[must_use]
    pub fn filename(&self) -> Option<&'r [u8]> {
        self.optional(field!(self, filename))
    }

    /// Returns the time at which the request line was read, in microseconds since 1970.
    #[must_use]
    pub fn time_us(&self) -> i64 {
        field!(self, request_time)
    }

    /// Returns the request's id in the ErrorLog (`%L`), and makes it on first use.
    #[must_use]
    pub fn log_id(&self) -> Option<&'r [u8]> {
        if field!(self, log_id).is_null() {
            let connection = field!(self, connection);
            // SAFETY: P1, P2; the address of the member where the id goes.
            let place = unsafe { &raw mut (*self.as_ptr()).log_id };
            // SAFETY: P11: `self` keeps the record valid, and the place is in it (P1).
            unsafe { sys::ap_run_generate_log_id(connection, self.as_ptr(), place) };
        }
        self.optional(field!(self, log_id))
    }

    /// Tells whether this is a subrequest (of mod_include, or a look-up).
    #[must_use]
    pub fn is_subrequest(&self) -> bool {
        !field!(self, main).is_null()
    }

    /// Returns the request's headers.
    #[must_use]
    pub fn headers_in(&self) -> Table<'r> {
        self.table(field!(self, headers_in))
    }

    /// Returns the response's headers.
    #[must_use]
    pub fn headers_out(&self) -> Table<'r> {
        self.table(field!(self, headers_out))
    }

    /// Returns the response's headers that httpd keeps for an error document.
    #[must_use]
    pub fn err_headers_out(&self) -> Table<'r> {
        self.table(field!(self, err_headers_out))
    }

    /// Adds a header to what stays with an error document.
    pub(crate) fn keep_with_error(&self, name: &[u8], value: &[u8]) {
        let pool = self.pool();
        self.err_headers_out().add(pool, name, value);
        if !name.eq_ignore_ascii_case(b"allow") {
            return;
        }
        // httpd makes this header anew, of the methods that it knows to be allowed.
        let mut reset = sys::REPLACE_ALLOW.cast_signed();
        for method in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if method.is_empty() {
                continue;
            }
            let method = pool.c_str(method);
            let end = std::ptr::null::<c_char>();
            // SAFETY: P11: `self` keeps the record valid (P1); the one method ends with NUL and
            // lives in the request's pool, and the list of methods with null.
            unsafe { sys::ap_allow_methods(self.as_ptr(), reset, method.as_ptr(), end) };
            reset = sys::MERGE_ALLOW.cast_signed();
        }
    }

    /// Returns the request's trailer fields, after the body was read.
    #[must_use]
    pub fn trailers_in(&self) -> Table<'r> {
        self.table(field!(self, trailers_in))
    }

    /// Returns the trailer fields of the response. httpd 2.4 sends them over HTTP/2 only.
    #[must_use]
    pub fn trailers_out(&self) -> Table<'r> {
        self.table(field!(self, trailers_out))
    }

    /// Returns the environment: SetEnv, mod_rewrite's E=, mod_ssl's variables.
    #[must_use]
    pub fn subprocess_env(&self) -> Table<'r> {
        self.table(field!(self, subprocess_env))
    }

    /// Returns the notes that modules exchange.
    #[must_use]
    pub fn notes(&self) -> Table<'r> {
        self.table(field!(self, notes))
    }

    /// Sets the response's status, with a reason phrase if it is not the usual one.
    pub fn set_status(&self, status: u16, line: Option<&'r CStr>) {
        field!(self, status = i32::from(status));
        field!(self, status_line = line.map_or(std::ptr::null(), CStr::as_ptr));
    }

    /// Returns whether httpd has a status line for this status (`ap_get_status_line`).
    #[must_use]
    pub(crate) fn knows_status(status: u16) -> bool {
        if status == 200 {
            return true;
        }
        // SAFETY: it looks the status up in a table of strings that live forever.
        let line = unsafe { sys::ap_get_status_line(i32::from(status)) };
        // SAFETY: httpd's status lines are literals, which end with NUL.
        let line = unsafe { CStr::from_ptr(line) };
        line.to_bytes().starts_with(status.to_string().as_bytes())
    }

    /// Returns the response's status.
    #[must_use]
    pub fn status(&self) -> i32 {
        field!(self, status)
    }

    /// Takes note of the response's status and type as they are now.
    pub(crate) fn answer_so_far(&self) -> SoFar<'r> {
        SoFar {
            status: self.status(),
            content_type: field!(self, content_type),
            lifetime: PhantomData,
        }
    }

    /// Sets the response's type to what it was.
    pub(crate) fn restore_content_type(&self, before: &SoFar<'r>) {
        field!(self, content_type = before.content_type);
    }

    /// Sets the response's status to what it was. An error status that a handler returns would else
    /// pass for an error in an error document.
    pub(crate) fn restore_status(&self, before: &SoFar<'r>) {
        field!(self, status = before.status);
        field!(self, status_line = std::ptr::null());
    }

    /// Returns whether `AcceptPathInfo Off` refuses the request, as its path goes on behind what
    /// answers it.
    pub(crate) fn refuses_path_info(&self) -> bool {
        field!(self, used_path_info) == sys::AP_REQ_REJECT_PATH_INFO.cast_signed()
            && !self.path_info().is_empty()
    }

    /// Sets the response's type. httpd adds the charset of AddDefaultCharset.
    pub fn set_content_type(&self, content_type: &[u8]) {
        let content_type = self.pool().bytes(content_type).as_ptr();
        // SAFETY: P1, P11; the string lives in the pool, and `Pool::bytes` puts a NUL behind it.
        unsafe { sys::ap_set_content_type(self.as_ptr(), content_type.cast()) };
    }

    /// Returns whether httpd itself says the length of a response that is passed on at once, to no
    /// filter before the one that does (`ap_content_length_filter`).
    pub(crate) fn is_counted(&self) -> bool {
        field!(self, output_filters) == field!(self, proto_output_filters) && !self.is_subrequest()
    }

    /// Sets the response's Content-Length.
    pub fn set_content_length(&self, bytes: u64) {
        // SAFETY: P11: `self` keeps the record valid (P1).
        unsafe { sys::ap_set_content_length(self.as_ptr(), bytes.cast_signed()) };
    }

    /// Keeps the response out of caches, as it is broken.
    pub(crate) fn set_no_cache(&self) {
        field!(self, no_cache = 1);
    }

    /// Sends `brigade` through the output filters.
    ///
    /// # Errors
    ///
    /// Returns the APR status of the filters or the network.
    pub fn pass(&self, brigade: &mut Brigade<'r>) -> Result<(), sys::apr_status_t> {
        self.passed.set(true);
        let pass = || {
            let filters = field!(self, output_filters);
            // SAFETY: P11: the filters are those of this request, and so is the brigade, by 'r.
            unsafe { sys::ap_pass_brigade(filters, brigade.as_ptr()) }
        };
        let status = match self.pace.get() {
            // SAFETY: P1, P2: the wrapper keeps the record valid, and made the pace for it.
            Some(pace) => unsafe { pace.around(self.as_ptr(), pass) },
            None => pass(),
        };
        brigade.clear();
        if status == sys::RUST_APR_SUCCESS { Ok(()) } else { Err(status) }
    }

    /// Returns how far the response has come, that of an internal redirect included.
    pub(crate) fn progress(&self) -> Progress {
        let mut progress = Progress::Nothing;
        let mut next = Some(self.request);
        // The requests that an internal redirect made live as long as the first one.
        while let Some(request) = next {
            if field!(request, eos_sent) != 0 {
                return Progress::Complete;
            }
            if field!(request, sent_bodyct) != 0 {
                progress = Progress::Begun;
            }
            next = NonNull::new(field!(request, next));
        }
        // A subrequest's output is a part of another response, whose head says nothing of it.
        if self.is_subrequest() && self.passed.get() { Progress::Begun } else { progress }
    }

    /// Returns whether the head that this request's response belongs to has gone out.
    pub(crate) fn is_head_out(&self) -> bool {
        field!(self.answering(), sent_bodyct) != 0
    }

    /// Returns the record whose head goes out for this request: the page's in a subrequest, and the
    /// last one of internal redirects.
    fn answering(&self) -> NonNull<sys::request_rec> {
        let mut record = self.request;
        // A subrequest's page, and what internal redirects made of it, live as long as it does.
        while let Some(main) = NonNull::new(field!(record, main)) {
            record = main;
        }
        while let Some(next) = NonNull::new(field!(record, next)) {
            record = next;
        }
        record
    }

    /// Ends a response that has begun so that the client sees that it is not whole. `out` holds
    /// what is still to be passed on.
    pub(crate) fn break_off(&self, mut out: Brigade<'r>) {
        self.set_no_cache();
        self.close_after();
        let is_secondary = self.is_secondary();
        let is_complete = self.progress() == Progress::Complete;
        if !is_complete {
            out.push_flush();
            let _ = self.pass(&mut out);
        }
        if is_complete || (!self.is_head_out() && !is_secondary) {
            // Either the response's end was sent before its error was known, or a filter holds the
            // head of the page around this part. That filter would end the page well. HTTP/2 sees
            // an end that comes before the length.
            if !is_secondary {
                self.reset();
            }
            return;
        }
        let record = self.answering();
        let length = self.table(field!(record, headers_out)).get(c"Content-Length");
        let is_framed = field!(record, chunked) != 0 || length.is_some();
        let filters = field!(record, proto_output_filters);
        // A content filter may hold the error back, or lose it: httpd's own filters get it at once.
        out.push_error(http::StatusCode::BAD_GATEWAY.as_u16(), self.pool());
        if !self.is_subrequest() {
            out.push_end();
        }
        self.pass_to(filters, &mut out);
        // Without framing the end of the connection is the end of the body: it must be no clean
        // one.
        if !is_framed && !is_secondary {
            self.reset();
        }
    }

    /// Passes `brigade` to `filters`, a part of this request's output filters.
    fn pass_to(&self, filters: *mut sys::ap_filter_t, brigade: &mut Brigade<'r>) {
        // SAFETY: P11: the filters are those of this request, and so is the brigade, by 'r.
        unsafe { sys::ap_pass_brigade(filters, brigade.as_ptr()) };
        brigade.clear();
    }

    /// Returns the length of the request body; `Ok(None)` when it is chunked.
    ///
    /// # Errors
    ///
    /// The status that httpd answers a bad or too large announcement with.
    pub(crate) fn body_length(&self) -> Result<Option<u64>, i32> {
        // SAFETY: P11: `self` keeps the record valid (P1).
        let status = unsafe {
            sys::ap_setup_client_block(self.as_ptr(), sys::REQUEST_CHUNKED_DECHUNK.cast_signed())
        };
        if status != sys::OK.cast_signed() {
            return Err(status);
        }
        if field!(self, read_chunked) != 0 {
            return Ok(None);
        }
        Ok(Some(field!(self, remaining).max(0).cast_unsigned()))
    }

    /// Returns the status that conditional headers make of a 200 (`ap_meets_conditions`).
    #[must_use]
    pub(crate) fn meets_conditions(&self) -> i32 {
        // SAFETY: P11: `self` keeps the record valid (P1).
        unsafe { sys::ap_meets_conditions(self.as_ptr()) }
    }

    /// Redirects internally to a GET of another path of this server (`ap_internal_redirect`).
    pub fn internal_redirect(&self, target: &[u8]) {
        let target = self.pool().c_str(target);
        // mod_cgi does the same for a local redirect.
        field!(self, method = c"GET".as_ptr());
        field!(self, method_number = sys::M_GET.cast_signed());
        self.headers_in().unset(c"Content-Length");
        self.headers_in().unset(c"Transfer-Encoding");
        // SAFETY: P11: `self` keeps the record valid (P1), and the target ends with NUL.
        unsafe { sys::ap_internal_redirect_handler(target.as_ptr(), self.as_ptr()) };
    }

    pub(super) fn conn(&self) -> *mut sys::conn_rec {
        field!(self, connection)
    }

    /// Returns the buckets' allocator.
    pub(super) fn bucket_alloc(&self) -> *mut sys::apr_bucket_alloc_t {
        let connection = field!(self, connection);
        // SAFETY: P1: the connection outlives its requests.
        unsafe { (*connection).bucket_alloc }
    }

    /// Puts into the record what httpd would have found on disk.
    pub(super) fn put_file_info(&self, info: FileInfo) {
        let FileInfo { size, inode, mtime_us, modified } = info;
        field!(self, finfo.filetype = sys::APR_REG);
        field!(self, finfo.size = size);
        field!(self, finfo.inode = inode);
        field!(self, finfo.mtime = mtime_us);
        field!(self, mtime = modified);
    }

    fn table(&self, table: *mut sys::apr_table_t) -> Table<'r> {
        // SAFETY: P1: a table of the request, which lives for 'r.
        unsafe { Table::from_ptr(table) }
    }

    pub(super) fn optional(&self, string: *const c_char) -> Option<&'r [u8]> {
        // SAFETY: the string ends with NUL (P5), and lives as long as the request (P1).
        (!string.is_null()).then(|| unsafe { CStr::from_ptr(string) }.to_bytes())
    }

    pub(super) fn string(&self, string: *const c_char) -> &'r [u8] {
        self.optional(string).unwrap_or_default()
    }
}
