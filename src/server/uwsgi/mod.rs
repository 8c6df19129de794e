//! uWSGI's binary protocol: a packet of variables, the body, a response that ends with the
//! connection. The engine runs it; the codec is [`protocol::uwsgi`](crate::protocol::uwsgi).
//!
//! Only requests (modifier 0) are served; another modifier costs the connection and a log line. The
//! response begins with a status line, as mod_proxy_uwsgi wants it; nginx and lighttpd take that
//! too.
#![cfg(target_os = "linux")]

use std::sync::Arc;

use super::site::{FinalHead, Mode};
use super::stream::single::{self, Codec, Decoded};
use super::stream::{Protocol, StreamConnection, StreamWorker};
use crate::protocol::params::{ParamLimits, Params};
use crate::protocol::uwsgi;

const CODEC: Codec = Codec { mode: Mode::Uwsgi, decode, write_head };

/// uWSGI's binary protocol.
pub(super) struct Uwsgi;

impl Protocol for Uwsgi {
    fn name(&self) -> &'static str {
        "uwsgi"
    }

    fn serve(&self, worker: &mut StreamWorker, connection: &Arc<StreamConnection>, hung_up: bool) {
        single::serve(worker, connection, &CODEC, hung_up);
    }

    fn may_half_close(&self) -> bool {
        true
    }
}

fn decode(bytes: &[u8], limits: &ParamLimits, into: &mut Params) -> Decoded {
    match uwsgi::decode(bytes, limits, into) {
        Ok(head) => Ok(head.map(|head| (head.size, head.content_length.unwrap_or(0)))),
        Err(error) => {
            let is_long = matches!(error.kind(), uwsgi::UwsgiErrorKind::TooLong { .. });
            Err(format!("{error}{}", if is_long { " (--max-head)" } else { "" }))
        }
    }
}

fn write_head(head: &FinalHead<'_>, into: &mut Vec<u8>) {
    head.write_http(into);
}
