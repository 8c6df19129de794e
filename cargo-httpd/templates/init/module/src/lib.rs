//! The httpd module `mod_@CRATE@.so`: `@FUNCTION@` as the application `@NAME@`, for `LoadModule`.
#![forbid(unsafe_code)]

use mod_rust::Factory;

mod_rust::module! {
    /// `LoadModule @CRATE@_module …/mod_@CRATE@.so`
    pub static @CRATE@_module: "mod_@CRATE@.c";
    applications = { "@NAME@" => @FACTORY@ };
}
