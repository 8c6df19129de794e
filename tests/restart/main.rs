//! Restarts under load: a graceful one loses no request, any other breaks what it breaks visibly;
//! and memory after many requests.

mod load;
mod many;
mod memory;
mod restarts;
mod targets;
