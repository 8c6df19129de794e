//! Daemon mode: what becomes of requests, processes and sockets, whatever happens to them. One test at
//! least for each row of the table in docs/daemon-mode.md.

mod clients;
mod crowds;
mod deaths;
mod ends;
mod exits;
mod hostile;
mod isolation;
mod limits;
mod logs;
mod many;
mod options;
mod processes;
mod sockets;
mod starts;
mod states;
mod status;
mod support;
