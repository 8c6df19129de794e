//! The applications of `@NAME@`: `@NAME@` itself, which has options, and `@NAME@-closed`, which
//! stands in for it. The same behind every server; what only httpd has, directives, is in
//! `module/`.
#![forbid(unsafe_code)]

use mod_rust::gateway::{Application, Body, Environ, Factory, Result, StartResponse, app_fn};
use serde::Deserialize;

/// Returns the applications by name, for the httpd module and for the gateway alike.
#[must_use]
pub fn applications() -> Vec<(&'static str, Factory)> {
    vec![("@NAME@", Factory::with_options(open)), ("@NAME@-closed", Factory::of(closed))]
}

/// The administrator's options: `RustAppOption greeting "Good day"`, or `--option` to the gateway.
/// A missing or unknown option, or a value of the wrong type, stops `apachectl configtest`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Options {
    /// The greeting for a visitor.
    pub greeting: String,
    /// The number of shelves: one, unless given.
    #[serde(default)]
    pub shelves: Option<u16>,
}

/// Built once in each process that serves, for each distinct set of options: the place to open
/// files and connection pools.
///
/// # Errors
///
/// None here; one would be logged, and the mount would answer 500.
pub fn open(options: Options) -> Result<impl Application> {
    let shelves = options.shelves.unwrap_or(1);
    Ok(app_fn(move |environ: Environ<'_>, start_response| {
        // Set by the directive of `module/`; another server may set it, too.
        let currency = environ.get("@UPPER@_CURRENCY").unwrap_or(b"EUR").escape_ascii().to_string();
        start_response.start(200, [("Content-Type", "text/plain; charset=utf-8")])?;
        let greeting = &options.greeting;
        Ok(Body::from(format!("{greeting}! {shelves} shelves, prices in {currency}.\n")))
    }))
}

/// Says that nobody is there.
pub fn closed<'x>(_: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response
        .start("503 Closed", [("Content-Type", "text/plain"), ("Retry-After", "3600")])?;
    Ok(Body::from("Closed.\n"))
}
