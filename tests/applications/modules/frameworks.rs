//! `mod_frameworks.so`.

use applications::frameworks::factories;

mod_rust::module! {
    /// `LoadModule frameworks_module …/mod_frameworks.so`
    pub static frameworks_module: "mod_frameworks.c";
    applications = factories;
}
