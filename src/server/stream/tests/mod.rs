//! Whole processes as threads of the test, with real sockets. The test acts as the web server.

mod apps;
mod crowd;
mod deadlines;
mod drains;
mod harness;
mod overload;
#[cfg(any(feature = "scgi", feature = "uwsgi"))]
mod single;

pub(in crate::server) use self::apps::{Gate, test_application};
pub(in crate::server) use self::harness::{
    Protocol, Stream, TestProcess, head_and_body, read_to_end,
};
