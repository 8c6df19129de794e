//! The name that `ps` and `top` show for a daemon process.

use crate::httpd::Server;

/// Writes `title` over the command line that httpd was started with, cut to its length. The main
/// thread gets the same name.
pub(super) fn set(main: Server<'_>, title: &str) {
    if let Some((start, length)) = command_line()
        // The kernel shows the memory that httpd has: nothing else is written over.
        && main.program_name().is_some_and(|name| name as usize == start)
    {
        let place = start as *mut u8;
        let text = &title.as_bytes()[..title.len().min(length - 1)];
        // SAFETY: P14: the command line has `length` bytes, and this process, which has one thread,
        // is the only one that sees its copy of it.
        unsafe { std::ptr::write_bytes(place, 0, length) };
        // SAFETY: as above, and the text is shorter than that.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), place, text.len()) };
    }
    let name: String = title.chars().filter(char::is_ascii).take(15).collect();
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// Returns the address and the length of the command line (proc(5): `arg_start` and `arg_end`, the
/// 48th and 49th field of /proc/self/stat).
fn command_line() -> Option<(usize, usize)> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, which may hold anything.
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(45);
    let start: usize = fields.next()?.parse().ok()?;
    let end: usize = fields.next()?.parse().ok()?;
    (start > 0 && end > start + 1).then_some((start, end - start))
}

/// Returns the title that `display-name` asks for, with `%{GROUP}` as in mod_wsgi: `(rust:name)`.
pub(super) fn of(display_name: &str, group: &str) -> String {
    display_name.replace("%{GROUP}", &format!("(rust:{group})"))
}

#[cfg(test)]
mod tests {
    use super::{command_line, of};

    #[test]
    fn the_group_stands_in_the_title() {
        assert_eq!(of("%{GROUP}", "shop"), "(rust:shop)");
        assert_eq!(of("shop-%{GROUP}-x", "a"), "shop-(rust:a)-x");
    }

    #[test]
    fn the_command_line_is_found() {
        let (_, length) = command_line().unwrap();
        assert_eq!(length, std::fs::read("/proc/self/cmdline").unwrap().len());
    }
}
