//! A connection that switches from HTTP to another protocol (RFC 9110, 7.8).

use std::ffi::CStr;
use std::net::TcpStream;
use std::os::fd::BorrowedFd;

use super::request::Request;
use super::suspend;
use crate::sys;

impl Request<'_> {
    /// Returns whether the connection can be another protocol's after the head of the response.
    ///
    /// No request with a body can: the bytes behind its head are the body's.
    #[must_use]
    pub(crate) fn can_switch_protocols(&self) -> bool {
        let headers = self.headers_in();
        self.has_framing()
            && self.is_initial()
            && if self.is_secondary() {
                // No request of HTTP/2 has the field: mod_http2 has made it of a CONNECT
                // (H2WebSockets).
                headers.get(c"upgrade").is_some()
            } else {
                headers.get(c"content-length").is_none()
                    && headers.get(c"transfer-encoding").is_none()
            }
    }

    /// Sends the head with the status and headers of the response. From then on the request reads
    /// and writes the bytes of its connection, without HTTP's filters. The connection is closed
    /// after it.
    pub(crate) fn switch_protocols(&self) {
        // SAFETY: P11: `self` keeps the record valid (P1).
        unsafe { sys::ap_send_interim_response(self.as_ptr(), 1) };
        self.close_after();
        let connection = field!(self, connection);
        // SAFETY: P1, P2: the connection outlives its requests, and this thread has both.
        let input = unsafe { (*connection).input_filters };
        // Its time-outs are those of a request.
        // SAFETY: P5, P11: the filters are the connection's, and the name ends with NUL.
        unsafe { sys::ap_remove_input_filter_byhandle(input, c"reqtimeout".as_ptr()) };
        // SAFETY: P1, P2: as above. The removal may have changed the first filter.
        let input = unsafe { (*connection).input_filters };
        // SAFETY: P1, P2: as above.
        let output = unsafe { (*connection).output_filters };
        field!(self, input_filters = input);
        field!(self, proto_input_filters = input);
        field!(self, output_filters = output);
        field!(self, proto_output_filters = output);
        // The head is out: no error page may take its place.
        field!(self, sent_bodyct = 1);
    }

    /// Returns whether the connection is another protocol's.
    #[must_use]
    pub(crate) fn has_switched_protocols(&self) -> bool {
        let connection = field!(self, connection);
        // SAFETY: P1, P2: the connection outlives its requests, and this thread has both.
        let input = unsafe { (*connection).input_filters };
        field!(self, proto_input_filters) == input
    }

    /// Returns the client's socket for somebody who reads and writes it from now on, in place of the
    /// request.
    ///
    /// `None` if it has not switched, if the bytes pass a filter that may change them (TLS), if
    /// output is still pending, or if no descriptor is left.
    pub(crate) fn share_socket(&self) -> Option<TcpStream> {
        if !self.has_switched_protocols() || self.is_aborted() || self.has_unsent_output() {
            return None;
        }
        let connection = field!(self, connection);
        // SAFETY: P1, P2: the connection outlives its requests, and this thread has both.
        let input = unsafe { (*connection).input_filters };
        // SAFETY: P1, P2: as above.
        let output = unsafe { (*connection).output_filters };
        if !has_only(input, &INPUT_FILTERS) || !has_only(output, &OUTPUT_FILTERS) {
            return None;
        }
        let fd = self.socket()?;
        // SAFETY: P1: the socket is open for as long as the connection, which this thread has.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) };
        let socket = socket.try_clone_to_owned().ok()?;
        if !suspend::leaves_descriptors(&socket) {
            return None;
        }
        let socket = TcpStream::from(socket);
        // httpd has it so already.
        socket.set_nonblocking(true).ok()?;
        Some(socket)
    }

    /// Notes that the output is whole, so that httpd passes no end of it to the connection's filters.
    pub(crate) fn end_switched(&self) {
        field!(self, eos_sent = 1);
    }
}

/// Filters of connections that do nothing to the bytes of another protocol: the network's, and
/// those of mod_logio, which counts, and mod_reqtimeout, which waits for the end of a request.
const INPUT_FILTERS: [&CStr; 2] = [c"core_in", c"log_input_output"];
const OUTPUT_FILTERS: [&CStr; 2] = [c"core", c"reqtimeout"];

/// Returns whether a chain of filters has none but these.
fn has_only(mut filter: *mut sys::ap_filter_t, known: &[&CStr]) -> bool {
    // SAFETY: P1: the chain of a connection lives as long as the connection, and ends with null.
    while let Some(present) = unsafe { filter.as_ref() } {
        // SAFETY: a filter's record is registered for as long as the process lives.
        let record = unsafe { &*present.frec };
        // SAFETY: P5: the name of a registered filter ends with NUL, and stays.
        let name = unsafe { CStr::from_ptr(record.name) };
        if !known.contains(&name) {
            return false;
        }
        filter = present.next;
    }
    true
}
