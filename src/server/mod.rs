//! Drivers: what accepts connections, runs applications on worker threads, and drains.

pub mod bridge;
pub mod os;
