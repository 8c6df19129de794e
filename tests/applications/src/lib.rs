//! Published applications, and the code that connects each to mod_rust; see docs/applications.md.
//!
//! `modules/` makes a module of httpd of each, `src/bin/` a gateway program.

pub mod books;
pub mod chores;
pub mod files;
pub mod frameworks;
pub mod office;
pub mod starwars;
