//! The worker pool of a process: the number of its threads, the permits to work, the threads that
//! wait for readable connections, and the requests that wait, on threads and without.

pub(crate) mod connections;
pub(crate) mod parker;
pub(crate) mod permits;
pub(crate) mod pollers;
pub(crate) mod pool;
pub(crate) mod send_buffer;
pub(crate) mod size;
pub(crate) mod suspended;
#[cfg_attr(
    not(feature = "http-server"),
    allow(dead_code, reason = "other drivers wait on threads")
)]
pub(crate) mod visits;
