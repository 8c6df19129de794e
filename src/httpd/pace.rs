//! The pace of a response whose request can be suspended: nothing of it waits for the client.
//!
//! Filters in front of the network turn a flush into a wait for the client, and so does the network's
//! own filter for more than 64 KiB. So a filter of ours stands between them while something is
//! passed: it takes flushes out, and holds back what the network does not take.

use std::ffi::c_void;

use super::suspend::Connection;
use crate::sys;

/// The bytes that the network's filter gets at once: less than it waits for.
const SLICE: i64 = 32 * 1024;

/// The brigades of a paced response, in its request's pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The output that the network does not take yet.
    held: *mut sys::apr_bucket_brigade,
    /// One slice, while it is passed.
    part: *mut sys::apr_bucket_brigade,
}

impl Pace {
    /// # Safety
    ///
    /// Pool and allocator are those of one request, whose thread this is. The result and its copies
    /// are used while the request is there, by a thread that has it (P1, P2).
    pub(super) unsafe fn new(
        pool: *mut sys::apr_pool_t,
        allocator: *mut sys::apr_bucket_alloc_t,
    ) -> Self {
        // SAFETY: P9, P11: the caller's word.
        let held = unsafe { sys::apr_brigade_create(pool, allocator) };
        // SAFETY: P9, P11: the caller's word.
        let part = unsafe { sys::apr_brigade_create(pool, allocator) };
        Self { held, part }
    }

    /// Returns whether something is held back.
    pub(super) fn holds_output(self) -> bool {
        // SAFETY: P8: the brigade is there while the request is.
        unsafe { sys::rust_brigade_is_empty(self.held) == 0 }
    }

    /// Passes on what the network takes of the output that is held back.
    pub(super) fn release(self, connection: Connection) {
        let (network, Self { held, part }) = (connection.network(), self);
        // SAFETY: P8, P11: the connection's filter, and the brigades of `new`. A failure marks the
        // connection as aborted.
        let _ = unsafe { sys::rust_brigade_pace(network, held, held, part, SLICE) };
    }

    /// Gives up what is held back.
    pub(super) fn forget(self) {
        // SAFETY: P8: the brigade owns its buckets.
        unsafe { sys::apr_brigade_cleanup(self.held.cast()) };
    }

    /// Runs `pass` with the filter in front of the network, and sends what it takes.
    ///
    /// # Safety
    ///
    /// The record is that of the request that this was made for, within a hook of it (P1, P2).
    pub(super) unsafe fn around(
        mut self,
        request: *mut sys::request_rec,
        pass: impl FnOnce() -> i32,
    ) -> i32 {
        // SAFETY: P1: the caller's word.
        let connection = unsafe { (*request).connection };
        // SAFETY: P1, P2: it does not leave this function.
        let connection = unsafe { Connection::from_ptr(connection) };
        let network = connection.network();
        // SAFETY: a record of zeroes is that of a filter without callbacks.
        let mut record: sys::ap_filter_rec_t = unsafe { std::mem::zeroed() };
        record.name = c"RUST_PACE".as_ptr();
        record.filter_func.out_func = Some(filter_out);
        record.ftype = sys::AP_FTYPE_NETWORK;
        let mut filter = sys::ap_filter_t {
            frec: &raw mut record,
            ctx: (&raw mut self).cast::<c_void>(),
            next: network,
            // Without a request, an EOS that goes through does not count as sent.
            r: std::ptr::null_mut(),
            c: connection.as_ptr(),
        };
        let filter = &raw mut filter;
        // It stays in the chain for the call below only.
        // SAFETY: P1, P2: the caller's word.
        unsafe { replace(request, network, filter) };
        let status = pass();
        // SAFETY: P1, P2: the caller's word.
        unsafe { replace(request, filter, network) };
        if status == sys::RUST_APR_SUCCESS {
            connection.send_unsent();
        }
        status
    }
}

/// Puts `to` in the place of `from` in the chains of output filters of a request.
///
/// # Safety
///
/// The contract of [`Pace::around`].
unsafe fn replace(
    request: *mut sys::request_rec,
    from: *mut sys::ap_filter_t,
    to: *mut sys::ap_filter_t,
) {
    // SAFETY: P1, P2: the caller's word.
    let connection = unsafe { (*request).connection };
    // SAFETY: P1, P2: a place in the record, and no reference.
    let all = unsafe { &raw mut (*request).output_filters };
    // SAFETY: P1, P2: as above.
    let of_protocol = unsafe { &raw mut (*request).proto_output_filters };
    // SAFETY: P1, P2: as above.
    let of_connection = unsafe { &raw mut (*connection).output_filters };
    for mut place in [all, of_protocol, of_connection] {
        loop {
            // SAFETY: P1: the chain of filters lives as long as the request, and ends with null.
            let filter = unsafe { place.read() };
            if filter.is_null() || filter == to {
                break;
            }
            if filter == from {
                // SAFETY: as above; nobody else has the chain.
                unsafe { place.write(to) };
                break;
            }
            // SAFETY: the filter is not null, and lives as long as the request.
            place = unsafe { &raw mut (*filter).next };
        }
    }
}

/// Passes on what the network takes, and holds the rest back.
unsafe extern "C" fn filter_out(
    filter: *mut sys::ap_filter_t,
    brigade: *mut sys::apr_bucket_brigade,
) -> sys::apr_status_t {
    // SAFETY: P6: httpd calls this with the filter of `Pace::around`, which is on the stack.
    let network = unsafe { (*filter).next };
    // SAFETY: P6: as above.
    let pace = unsafe { (*filter).ctx };
    // SAFETY: P6: as above.
    let Pace { held, part } = unsafe { *pace.cast::<Pace>() };
    // SAFETY: P8, P11: the next filter of the same chain, the brigade that was passed here, and those
    // of `Pace::new`.
    unsafe { sys::rust_brigade_pace(network, brigade, held, part, SLICE) }
}
