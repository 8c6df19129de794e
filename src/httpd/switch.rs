//! A connection that switches from HTTP to another protocol (RFC 9110, 7.8).

use super::request::Request;
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

    /// Notes that the output is whole, so that httpd passes no end of it to the connection's filters.
    pub(crate) fn end_switched(&self) {
        field!(self, eos_sent = 1);
    }
}
