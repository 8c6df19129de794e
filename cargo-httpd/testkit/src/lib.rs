//! Part of mod_rust.
