//! The stock module `mod_rust.so`: `hello`, `probe` and the front page.
//!
//! The applications are here for other servers too: [`applications`] lists them.
#![forbid(unsafe_code)]

pub mod front;
mod hello;
pub mod probe;

use mod_rust::Factory;

pub use self::hello::hello;

/// The stock applications by name.
#[must_use]
pub fn applications() -> Vec<(&'static str, Factory)> {
    vec![
        ("front", front::factory()),
        ("hello", Factory::of(hello)),
        ("probe", probe::Probe::factory()),
    ]
}

#[cfg(feature = "httpd")]
mod_rust::module! {
    /// The stock module: `LoadModule rust_module …/mod_rust.so`.
    pub static rust_module: "mod_rust.c";
    applications = {
        "front" => front::factory(),
        "hello" => Factory::of(hello),
        "probe" => probe::Probe::factory(),
    };
}
