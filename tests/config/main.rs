//! The configuration in a real httpd: what `configtest` says of every mistake, where directives may
//! stand, how they are merged, what they do, and how modules share them.

mod contexts;
mod daemon;
mod effects;
mod errors;
mod group_options;
mod groups;
mod htaccess;
mod import;
mod merging;
mod modules;
mod mounts;
mod options;
mod processes;
mod sections;
mod selection;
mod support;
mod table;
