//! The life of a daemon process.
#![cfg(target_os = "linux")]
