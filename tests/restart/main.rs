//! Restarts under load: a graceful one loses no request, any other breaks what it breaks visibly;
//! and memory after many requests.

mod load;
mod many;
mod memory;
mod restarts;
mod streams;
mod targets;
#[path = "../suspend/websocket.rs"]
#[expect(dead_code, reason = "it is shared with the tests of suspended requests")]
mod websocket;
