//! CONTROL: what an administrator's command asks of a process.

use std::os::fd::AsFd as _;
use std::sync::atomic::Ordering;

use super::connection::Connection;
use super::process::DaemonProcess;
use crate::os::{self, monotonic_us};
use crate::protocol::bridge::{Limits, Reason as Refusal, put_reply};

/// Answers `command`. `false` when the peer was refused.
pub(super) fn command(process: &DaemonProcess, connection: &Connection, command: &str) -> bool {
    if !process.controllers.contains(&connection.peer().uid) {
        process.refuse(connection, Refusal::User, "its user may not send CONTROL");
        return false;
    }
    let mut words = command.split_whitespace();
    let pid = std::process::id();
    let reply = match (words.next(), words.next().map(str::parse::<u32>), words.next()) {
        (Some("status"), None, None) => {
            process.board.snapshot(&process.options.name, monotonic_us()).to_json()
        }
        // Another process than the one that is meant may be in the slot by now.
        (Some("drain"), Some(Ok(meant)), None) if meant != pid => {
            format!("{{\"error\":\"process {pid} is here now, not {meant}\"}}")
        }
        (Some("drain"), None | Some(Ok(_)), None) => {
            process.drain_asked.store(true, Ordering::Release);
            process.bell.ring();
            "{\"draining\":true}".to_owned()
        }
        _ => "{\"error\":\"unknown command; there are status and drain PID\"}".to_owned(),
    };
    let mut frame = Vec::new();
    let limits = Limits { head: u32::MAX, ..Limits::default() };
    if put_reply(&mut frame, &reply, &limits).is_err() {
        return false;
    }
    let mut done = 0;
    while done < frame.len() {
        match os::send(connection.as_fd(), &frame[done..]) {
            Ok(Some(sent)) => done += sent,
            Ok(None) => {
                if os::poll(connection, (false, true), None, None).is_err() {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}
