//! Daemon mode: process groups that httpd forks and supervises, and the way of requests to them.
//!
//! | process | modules |
//! | --- | --- |
//! | httpd's parent | `parent` starts groups and replaces processes; `exit_status`, `previous_generation` |
//! | a process of a group, before it serves | `setup`, with `identity`, `privileges`, `mappings`, `title` |
//! | an httpd child, which has the request | `released`; `relay` chooses a process; `attempt` is one try; `packet`, `request_body`, `response` |

mod attempt;
mod backlog;
mod connection;
mod exit;
mod exit_status;
mod failure;
mod group;
mod identity;
mod idle_connections;
mod mappings;
mod outgoing;
mod packet;
mod parent;
mod phases;
mod previous_generation;
mod privileges;
mod relay;
mod released;
mod request_body;
mod response;
mod setup;
mod socket;
mod tempo;
mod title;
mod wait;
mod waiting;

pub(crate) use group::Group;
pub(crate) use identity::check as check_identity;
pub(crate) use packet::Call;
pub(crate) use parent::{Plan, check, find, in_child, refill, start, with_groups};
pub(crate) use phases::PhaseTimes;
