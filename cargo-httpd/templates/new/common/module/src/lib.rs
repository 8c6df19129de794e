//! The httpd module `mod_@CRATE@.so`: the applications of `@CRATE@`, for `LoadModule`.
#![forbid(unsafe_code)]

mod_rust::module! {
    /// `LoadModule @CRATE@_module …/mod_@CRATE@.so`
    pub static @CRATE@_module: "mod_@CRATE@.c";
    applications = @CRATE@::applications;
}
