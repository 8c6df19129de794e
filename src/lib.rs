//! Rust web applications inside Apache httpd: what mod_wsgi is for Python.
//!
//! An [`Application`] gets an [`Environ`] and [`StartResponse`] and returns a [`Body`]; any tower
//! service, an axum `Router` say, is one too ([`gateway::service()`]). [`module!`] makes a `cdylib`
//! crate with applications a module of httpd, which `httpd.conf` loads and mounts:
//!
//! ```no_run
//! #![forbid(unsafe_code)]
//! use mod_rust::{Body, Environ, Factory, Result, StartResponse};
//!
//! fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
//!     start_response.start(200, [("Content-Type", "text/plain")])?;
//!     Ok(Body::from("Hello, world\n"))
//! }
//!
//! # #[cfg(feature = "httpd")]
//! mod_rust::module! {
//!     /// `LoadModule hello_module …/mod_hello.so`
//!     pub static hello_module: "mod_hello.c";
//!     applications = { "hello" => Factory::of(hello) };
//! }
//! # #[cfg(not(feature = "httpd"))]
//! # fn _factory() -> Factory { Factory::of(hello) }
//! ```
//!
//! # Layers
//!
//! | module | what it is | needs httpd |
//! | --- | --- | --- |
//! | [`gateway`] | the application contract: pure, without `unsafe`, the same behind every server | no |
//! | [`protocol`] | codecs without I/O: the bridge between httpd and daemon processes, FastCGI, SCGI, uwsgi, CGI | no |
//! | [`process_group`] | process groups as data and decisions: options, scoreboard, policies | no |
//! | [`os`] | system calls of Linux | no |
//! | [`server`] | drivers: the loop of a daemon process, the gateways | no |
//! | `sys` | httpd, APR and APR-util as bindgen sees them | yes |
//! | `httpd` | safe wrappers of what httpd hands to a hook | yes |
//! | `module` | typed directives and their records, hooks behind a panic guard | yes |
//!
//! A layer uses only those above it. docs/architecture.md has the whole picture.
//!
//! # Features
//!
//! All are additive. Without any, the crate is the contract alone and builds without httpd's headers.
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `httpd` | yes | the layers that need httpd: its headers and libclang have to be there to build |
//! | `log` | yes | records of the crate `log` go to the ErrorLog |
//! | `tower` | yes | any tower service is an application; brings tokio |
//! | `tracing` | no | `tracing` events go to the ErrorLog too, as `log` records |
//! | `cgi`, `fastcgi`, `scgi`, `uwsgi`, `http-server` | no | `serve` and `Gateway`: a program of one's own that speaks this protocol, behind any server; the last one brings hyper |
//! | `servers` | no | all five |

// An unwinding panic is caught and becomes a 500; an aborting one takes every request of the
// process with it.
#[cfg(all(panic = "abort", not(test)))]
compile_error!("mod_rust needs panic = \"unwind\": with \"abort\" a panic ends the httpd child");

#[forbid(unsafe_code)]
pub mod gateway;

pub mod os;
#[forbid(unsafe_code)]
pub mod process_group;
#[forbid(unsafe_code)]
pub mod protocol;
#[forbid(unsafe_code)]
pub mod server;

#[cfg(feature = "httpd")]
mod adapter;
#[cfg(feature = "httpd")]
mod daemon;
#[cfg(feature = "httpd")]
mod handler;
#[cfg(feature = "httpd")]
pub mod httpd;
#[cfg(feature = "httpd")]
pub mod module;
#[cfg(feature = "httpd")]
pub mod sys;

pub use gateway::{Application, Body, Environ, Error, Factory, Result, StartResponse};
#[cfg(all(target_os = "linux", feature = "serve"))]
pub use server::serve::{Gateway, serve};

/// The expansion of [`module!`]. It is not for use by hand.
#[cfg(feature = "httpd")]
#[doc(hidden)]
pub mod __private {
    pub use crate::handler::{Module, OwnHook, record};
}

/// The guides, so that what they show compiles.
#[cfg(all(doctest, feature = "httpd", feature = "log", feature = "tower"))]
mod guides {
    #[doc = include_str!("../README.md")]
    mod readme {}

    #[doc = include_str!("../docs/writing-a-module.md")]
    mod writing_a_module {}
}
