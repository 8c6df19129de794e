//! The stock applications: `hello`, `probe` and the front page.
//!
//! The stock module `mod_rust.so` is made of them; they run behind any other server as well.
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
