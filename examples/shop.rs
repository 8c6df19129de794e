//! A module with everything of its own: an application with typed options, middleware around it,
//! typed directives, and a hook that hands what they say to the application.
//!
//! ```text
//! LoadModule shop_module modules/mod_shop.so
//! ShopCurrency EUR
//! RustAppAlias /shop shop
//! <Location /shop>
//!     RustAppOption greeting "Good day"
//!     ShopDiscount 5
//! </Location>
//! ```
#![forbid(unsafe_code)]

use std::str::FromStr;

use mod_rust::gateway::{Application, Body, Environ, Factory, Result, StartResponse, app_fn};
use mod_rust::httpd::{HookStatus, Pool, Request};
use mod_rust::module::{Config, Contexts, Directive};
use serde::Deserialize;

/// The application's options: a missing or unknown one, or a value of the wrong type, stops
/// `apachectl configtest`.
#[derive(Deserialize)]
struct Options {
    greeting: String,
    #[serde(default)]
    shelves: Option<u16>,
}

fn shop(options: Options) -> Result<impl Application> {
    let shelves = options.shelves.unwrap_or(1);
    Ok(app_fn(move |environ: Environ<'_>, start_response| {
        let text = |key: &str| environ.get(key).unwrap_or(b"?").escape_ascii().to_string();
        start_response.start(200, [("Content-Type", "text/plain; charset=utf-8")])?;
        Ok(Body::from(format!(
            "{}! {shelves} shelves, {} percent off, prices in {}.\n",
            options.greeting,
            text("SHOP_DISCOUNT"),
            text("SHOP_CURRENCY"),
        )))
    }))
}

/// A second application of the same module.
fn closed<'x>(_environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response
        .start("503 Closed", [("Content-Type", "text/plain"), ("Retry-After", "3600")])?;
    Ok(Body::from("Closed.\n"))
}

/// The settings of the module's own directives.
#[derive(Clone, Copy, Default)]
struct Shop {
    discount: Option<u8>,
    currency: Option<Currency>,
    secret: Option<bool>,
}

#[derive(Clone, Copy)]
enum Currency {
    Eur,
    Usd,
}

impl FromStr for Currency {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "EUR" => Ok(Self::Eur),
            "USD" => Ok(Self::Usd),
            _ => Err("expected EUR or USD"),
        }
    }
}

impl Config for Shop {
    fn merge(&self, inner: &Self, _pool: Pool<'_>) -> Self {
        Self {
            discount: inner.discount.or(self.discount),
            currency: inner.currency.or(self.currency),
            secret: inner.secret.or(self.secret),
        }
    }
}

/// Hands what the directives say to whatever answers, as environ variables.
fn tell(request: &Request<'_>, shop: &Shop) -> HookStatus {
    let environment = request.subprocess_env();
    if shop.secret == Some(true) {
        return HookStatus::Http(http::StatusCode::FORBIDDEN);
    }
    if let Some(discount) = shop.discount {
        environment.set(request.pool(), c"SHOP_DISCOUNT", discount.to_string().as_bytes());
    }
    let currency = match shop.currency {
        Some(Currency::Eur) => c"EUR",
        Some(Currency::Usd) => c"USD",
        None => return HookStatus::Declined,
    };
    environment.set_static(c"SHOP_CURRENCY", currency);
    HookStatus::Declined
}

mod_rust::module! {
    /// `LoadModule shop_module …/mod_shop.so`
    pub static shop_module: "mod_shop.c";
    applications = {
        "shop" => Factory::with_options(shop),
        "closed" => Factory::of(closed),
    };
    config = Shop;
    directives = [
        Directive::value(
            c"ShopDiscount",
            Contexts::ALL,
            c"Percent off every price, 0 to 255",
            |shop, percent: u8| shop.discount = Some(percent),
        ),
        Directive::value(
            c"ShopCurrency",
            Contexts::ALL,
            c"The currency of prices: EUR or USD",
            |shop, currency: Currency| shop.currency = Some(currency),
        ),
        Directive::flag(
            c"ShopSecret",
            Contexts::ALL,
            c"On to hide the shop",
            |shop, on| shop.secret = Some(on),
        ),
    ];
    fixups = tell;
}
