//! The application of `docs/questions.md`: it says what the page speaks of.
#![forbid(unsafe_code)]

use mod_rust::gateway::{Application, Body, Environ, Factory, Result, app_fn};
use serde::Deserialize;

#[must_use]
pub fn applications() -> Vec<(&'static str, Factory)> {
    vec![("shop", Factory::with_options(shop))]
}

#[derive(Clone, Debug, Deserialize)]
pub struct Options {
    #[serde(default)]
    pub database: String,
}

pub fn shop(options: Options) -> Result<impl Application> {
    Ok(app_fn(move |environ: Environ<'_>, start_response| {
        let text = match environ.path_info() {
            b"/database" => options.database.clone(),
            b"/scheme" => environ.get("REQUEST_SCHEME").unwrap_or(b"").escape_ascii().to_string(),
            b"/stage" => std::env::var("SHOP_STAGE").unwrap_or_default(),
            _ => concat!("version ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        start_response.start(200, [("Content-Type", "text/plain")])?;
        Ok(Body::from(text + "\n"))
    }))
}
