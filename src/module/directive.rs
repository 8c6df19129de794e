//! Typed directives: rows of httpd's command table whose values are parsed and checked before the
//! module's code sees them, and whose errors name the directive, the value and what is allowed.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use super::config::Config;
use super::guard;
use crate::httpd::{Pool, Server};
use crate::sys;

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contexts(u32);

impl Contexts {
    /// In the server configuration and in virtual hosts.
    pub const SERVER: Self = Self(sys::RSRC_CONF);
    /// In `<Directory>`, `<Location>`, `<Files>`, `<If>`.
    pub const DIRECTORY: Self = Self(sys::ACCESS_CONF);
    /// Everywhere but in .htaccess.
    pub const CONFIG: Self = Self(sys::RSRC_CONF | sys::ACCESS_CONF);
    /// Everywhere, in .htaccess where `AllowOverride FileInfo` lets it.
    pub const ALL: Self = Self(sys::OR_FILEINFO);
    /// In `<Directory>` and its like, and in .htaccess where `AllowOverride FileInfo` lets it.
    pub const DIRECTORY_AND_HTACCESS: Self = Self(sys::OR_FILEINFO & !sys::RSRC_CONF);
}

/// One directive of a module with the configuration record `C`.
pub struct Directive<C: 'static> {
    name: &'static CStr,
    help: &'static CStr,
    contexts: Contexts,
    apply: Apply<C>,
}

type Result = std::result::Result<(), String>;

enum Apply<C: 'static> {
    Flag(fn(&mut C, bool)),
    Value { set: *const (), call: fn(*const (), &mut C, &str) -> Result },
    Arguments { takes: &'static str, set: fn(&mut C, &[&str], &Parameters<'_>) -> Result },
}

// SAFETY: the pointer among its members is a function's.
unsafe impl<C> Sync for Directive<C> {}

impl<C: Config> Directive<C> {
    /// `Name On|Off`.
    #[must_use]
    pub const fn flag(
        name: &'static CStr,
        contexts: Contexts,
        help: &'static CStr,
        set: fn(&mut C, bool),
    ) -> Self {
        Self { name, help, contexts, apply: Apply::Flag(set) }
    }

    /// `Name value`, the value of any type that can be parsed: a number, an address, an enum.
    #[must_use]
    pub const fn value<T>(
        name: &'static CStr,
        contexts: Contexts,
        help: &'static CStr,
        set: fn(&mut C, T),
    ) -> Self
    where
        T: FromStr,
        T::Err: Display,
    {
        const fn call<C, T>(_: PhantomData<T>) -> fn(*const (), &mut C, &str) -> Result
        where
            T: FromStr,
            T::Err: Display,
        {
            |set, config, value| {
                // SAFETY: `Directive::value` stored a function of this very type.
                let set = unsafe { std::mem::transmute::<*const (), fn(&mut C, T)>(set) };
                set(config, value.parse().map_err(|error| format!("value \"{value}\": {error}"))?);
                Ok(())
            }
        }
        let call = call::<C, T>(PhantomData);
        Self { name, help, contexts, apply: Apply::Value { set: set as *const (), call } }
    }

    /// `Name` with arguments that the function itself checks. `takes` says in words what they are.
    #[must_use]
    pub const fn arguments(
        name: &'static CStr,
        contexts: Contexts,
        help: &'static CStr,
        takes: &'static str,
        set: fn(&mut C, &[&str], &Parameters<'_>) -> Result,
    ) -> Self {
        Self { name, help, contexts, apply: Apply::Arguments { takes, set } }
    }

    /// The directive's name.
    #[must_use]
    pub const fn name(&self) -> &'static CStr {
        self.name
    }

    /// The line of help that httpd shows.
    #[must_use]
    pub const fn help(&self) -> &'static CStr {
        self.help
    }

    /// Its row of the command table; `P` finds the record in what httpd gives.
    pub(crate) const fn command<P: Project<C>>(&'static self) -> sys::command_rec {
        sys::command_rec {
            name: self.name.as_ptr(),
            func: sys::cmd_func { take_argv: Some(take_argv::<C, P>) },
            cmd_data: std::ptr::from_ref(self).cast_mut().cast(),
            req_override: self.contexts.0.cast_signed(),
            args_how: sys::TAKE_ARGV,
            errmsg: self.help.as_ptr(),
        }
    }

    fn run(&self, config: &mut C, arguments: &[&str], parameters: &Parameters<'_>) -> Result {
        match &self.apply {
            Apply::Flag(set) => match arguments {
                [on] if on.eq_ignore_ascii_case("on") => set(config, true),
                [off] if off.eq_ignore_ascii_case("off") => set(config, false),
                [other] => return Err(format!("value \"{other}\": expected On or Off")),
                _ => return Err("takes one argument: On or Off".into()),
            },
            Apply::Value { set, call } => match arguments {
                [value] => return call(*set, config, value),
                _ => return Err("takes one argument".into()),
            },
            Apply::Arguments { takes, set } => {
                return set(config, arguments, parameters).map_err(|error| {
                    if error.is_empty() { format!("takes {takes}") } else { error }
                });
            }
        }
        Ok(())
    }
}

/// Finds the record that a directive is about.
pub(crate) trait Project<C: Config>: 'static {
    /// # Safety
    ///
    /// `parameters` and `record` are what httpd calls the directive with, and nobody else has the
    /// record meanwhile.
    unsafe fn project<'c>(parameters: &Parameters<'_>, record: *mut c_void) -> &'c mut C;
}

/// What httpd tells a directive about its surroundings (`cmd_parms`).
pub struct Parameters<'p> {
    raw: &'p sys::cmd_parms,
}

impl<'p> Parameters<'p> {
    /// The pool of the configuration that is read.
    #[must_use]
    pub fn pool(&self) -> Pool<'p> {
        // SAFETY: P3.
        unsafe { Pool::from_ptr(self.raw.pool) }
    }

    /// The server that the directive stands in.
    #[must_use]
    pub fn server(&self) -> Server<'p> {
        // SAFETY: P3.
        unsafe { Server::from_ptr(self.raw.server) }.expect("a directive has a server")
    }

    /// The section's path, if it stands in one.
    #[must_use]
    pub fn path(&self) -> Option<&'p [u8]> {
        // SAFETY: P5.
        (!self.raw.path.is_null()).then(|| unsafe { CStr::from_ptr(self.raw.path) }.to_bytes())
    }

    /// The path of the `<Location>` that it stands in directly, if that is a plain path: neither a
    /// regular expression nor one with wildcards.
    #[must_use]
    pub fn location(&self) -> Option<&'p str> {
        // SAFETY: P3: httpd gives the directive that it is carrying out, or none.
        let directive = unsafe { self.raw.directive.as_ref() }?;
        // SAFETY: P3: a directive's parent is in the same tree.
        let parent = unsafe { directive.parent.as_ref() }?;
        // SAFETY: P5.
        let name = unsafe { CStr::from_ptr(parent.directive) };
        // SAFETY: P5.
        let arguments = unsafe { CStr::from_ptr(parent.args) };
        let is_plain = name.to_bytes().eq_ignore_ascii_case(b"<Location")
            && !arguments.to_bytes().trim_ascii_start().starts_with(b"~");
        let path = std::str::from_utf8(self.path()?).ok()?;
        (is_plain && path.starts_with('/') && !path.contains(['*', '?', '['])).then_some(path)
    }

    /// Whether it stands in an .htaccess file, which is read for a request.
    #[must_use]
    pub const fn is_htaccess(&self) -> bool {
        self.raw.override_ & sys::RSRC_CONF.cast_signed() == 0
            && self.raw.override_ & sys::ACCESS_CONF.cast_signed() == 0
    }

    /// Where it stands: `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        // SAFETY: P3: httpd gives the directive that it is carrying out, or none.
        let Some(directive) = (unsafe { self.raw.directive.as_ref() }) else {
            return "(unknown place)".into();
        };
        if directive.filename.is_null() {
            return format!("line {}", directive.line_num);
        }
        // SAFETY: P5.
        let file = unsafe { CStr::from_ptr(directive.filename) };
        format!("{}:{}", file.to_string_lossy(), directive.line_num)
    }

    pub(super) const fn raw(&self) -> &sys::cmd_parms {
        self.raw
    }
}

unsafe extern "C" fn take_argv<C: Config, P: Project<C>>(
    parameters: *mut sys::cmd_parms,
    record: *mut c_void,
    argc: c_int,
    argv: *const *mut c_char,
) -> *const c_char {
    // SAFETY: P6: httpd gives its parameters for the time of this call.
    let parameters = Parameters { raw: unsafe { &*parameters } };
    // SAFETY: P6: `command` put the directive there.
    let directive = unsafe { &*parameters.raw.info.cast::<Directive<C>>() };
    let result = guard::callback("directive", Err("panicked; see the log".into()), || {
        let mut arguments = Vec::new();
        for index in 0..usize::try_from(argc).unwrap_or(0) {
            // SAFETY: httpd gives `argc` strings.
            let place = unsafe { argv.add(index) };
            // SAFETY: as above.
            let argument = unsafe { *place };
            // SAFETY: P5.
            let argument = unsafe { CStr::from_ptr(argument) };
            arguments.push(argument.to_str().map_err(|_| {
                format!("value \"{}\" is not UTF-8", argument.to_bytes().escape_ascii())
            })?);
        }
        // SAFETY: P6: httpd reads its configuration in one thread.
        let config = unsafe { P::project(&parameters, record) };
        directive.run(config, &arguments, &parameters)
    });
    match result {
        Ok(()) => std::ptr::null(),
        Err(reason) => {
            let text = format!("{} {reason}", directive.name.to_string_lossy());
            parameters.pool().c_str(text.as_bytes()).as_ptr()
        }
    }
}
