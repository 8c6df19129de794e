//! Ends of a daemon process that its application brings about by itself: what it says then, and one
//! that it may not have.
//!
//! An application that calls `exit` would run the functions that httpd has registered for its own
//! end, which clear httpd's pools and remove its files. Those are not run here. The MPMs hand over
//! an exit status and a signal as the same number, so that the process itself says which status it
//! was.

use std::ffi::c_int;
use std::sync::OnceLock;

use crate::gateway::{Code, Level, panic};
use crate::httpd::{log, signals};

/// The exit status of a process whose application called `exit`.
pub(super) const CALLED_EXIT: i32 = 73;

/// The process group and process id that `exit` is watched in.
static WATCHED: OnceLock<(String, u32)> = OnceLock::new();

/// Has the calling process, a daemon process of the group `name`, say when it exits and how.
pub(super) fn watch(name: &str) {
    let _ = WATCHED.set((name.to_owned(), std::process::id()));
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn on_exit(
                function: extern "C" fn(c_int, *mut std::ffi::c_void),
                argument: *mut std::ffi::c_void,
            ) -> c_int;
        }
        extern "C" fn exits(status: c_int, _: *mut std::ffi::c_void) {
            end(Some(status));
        }
        // SAFETY: P16: the function is called at most once, and this process never unloads its
        // code.
        unsafe { on_exit(exits, std::ptr::null_mut()) };
    }
    #[cfg(not(target_env = "gnu"))]
    {
        extern "C" fn exits() {
            end(None);
        }
        // SAFETY: P16: the function is called at most once, and this process never unloads its
        // code.
        unsafe { libc::atexit(exits) };
    }
}

/// Says that the application called `exit`, and ends the process.
fn end(status: Option<c_int>) -> ! {
    match WATCHED.get() {
        Some((name, pid)) if *pid == std::process::id() => {
            let status = status.map_or_else(String::new, |status| status.to_string());
            let line = Code::ExitCalled.line(format_args!(
                "process group {name}, process {pid}: the application called exit({status})"
            ));
            // A panic must not leave this function, which C calls.
            let _ = panic::catch(|| log::here(Level::Error, &line));
            signals::end_process_with(CALLED_EXIT)
        }
        // A process that the application has forked is its own business.
        _ => signals::end_process_with(status.unwrap_or(1)),
    }
}

/// The exit status at which httpd's MPMs end all of httpd (`APEXIT_CHILDFATAL`), whichever child it
/// is.
const FATAL: u32 = 15;

/// Takes the right to exit with httpd's fatal status away from the calling process, and from all
/// that it starts: one that tries is ended by SIGSYS. The process has no_new_privs already, which
/// the system asks for. Where it has no such filters, nothing is changed.
pub(super) fn deny_fatal_status() {
    let mut program = program();
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let (operation, speculates) =
        (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW);
    // Without that flag Linux before 5.16 slows the process down, as it takes it for a sandbox.
    // SAFETY: P13: one thread; the program is there for the time of the call, and `len` is its
    // length.
    if unsafe { libc::syscall(libc::SYS_seccomp, operation, speculates, &raw const program) } == 0 {
        return;
    }
    // Before Linux 4.17.
    // SAFETY: P13: as above.
    unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0)
    };
}

/// Returns the filter for the system's calls: all but the calls that exit are allowed whatever
/// their arguments, which the system works out once and remembers.
fn program() -> Vec<libc::sock_filter> {
    // Positions in `struct seccomp_data`.
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    const FIRST_ARGUMENT: u32 = if cfg!(target_endian = "big") { 20 } else { 16 };
    // The bit that marks the calls of x32.
    const X32: u32 = 0x4000_0000;
    let load = |at| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at);
    let and = |mask| step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, mask);
    let equal = |value, yes, no| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, yes, no, value);
    let end = |action| step(libc::BPF_RET | libc::BPF_K, 0, 0, action);
    let (exit, exit_group) = (libc::SYS_exit as u32, libc::SYS_exit_group as u32);
    // The other architecture whose programs this kernel runs: its own number, `exit`, `exit_group`.
    let (other, other_exit, other_group) = if cfg!(target_arch = "x86_64") {
        (0x4000_0003, 1, 252)
    } else if cfg!(target_arch = "aarch64") {
        (0x4000_0028, 1, 248)
    } else {
        (0, exit, exit_group)
    };
    vec![
        load(ARCHITECTURE),
        equal(other, 0, 3),
        load(NUMBER),
        equal(other_exit, 6, 0),
        equal(other_group, 5, 4),
        load(NUMBER),
        and(!if cfg!(target_arch = "x86_64") { X32 } else { 0 }),
        equal(exit, 2, 0),
        equal(exit_group, 1, 0),
        end(libc::SECCOMP_RET_ALLOW),
        load(FIRST_ARGUMENT),
        // The parent gets these bits of it.
        and(0xff),
        equal(FATAL, 0, 1),
        end(libc::SECCOMP_RET_KILL_PROCESS),
        end(libc::SECCOMP_RET_ALLOW),
    ]
}

const fn step(code: u32, yes: u8, no: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: yes, jf: no, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program on a call, as the kernel does.
    fn verdict(architecture: u32, number: u32, argument: u32) -> u32 {
        let program = program();
        let (mut at, mut value) = (0, 0_u32);
        loop {
            let libc::sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            match u32::from(code) {
                0x20 => {
                    value = match k {
                        0 => number,
                        4 => architecture,
                        16 | 20 => argument,
                        _ => panic!("{k}"),
                    };
                }
                0x54 => value &= k,
                0x15 => at += usize::from(if value == k { jt } else { jf }),
                0x06 => return k,
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn nothing_but_the_fatal_status_is_denied() {
        let (exit, group) = (libc::SYS_exit as u32, libc::SYS_exit_group as u32);
        let native = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
        for number in [exit, group] {
            for status in [15, 15 + 256, 0xffff_ff0f] {
                assert_eq!(verdict(native, number, status), libc::SECCOMP_RET_KILL_PROCESS);
            }
            for status in [0, 1, 14, 16, 255, 256] {
                assert_eq!(verdict(native, number, status), libc::SECCOMP_RET_ALLOW);
            }
        }
        for number in (0..600).filter(|number| ![exit, group].contains(number)) {
            assert_eq!(verdict(native, number, 15), libc::SECCOMP_RET_ALLOW, "{number}");
        }
        if cfg!(target_arch = "x86_64") {
            assert_eq!(verdict(native, group | 0x4000_0000, 15), libc::SECCOMP_RET_KILL_PROCESS);
            for number in [1, 252] {
                assert_eq!(verdict(0x4000_0003, number, 15), libc::SECCOMP_RET_KILL_PROCESS);
                assert_eq!(verdict(0x4000_0003, number, 14), libc::SECCOMP_RET_ALLOW);
                assert_eq!(verdict(native, number, 15), libc::SECCOMP_RET_ALLOW);
            }
        }
    }
}
