//! Requests of services that wait without a thread, under the event MPM.

mod bodies;
mod ends;
mod fallbacks;
mod graceful;
mod half_closed;
mod herd;
mod http2_client;
mod http2_ws;
mod races;
mod support;
mod upgrades;
mod waits;
mod websocket;
