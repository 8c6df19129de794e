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
//! # Modules
//!
//! | module | contents | needs httpd |
//! | --- | --- | --- |
//! | [`gateway`] | the application contract: pure, without `unsafe`, the same behind every server | no |
//! | `httpd` | safe wrappers for the hooks and directives of a module | yes |
//! | `module` | typed directives and their records | yes |
//!
//! The layers behind them (codecs, process groups, drivers, bindings) are private.
//! docs/architecture.md describes them.
//!
//! # Features
//!
//! All are additive. Without any, the crate is the contract alone and builds without httpd's
//! headers.
//!
//! | feature | default | what it adds |
//! | --- | --- | --- |
//! | `httpd` | yes | the layers that need httpd: its headers and libclang have to be there to build |
//! | `log` | yes | records of the crate `log` go to the ErrorLog |
//! | `tower` | yes | any tower service is an application; brings tokio |
//! | `tracing` | yes | `tracing` events go to the ErrorLog too, as `log` records |
//! | `tracing-subscriber` | no | `gateway::log_layer`: with the fields of their spans, beside other layers |
//! | `cgi`, `fastcgi`, `scgi`, `uwsgi`, `http-server` | no | `serve` and `Gateway`: a program of one's own that speaks this protocol, behind any server; the last one brings hyper |
//! | `servers` | no | all five |

// An unwinding panic is caught and becomes a 500; an aborting one takes every request of the
// process with it.
#[cfg(all(panic = "abort", not(test)))]
compile_error!("mod_rust needs panic = \"unwind\": with \"abort\" a panic ends the httpd child");

#[forbid(unsafe_code)]
pub mod gateway;

// Each feature needs a part of these three layers. A build with all of them shows what is dead.
#[cfg_attr(not(all(feature = "httpd", feature = "servers")), allow(dead_code, unused_imports))]
mod os;
#[cfg_attr(not(all(feature = "httpd", feature = "servers")), allow(dead_code, unused_imports))]
#[forbid(unsafe_code)]
mod process_group;
#[forbid(unsafe_code)]
mod protocol;
#[cfg_attr(not(all(feature = "httpd", feature = "servers")), allow(dead_code, unused_imports))]
#[forbid(unsafe_code)]
mod server;

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
mod sys;

#[cfg(feature = "tower")]
pub use gateway::ending::ending;
pub use gateway::{Application, Body, Environ, Error, Factory, Result, StartResponse};
#[cfg(all(target_os = "linux", feature = "serve"))]
pub use server::serve::{Gateway, GatewayServer, serve};

/// The items that [`module!`] expands to. Only the macro may use them.
#[cfg(feature = "httpd")]
#[doc(hidden)]
pub mod __private {
    pub use crate::handler::{Module, OwnHook, record};
    pub use crate::sys::module as ModuleRecord;
}

/// Private items for the fuzz targets, benchmarks and tests of this crate. They may change at any
/// time.
#[doc(hidden)]
pub mod internal {
    pub mod gateway {
        pub use crate::gateway::code::Code;
        pub use crate::gateway::exchange::{Exchange, Interest, SharedVariables, Variables, Woken};
        pub use crate::gateway::input::{Fill, InputSource};
        pub use crate::gateway::run::{Outcome, run};

        pub mod header {
            pub use crate::gateway::header::{check, content_length, is_token, is_value};
        }

        /// For tests/service_runtime.rs.
        #[cfg(feature = "tower")]
        pub mod runtime {
            pub use crate::gateway::service::runtime::{handle, shutdown, start};
        }
    }

    #[cfg(target_os = "linux")]
    pub mod os {
        pub use crate::os::{Event, PeerCredentials, Signal, monotonic_us, peer};
    }

    pub mod process_group {
        pub use crate::process_group::{
            Activation, Counts, DeadProcess, Finished, GroupOptions, GroupScore, GroupSnapshot,
            HistogramSnapshot, Lease, Lock, LockGuard, LockedGroup, OPTIONS, OptionDoc, Phase,
            ProcessChoice, ProcessScore, ProcessState, Reason, RequestSnapshot, Scaled, Scoreboard,
            SlotSnapshot, StartFailure, TicketLocation, TriedSlots, Waiters, WaitingRequest,
            WorkerScore,
        };
    }

    pub mod protocol {
        pub use crate::protocol::{bridge, error, fastcgi, head, params, scgi, uwsgi};
    }

    #[cfg(target_os = "linux")]
    pub mod daemon_process {
        pub use crate::server::daemon_process::{
            AbandonFn, Applications, BuildFn, Daemon, Ended, LogFn, run,
        };
    }
}

/// The guides, so that what they show compiles.
#[cfg(all(doctest, feature = "httpd", feature = "log", feature = "tower"))]
mod guides {
    #[doc = include_str!("../README.md")]
    mod readme {}

    #[doc = include_str!("../docs/async.md")]
    mod waiting_requests {}

    #[doc = include_str!("../docs/writing-a-module.md")]
    mod writing_a_module {}
}
