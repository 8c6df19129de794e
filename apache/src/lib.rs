//! The stock module `mod_rust.so`, with the stock applications in it.
#![forbid(unsafe_code)]

mod_rust::module! {
    /// The stock module: `LoadModule rust_module …/mod_rust.so`.
    pub static rust_module: "mod_rust.c";
    applications = mod_rust_apps::applications;
}
