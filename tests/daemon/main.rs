//! Tests daemon mode: requests, processes and sockets under every failure. Each row of the table in
//! docs/daemon-mode.md has at least one test.

mod clients;
mod crowds;
mod deaths;
mod endings;
mod ends;
mod exits;
mod hostile;
#[path = "../suspend/http2_client.rs"]
mod http2_client;
mod http2_ws;
mod isolation;
mod limits;
mod logs;
mod many;
mod options;
mod processes;
mod released;
mod sockets;
mod starts;
mod states;
mod status;
mod support;
mod unready;
mod upgrades;
mod waiting;
#[path = "../suspend/websocket.rs"]
mod websocket;
