//! Daemon mode: process groups that httpd forks and supervises, and the way of requests to them.
//!
//! `manager` is the part of httpd's parent, `child` what a process does before it serves, and `client`
//! the part of httpd's children, which have the requests.

mod answer;
mod backlog;
mod child;
mod client;
mod connection;
mod ending;
mod exit;
mod failure;
mod group;
mod identity;
mod kept;
mod manager;
mod mappings;
mod memory;
mod oom;
mod phases;
mod privileges;
mod retired;
mod socket;
mod title;
mod trip;
mod upload;
mod waiting;

pub(crate) use client::Call;
pub(crate) use group::Group;
pub(crate) use identity::check as check_identity;
pub(crate) use manager::{Plan, check, find, in_child, refill, start, with_groups};
pub(crate) use phases::Phases;
