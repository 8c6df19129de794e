//! Typed directives: rows of httpd's command table. Their values are parsed and checked before the
//! module's code sees them. Their errors name the directive, the value and what is allowed.

use std::ffi::{CStr, c_char, c_void};
use std::fmt::Display;
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};
use std::str::FromStr;

use super::config::Config;
use super::guard;
use crate::httpd::{Invariant, Pool, PoolRef, Server};
use crate::sys;

/// The contexts in which a directive is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contexts {
    /// The bits as httpd has them. To httpd, what may stand in .htaccess may stand in servers as
    /// well.
    overrides: u32,
    in_servers: bool,
}

impl Contexts {
    /// The server configuration and virtual hosts.
    pub const SERVER: Self = Self { overrides: sys::RSRC_CONF, in_servers: true };
    /// The sections `<Directory>`, `<Location>`, `<Files>` and `<If>`.
    pub const DIRECTORY: Self = Self { overrides: sys::ACCESS_CONF, in_servers: false };
    /// All contexts except .htaccess.
    pub const CONFIG: Self =
        Self { overrides: sys::RSRC_CONF | sys::ACCESS_CONF, in_servers: true };
    /// All contexts, and .htaccess with `AllowOverride FileInfo`.
    pub const ALL: Self = Self { overrides: sys::OR_FILEINFO, in_servers: true };
    /// `<Directory>` and the other sections, and .htaccess with `AllowOverride FileInfo`.
    pub const DIRECTORY_AND_HTACCESS: Self =
        Self { overrides: sys::OR_FILEINFO, in_servers: false };

    /// Returns whether a directive that changes a server's record may stand there.
    const fn fit_a_server(self) -> bool {
        self.overrides == sys::RSRC_CONF
    }
}

/// A directive of a module with the configuration record `C`.
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
    /// Declares a directive `Name On|Off`.
    #[must_use]
    pub const fn flag(
        name: &'static CStr,
        contexts: Contexts,
        help: &'static CStr,
        set: fn(&mut C, bool),
    ) -> Self {
        Self { name, help, contexts, apply: Apply::Flag(set) }
    }

    /// Declares a directive `Name value`, with a value of any parsable type: a number, an address,
    /// an enum.
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

    /// Declares a directive with arguments that the function itself checks. `takes` describes them.
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

    /// Returns the directive's name.
    #[must_use]
    pub const fn name(&self) -> &'static CStr {
        self.name
    }

    /// Returns the help line that httpd shows.
    #[must_use]
    pub const fn help(&self) -> &'static CStr {
        self.help
    }

    /// Returns its row of the command table; `P` finds the record in the pointer that httpd gives.
    ///
    /// # Panics
    ///
    /// Panics if a directive of a server may stand elsewhere: that does not compile in a command
    /// table.
    pub(crate) const fn command<P: Project<C>>(&'static self) -> sys::command_rec {
        assert!(
            !P::IS_PER_SERVER || self.contexts.fit_a_server(),
            "a directive of a server stands in servers: in .htaccess it would change what other \
             requests read at the same time"
        );
        sys::command_rec {
            name: self.name.as_ptr(),
            func: sys::cmd_func { raw_args: Some(raw_args::<C, P>) },
            cmd_data: std::ptr::from_ref(self).cast_mut().cast(),
            req_override: self.contexts.overrides.cast_signed(),
            args_how: sys::RAW_ARGS,
            errmsg: self.help.as_ptr(),
        }
    }

    /// Looks whether it stands where it may, as far as httpd cannot tell.
    fn check_context(&self, parameters: &Parameters<'_>) -> Result {
        if self.contexts.in_servers || parameters.path().is_some() {
            return Ok(());
        }
        Err(format!(
            "not allowed in a server; expected in <Location>, <Directory>, <Files>, <If> or \
             .htaccess ({})",
            self.help.to_string_lossy()
        ))
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
    /// Whether it is a server's record, which all requests to that server read.
    const IS_PER_SERVER: bool;

    /// Returns the place of the record, in httpd's own allocation, unless its creation failed.
    ///
    /// # Safety
    ///
    /// `parameters` and `record` are what httpd calls the directive with.
    unsafe fn project(parameters: &Parameters<'_>, record: *mut c_void) -> Option<NonNull<C>>;
}

/// The context of a directive while httpd reads it (`cmd_parms`).
pub struct Parameters<'p> {
    raw: &'p sys::cmd_parms,
    /// The record that the directive writes to, of the directive's type.
    record: *mut c_void,
    lifetime: Invariant<'p>,
}

impl<'p> Parameters<'p> {
    /// Returns the pool of the configuration that httpd reads.
    #[must_use]
    pub fn pool(&self) -> Pool<'p> {
        // SAFETY: P3: the pool that httpd reads this configuration into lives for 'p.
        unsafe { Pool::from_ptr(self.raw.pool) }
    }

    /// Returns the server that contains the directive.
    #[must_use]
    pub fn server(&self) -> Server<'p> {
        // SAFETY: P3: the server that httpd reads this configuration for lives for 'p.
        unsafe { Server::from_ptr(self.raw.server) }.expect("a directive has a server")
    }

    /// Returns the path of the section that contains the directive.
    #[must_use]
    pub fn path(&self) -> Option<&'p [u8]> {
        // SAFETY: a string of httpd's own configuration tree ends with NUL (P5).
        (!self.raw.path.is_null()).then(|| unsafe { CStr::from_ptr(self.raw.path) }.to_bytes())
    }

    /// Returns the path of the `<Location>` that contains the directive directly, if it is a plain
    /// path without wildcards or regular expression.
    #[must_use]
    pub fn location(&self) -> Option<&'p str> {
        // SAFETY: P3: httpd gives the directive that it is carrying out, or none.
        let directive = unsafe { self.raw.directive.as_ref() }?;
        // SAFETY: P3: a directive's parent is in the same tree.
        let parent = unsafe { directive.parent.as_ref() }?;
        // SAFETY: a string of httpd's own configuration tree ends with NUL (P5).
        let name = unsafe { CStr::from_ptr(parent.directive) };
        // SAFETY: a string of httpd's own configuration tree ends with NUL (P5).
        let arguments = unsafe { CStr::from_ptr(parent.args) };
        let is_plain = name.to_bytes().eq_ignore_ascii_case(b"<Location")
            && !arguments.to_bytes().trim_ascii_start().starts_with(b"~");
        let path = std::str::from_utf8(self.path()?).ok()?;
        (is_plain && path.starts_with('/') && !path.contains(['*', '?', '['])).then_some(path)
    }

    /// Tells whether the directive is in an .htaccess file, which httpd reads for a request.
    #[must_use]
    pub const fn is_htaccess(&self) -> bool {
        self.raw.override_ & sys::RSRC_CONF.cast_signed() == 0
            && self.raw.override_ & sys::ACCESS_CONF.cast_signed() == 0
    }

    /// Returns the directive's position: `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        // SAFETY: P3: httpd gives the directive that it is carrying out, or none.
        let Some(directive) = (unsafe { self.raw.directive.as_ref() }) else {
            return "(unknown place)".into();
        };
        if directive.filename.is_null() {
            return format!("line {}", directive.line_num);
        }
        // SAFETY: a string of httpd's own configuration tree ends with NUL (P5).
        let file = unsafe { CStr::from_ptr(directive.filename) };
        format!("{}:{}", file.to_string_lossy(), directive.line_num)
    }

    /// Returns the record that the directive writes to, to be looked at when the configuration has
    /// been read. It comes from httpd's pointer: one that came from the directive's `&mut` would
    /// not outlive it.
    ///
    /// # Safety
    ///
    /// `C` is the type of the directive that is carried out. As for [`PoolRef::from_ptr`]; the
    /// directive itself has the record exclusively, and must not look at it by the result.
    pub(crate) unsafe fn record<C>(&self) -> PoolRef<C> {
        let record = NonNull::new(self.record.cast()).expect("a directive has a record");
        // SAFETY: the caller's word.
        unsafe { PoolRef::from_ptr(record) }
    }

    pub(super) const fn raw(&self) -> &sys::cmd_parms {
        self.raw
    }
}

unsafe extern "C" fn raw_args<C: Config, P: Project<C>>(
    parameters: *mut sys::cmd_parms,
    record: *mut c_void,
    arguments: *const c_char,
) -> *const c_char {
    // SAFETY: P6: httpd gives its parameters for the time of this call.
    let raw = unsafe { &*parameters };
    let mut parameters = Parameters { raw, record: null_mut(), lifetime: PhantomData };
    // SAFETY: P6: `command` put the directive there.
    let directive = unsafe { &*parameters.raw.info.cast::<Directive<C>>() };
    let result = guard::callback("directive", Err("panicked; see the log".into()), || {
        directive.check_context(&parameters)?;
        // SAFETY: P5: httpd gives the rest of the line.
        let arguments = words(unsafe { CStr::from_ptr(arguments) }, parameters.pool())?;
        // SAFETY: P6: httpd's own parameters and record.
        let place = unsafe { P::project(&parameters, record) };
        let place = place.ok_or("has no record to go into: its creation panicked; see the log")?;
        parameters.record = place.as_ptr().cast();
        // SAFETY: P6. httpd reads its configuration in one thread. While requests are served it
        // reads .htaccess, whose sections have records of the request's own: a server's record is
        // out of reach there, as `command` sees to. `Parameters::record` is not looked at
        // meanwhile.
        let config = unsafe { &mut *place.as_ptr() };
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

/// Takes the rest of a directive's line apart as httpd does (`ap_getword_conf`): but with an empty
/// word at its end, and with more words than `AP_MAX_ARGC`.
fn words<'p>(line: &'p CStr, pool: Pool<'p>) -> std::result::Result<Vec<&'p str>, String> {
    let mut words = Vec::new();
    let mut rest = line.as_ptr();
    // SAFETY: P5: it moves within the line, up to its NUL.
    while unsafe { *rest } != 0 {
        // SAFETY: P5, P11: it makes a copy of the first word in the pool, and moves `rest` to the
        // next.
        let word = unsafe { sys::ap_getword_conf(pool.as_ptr(), &raw mut rest) };
        // SAFETY: a string of httpd's own configuration tree ends with NUL (P5).
        let word = unsafe { CStr::from_ptr(word) };
        words.push(
            word.to_str().map_err(|_| {
                format!("value \"{}\" is not UTF-8", word.to_bytes().escape_ascii())
            })?,
        );
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_differ() {
        let all = [
            Contexts::SERVER,
            Contexts::DIRECTORY,
            Contexts::CONFIG,
            Contexts::ALL,
            Contexts::DIRECTORY_AND_HTACCESS,
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one), "{one:?}");
            assert_eq!(one.fit_a_server(), at == 0, "{one:?}");
        }
    }
}
