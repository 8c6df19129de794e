//! Rust web applications inside Apache httpd: what mod_wsgi is for Python.
#![cfg_attr(not(feature = "httpd"), forbid(unsafe_code))]

// An unwinding panic is caught and becomes a 500; an aborting one takes every request of the
// process with it.
#[cfg(all(panic = "abort", not(test)))]
compile_error!("mod_rust needs panic = \"unwind\": with \"abort\" a panic ends the httpd child");

#[forbid(unsafe_code)]
pub mod gateway;

#[cfg(feature = "httpd")]
mod embedded;
#[cfg(feature = "httpd")]
pub mod handler;
#[cfg(feature = "httpd")]
pub mod httpd;
#[cfg(feature = "httpd")]
pub mod module;
#[cfg(feature = "httpd")]
pub mod sys;

pub use gateway::{Application, Body, Environ, Error, Factory, Result, StartResponse};
