//! httpd, APR and APR-util as bindgen sees them, C names and all. No policy here: what is safe is
//! made of it in the layer `httpd`.
//!
//! bindgen checks at compile time that every struct has the size, the alignment and the offsets
//! that the headers give it.

#![allow(unknown_lints, unnecessary_transmutes, dead_code, unnameable_types, unreachable_pub)]
#![allow(missing_docs, non_camel_case_types, non_snake_case, non_upper_case_globals)]
#![allow(clippy::all, clippy::use_self, clippy::ptr_as_ptr, unreachable_pub)]
#![allow(clippy::undocumented_unsafe_blocks, clippy::multiple_unsafe_ops_per_block)]
#![allow(clippy::missing_safety_doc, unsafe_op_in_unsafe_fn)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
