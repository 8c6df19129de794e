//! The macro that makes a crate a module.

/// Makes a `cdylib` crate a module of httpd with applications in it.
///
/// ```no_run
/// #![forbid(unsafe_code)]
/// use mod_rust::gateway::{Body, Environ, Factory, Result, StartResponse};
///
/// fn hello<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
///     start_response.start(200, [("Content-Type", "text/plain")])?;
///     Ok(Body::from("Hello, world\n"))
/// }
///
/// mod_rust::module! {
///     /// The shop.
///     pub static shop_module: "mod_shop.c";
///     applications = { "shop" => Factory::of(hello) };
/// }
/// # fn main() {}
/// ```
///
/// The static is the one symbol that the library exports; `LoadModule shop_module …/mod_shop.so`
/// names it. Its name ends with `_module`. The path of a function that returns the list may replace
/// the braces: `applications = function;`. After the applications may come, in this order:
///
/// - `config = Type;` the record of the module's own directives, which implements
///   [`Config`](crate::module::Config);
/// - `directives = [ … ];` those, as [`Directive`](crate::module::Directive)s;
/// - `fixups = function;` a hook that runs before the handler, and
/// - `handler = function;` one that answers requests whose handler is not `rust-app`; both are
///   `fn(&Request<'_>, &Type) -> HookStatus`.
#[macro_export]
macro_rules! module {
    (
        $(#[$meta:meta])*
        $vis:vis static $name:ident : $file:literal;
        applications = { $($application:literal => $factory:expr),* $(,)? };
        $($rest:tt)*
    ) => {
        $crate::module! {
            @module [$(#[$meta])* $vis static $name] $file;
            [::std::vec![$(($application, $factory)),*]]
            $($rest)*
        }
    };
    (
        $(#[$meta:meta])*
        $vis:vis static $name:ident : $file:literal;
        applications = $applications:path;
        $($rest:tt)*
    ) => {
        $crate::module! {
            @module [$(#[$meta])* $vis static $name] $file;
            [$applications()]
            $($rest)*
        }
    };
    (
        @module [$(#[$meta:meta])* $vis:vis static $name:ident] $file:literal;
        [$applications:expr]
        $(config = $config:ty;)?
        $(directives = [ $($directive:expr),* $(,)? ];)?
        $(fixups = $fixups:path;)?
        $(handler = $handler:path;)?
    ) => {
        $(#[$meta])*
        #[unsafe(no_mangle)]
        $vis static mut $name: $crate::__private::ModuleRecord =
            $crate::__private::record::<$name>(::core::stringify!($name));

        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        enum $name {}

        // SAFETY: the static above is this module's alone, and made for it.
        unsafe impl $crate::__private::Module for $name {
            const NAME: &'static ::core::ffi::CStr =
                match ::core::ffi::CStr::from_bytes_with_nul(::core::concat!($file, "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("a module's name has no NUL in it"),
                };
            const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
            type Config = $crate::module!(@or [$($config)?] [()]);
            const DIRECTIVES: &'static [$crate::module::Directive<Self::Config>] =
                &[$($($directive),*)?];
            const FIXUPS: ::core::option::Option<$crate::__private::OwnHook<Self::Config>> =
                $crate::module!(@some $($fixups)?);
            const HANDLER: ::core::option::Option<$crate::__private::OwnHook<Self::Config>> =
                $crate::module!(@some $($handler)?);

            fn record() -> *mut $crate::__private::ModuleRecord {
                &raw mut $name
            }

            fn applications() -> ::std::vec::Vec<(&'static str, $crate::gateway::Factory)> {
                $applications
            }
        }
    };
    (@or [$given:ty] [$default:ty]) => { $given };
    (@or [] [$default:ty]) => { $default };
    (@some $given:path) => { ::core::option::Option::Some($given) };
    (@some) => { ::core::option::Option::None };
}
