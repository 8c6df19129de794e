//! tower-http's `ServeDir`, compressed and traced: a tower service, without axum.

use std::path::PathBuf;

use mod_rust::Factory;
use serde::Deserialize;
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_http::services::ServeDir;
use tower_http::trace::TraceLayer;

/// The options, which `RustAppOption` sets.
#[derive(Clone, Debug, Deserialize)]
pub struct Options {
    /// The folder that is served.
    pub root: PathBuf,
}

/// The application.
#[must_use]
pub fn factory() -> Factory {
    Factory::service_with_options(|options: Options| {
        Ok(ServiceBuilder::new()
            .layer(TraceLayer::new_for_http())
            .layer(CompressionLayer::new())
            .service(ServeDir::new(options.root)))
    })
}
