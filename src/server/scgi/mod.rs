//! SCGI: a netstring of variables, the body, a response that ends with the connection. The engine
//! runs it; the codec is [`protocol::scgi`](crate::protocol::scgi).
#![cfg(target_os = "linux")]

use std::sync::Arc;

use super::site::{Head, Mode};
use super::stream::single::{self, Decoded, Speech};
use super::stream::{Connection, Worker};
use crate::protocol::params::{Limits, Params};
use crate::protocol::scgi;

const SPEECH: Speech = Speech { mode: Mode::Scgi, decode, write_head };

/// Works on a connection that the calling thread has claimed.
pub(super) fn attend(worker: &mut Worker, connection: &Arc<Connection>, hung_up: bool) {
    single::attend(worker, connection, &SPEECH, hung_up);
}

fn decode(bytes: &[u8], limits: &Limits, into: &mut Params) -> Decoded {
    match scgi::decode(bytes, limits, into) {
        Ok(head) => Ok(head.map(|head| (head.size, head.content_length))),
        Err(error) => {
            let is_long = matches!(error.kind(), scgi::ErrorKind::TooLong { .. });
            Err(format!("{error}{}", if is_long { " (--max-head)" } else { "" }))
        }
    }
}

fn write_head(head: &Head<'_>, into: &mut Vec<u8>) {
    head.write_cgi(into);
}
