//! SCGI: a netstring of variables, the body, a response that ends with the connection. The engine
//! runs it; the codec is [`protocol::scgi`](crate::protocol::scgi).
#![cfg(target_os = "linux")]

use std::sync::Arc;

use super::site::{FinalHead, Mode};
use super::stream::single::{self, Codec, Decoded};
use super::stream::{Protocol, StreamConnection, StreamWorker};
use crate::protocol::params::{ParamLimits, Params};
use crate::protocol::scgi;

const CODEC: Codec = Codec { mode: Mode::Scgi, decode, write_head };

/// SCGI.
pub(super) struct Scgi;

impl Protocol for Scgi {
    fn name(&self) -> &'static str {
        "scgi"
    }

    fn serve(&self, worker: &mut StreamWorker, connection: &Arc<StreamConnection>, hung_up: bool) {
        single::serve(worker, connection, &CODEC, hung_up);
    }

    fn may_half_close(&self) -> bool {
        true
    }
}

fn decode(bytes: &[u8], limits: &ParamLimits, into: &mut Params) -> Decoded {
    match scgi::decode(bytes, limits, into) {
        Ok(head) => Ok(head.map(|head| (head.size, head.content_length))),
        Err(error) => {
            let is_long = matches!(error.kind(), scgi::ScgiErrorKind::TooLong { .. });
            Err(format!("{error}{}", if is_long { " (--max-head)" } else { "" }))
        }
    }
}

fn write_head(head: &FinalHead<'_>, into: &mut Vec<u8>) {
    head.write_cgi(into);
}
