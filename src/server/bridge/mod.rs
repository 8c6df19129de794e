//! The loop of a daemon process.
