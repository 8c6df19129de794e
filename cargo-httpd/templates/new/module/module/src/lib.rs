//! The httpd module `mod_@CRATE@.so`: the applications of `@CRATE@`, and a directive of its own.
#![forbid(unsafe_code)]

use std::str::FromStr;

use mod_rust::httpd::{HookStatus, Pool, Request};
use mod_rust::module::{Config, Contexts, Directive};

/// The module's directives in one section of the configuration.
#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    currency: Option<Currency>,
}

#[derive(Clone, Copy, Debug)]
enum Currency {
    Eur,
    Usd,
}

impl FromStr for Currency {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "EUR" => Ok(Self::Eur),
            "USD" => Ok(Self::Usd),
            _ => Err("expected EUR or USD"),
        }
    }
}

impl Config for Settings {
    fn merge(&self, inner: &Self, _pool: Pool<'_>) -> Self {
        Self { currency: inner.currency.or(self.currency) }
    }
}

/// Hands what the directives say to the application, in its environ.
fn tell(request: &Request<'_>, settings: &Settings) -> HookStatus {
    let currency = match settings.currency {
        Some(Currency::Eur) => c"EUR",
        Some(Currency::Usd) => c"USD",
        None => return HookStatus::Declined,
    };
    request.subprocess_env().set_static(c"@UPPER@_CURRENCY", currency);
    HookStatus::Declined
}

mod_rust::module! {
    /// `LoadModule @CRATE@_module …/mod_@CRATE@.so`
    pub static @CRATE@_module: "mod_@CRATE@.c";
    applications = @CRATE@::applications;
    config = Settings;
    directives = [
        Directive::value(
            c"@CAMEL@Currency",
            Contexts::ALL,
            c"The currency of prices: EUR or USD",
            |settings, currency: Currency| settings.currency = Some(currency),
        ),
    ];
    fixups = tell;
}
