//! Reading the request body through the input filters, none of which may answer meanwhile.
//!
//! HTTP_IN answers a malformed or too large body itself (`bail_out_on_error` in http_filters.c): it
//! sends an error bucket and an EOS down the output filters. Before the headers that gives an error
//! page, to which what the handler sends is added; after them it ends the response as if it were
//! whole, and the read looks like one that went well. So what input filters send that way is
//! caught.

use std::ffi::{c_char, c_void};

use super::brigade::Brigade;
use super::request::Request;
use crate::sys;

/// Why a request body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// Nothing is there yet, and the read was not to wait.
    NotYet,
    /// A filter found the body at fault, and would have answered with this status.
    Refused(u16),
    /// The filters or the network failed.
    Failed(sys::apr_status_t),
}

impl ReadError {
    /// The client has sent nothing for too long.
    pub(crate) const LATE: Self = Self::Failed(sys::RUST_APR_TIMEUP);

    /// Returns the status that the client should get (`ap_map_http_request_error`).
    #[must_use]
    pub(crate) fn http_status(self) -> u16 {
        match self {
            Self::Refused(status) => status,
            Self::NotYet => 400,
            Self::Failed(status) => {
                // SAFETY: a pure function.
                let status = unsafe { sys::ap_map_http_request_error(status, 400) };
                u16::try_from(status).unwrap_or(400)
            }
        }
    }
}

impl<'r> Request<'r> {
    /// Reads from the input filters into `brigade`.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; `brigade` is empty then.
    pub(crate) fn read(
        &self,
        brigade: &mut Brigade<'r>,
        wait: bool,
        most: i64,
    ) -> Result<(), ReadError> {
        let block = if wait { sys::APR_BLOCK_READ } else { sys::APR_NONBLOCK_READ };
        let filters = field!(self, input_filters);
        let (status, refused) = self.catching(|| {
            // SAFETY: P11: the filters are those of this request, and the brigade is this call's
            // alone (`&mut`).
            unsafe {
                sys::ap_get_brigade(filters, brigade.as_ptr(), sys::AP_MODE_READBYTES, block, most)
            }
        });
        let error = match (refused, status) {
            (Some(refused), _) => ReadError::Refused(refused),
            // Without anything to read, a filter that does not wait may give an empty brigade.
            (None, sys::RUST_APR_SUCCESS) if wait || !brigade.is_empty() => {
                self.reads.set(self.reads.get().wrapping_add(1));
                return Ok(());
            }
            (None, sys::RUST_APR_SUCCESS | sys::RUST_APR_EAGAIN) if !wait => ReadError::NotYet,
            (None, status) => ReadError::Failed(status),
        };
        brigade.clear();
        if error == ReadError::NotYet && self.awaits_continue() {
            if !(200..300).contains(&self.status()) {
                // The client is not to send its body: HTTP_IN says that there is none.
                return self.read(brigade, true, most);
            }
            self.send_continue();
        }
        if error != ReadError::NotYet && self.is_half_closed() {
            self.is_cut_off.set(true);
        }
        Err(error)
    }

    /// Returns whether a read of the body failed at the end of the client's input. Such a client
    /// may still read what the application makes of that.
    #[must_use]
    pub(crate) fn is_cut_off(&self) -> bool {
        self.is_cut_off.get()
    }

    /// Returns how often a read of the body gave something: a change tells that the client sends.
    #[must_use]
    pub(crate) fn reads(&self) -> u32 {
        self.reads.get()
    }

    /// Returns whether content filters stand before the filters of the protocol. Their output may
    /// be longer or shorter than what the client sends.
    #[must_use]
    pub(crate) fn has_input_filter(&self) -> bool {
        field!(self, input_filters) != field!(self, proto_input_filters)
    }

    /// Returns the limit on the request body in bytes (`LimitRequestBody`), if there is one.
    #[must_use]
    pub(crate) fn body_limit(&self) -> Option<u64> {
        // SAFETY: P1, P11: the wrapper keeps the record valid, and httpd only reads it here.
        let limit = unsafe { sys::ap_get_limit_req_body(self.as_ptr()) };
        u64::try_from(limit).ok().filter(|&limit| limit > 0)
    }

    /// Returns whether bytes of the client's can be read without waiting: from its socket, or from
    /// filters of the connection that have read them already (mod_ssl, the core). `spare` is empty,
    /// and stays so: a speculative read leaves the bytes where they are.
    #[must_use]
    pub(crate) fn has_pending_input(&self, spare: &mut Brigade<'r>) -> bool {
        let connection = field!(self, connection);
        let (mode, block) = (sys::AP_MODE_SPECULATIVE, sys::APR_NONBLOCK_READ);
        // SAFETY: P1: the connection outlives its requests.
        let filters = unsafe { (*connection).input_filters };
        // SAFETY: P11: the filters are those of this request's connection, and the brigade is this
        // call's alone (`&mut`).
        let status = unsafe { sys::ap_get_brigade(filters, spare.as_ptr(), mode, block, 1) };
        let is_pending = status == sys::RUST_APR_SUCCESS && !spare.is_empty();
        spare.clear();
        is_pending
    }

    /// Returns whether the client waits for a 100 Continue, which the first read sends.
    #[must_use]
    pub(crate) fn expects_continue(&self) -> bool {
        self.awaits_continue()
    }

    /// Returns whether the client waits for a 100 before it sends its body, and can be given one
    /// yet.
    fn awaits_continue(&self) -> bool {
        // SAFETY: `self` keeps the record valid (P1).
        let expects = unsafe { sys::rust_request_expecting_100(self.as_ptr()) != 0 };
        expects
            && self.has_framing()
            && field!(self, sent_bodyct) == 0
            && field!(self, eos_sent) == 0
    }

    /// Sends the 100 that HTTP_IN sends only for a read that waits.
    fn send_continue(&self) {
        let (status, line) = (field!(self, status), field!(self, status_line));
        self.put_status(100, std::ptr::null());
        // SAFETY: P11: `self` keeps the record valid (P1).
        unsafe { sys::ap_send_interim_response(self.as_ptr(), 0) };
        self.put_status(status, line);
    }

    fn put_status(&self, status: i32, line: *const c_char) {
        field!(self, status = status);
        field!(self, status_line = line);
    }

    /// Runs `read` with a filter in front of the output filters that catches errors which are sent
    /// down: the status of the first one.
    fn catching<T>(&self, read: impl FnOnce() -> T) -> (T, Option<u16>) {
        let mut caught = 0_i32;
        // SAFETY: a record of zeroes is that of a filter without callbacks.
        let mut record: sys::ap_filter_rec_t = unsafe { std::mem::zeroed() };
        record.name = c"RUST_CATCH".as_ptr();
        record.filter_func.out_func = Some(catch);
        record.ftype = sys::AP_FTYPE_RESOURCE;
        let mut catcher = sys::ap_filter_t {
            frec: &raw mut record,
            ctx: (&raw mut caught).cast(),
            next: field!(self, output_filters),
            // Without a request, an EOS that ends here does not count as sent.
            r: std::ptr::null_mut(),
            c: field!(self, connection),
        };
        let catcher = &raw mut catcher;
        // It stays in the chain for the call below only.
        field!(self, output_filters = catcher);
        let result = read();
        // A filter may have been put before or behind it meanwhile.
        // SAFETY: `self` keeps the record valid (P1); a place in it, and no reference.
        let mut place = unsafe { &raw mut (*self.as_ptr()).output_filters };
        loop {
            // SAFETY: P1: the chain of filters lives as long as the request, and ends with null.
            let filter = unsafe { place.read() };
            if filter.is_null() {
                break;
            }
            // SAFETY: the filter is not null, and lives as long as the request.
            let next = unsafe { &raw mut (*filter).next };
            if filter == catcher {
                // SAFETY: the place is a member of the filter above.
                let rest = unsafe { next.read() };
                // SAFETY: as above; nobody else has the chain.
                unsafe { place.write(rest) };
                break;
            }
            place = next;
        }
        (result, u16::try_from(caught).ok().filter(|&status| status != 0))
    }
}

/// Keeps an error back and notes its status; hands on everything else.
unsafe extern "C" fn catch(
    filter: *mut sys::ap_filter_t,
    brigade: *mut sys::apr_bucket_brigade,
) -> sys::apr_status_t {
    // SAFETY: P6, P8: httpd calls it with the filter of `catching` and a brigade.
    let status = unsafe { sys::rust_brigade_error(brigade) };
    if status == 0 {
        // SAFETY: P6: httpd calls this with the filter of `catching`, which is on the stack.
        let next = unsafe { (*filter).next };
        // SAFETY: P11: the next filter of the same chain, and the brigade that was passed here.
        return unsafe { sys::ap_pass_brigade(next, brigade) };
    }
    // SAFETY: P6: httpd calls this with the filter of `catching`, which is on the stack.
    let caught = unsafe { (*filter).ctx }.cast::<i32>();
    // SAFETY: P6: the number on the stack of `catching`.
    let caught = unsafe { &mut *caught };
    if *caught == 0 {
        *caught = status;
    }
    // SAFETY: P8: the brigade was passed here, and owns its buckets.
    unsafe { sys::apr_brigade_cleanup(brigade.cast::<c_void>()) };
    sys::AP_FILTER_ERROR
}
