//! The name that `ps` and `top` show for a daemon process.

use std::ffi::CStr;

use crate::httpd::Server;

/// Writes `title` over the command line that httpd was started with, as far as it reaches, and
/// gives it to the main thread as its name.
pub(super) fn set(main: Server<'_>, title: &str) {
    let arguments = main.arguments();
    if let Some(length) = room(&arguments) {
        let place = arguments[0].as_ptr().cast_mut();
        let text = &title.as_bytes()[..title.len().min(length - 1)];
        // SAFETY: P14: the arguments lie one behind the other, `length` bytes in all, and this
        // process, which has one thread, is the only one that sees its copy of them.
        unsafe { std::ptr::write_bytes(place, 0, length) };
        // SAFETY: as above, and the text is shorter than that.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr().cast(), place, text.len()) };
    }
    let name: String = title.chars().filter(char::is_ascii).take(15).collect();
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// How many bytes the arguments take, with their NULs, if they lie one behind the other.
fn room(arguments: &[&CStr]) -> Option<usize> {
    let first = arguments.first()?.as_ptr() as usize;
    let mut end = first;
    for argument in arguments {
        if argument.as_ptr() as usize != end {
            break;
        }
        end += argument.count_bytes() + 1;
    }
    (end - first > 1).then_some(end - first)
}

/// What `display-name` asks for, with `%{GROUP}` as mod_wsgi has it: `(rust:name)`.
pub(super) fn of(display_name: &str, group: &str) -> String {
    display_name.replace("%{GROUP}", &format!("(rust:{group})"))
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_group_stands_in_the_title() {
        assert_eq!(of("%{GROUP}", "shop"), "(rust:shop)");
        assert_eq!(of("shop-%{GROUP}-x", "a"), "shop-(rust:a)-x");
    }
}
