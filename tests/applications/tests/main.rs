//! Published applications in a real httpd, in each mode: docs/applications.md.

mod books;
mod files;
mod office;
mod site;
mod starwars;
