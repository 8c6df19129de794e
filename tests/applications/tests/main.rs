//! Published applications in a real httpd, in each mode: docs/applications.md.

mod books;
mod chores;
mod files;
mod frameworks;
mod office;
mod site;
mod starwars;
