//! Builds the bindings to httpd.
fn main() {}
