//! The Star Wars API that juniper publishes, behind juniper_axum's handlers.

use std::sync::Arc;

use axum::routing::{MethodFilter, get, on};
use axum::{Extension, Router};
use juniper::tests::fixtures::starwars::schema::{Database, Query, Subscription};
use juniper::{EmptyMutation, RootNode};
use juniper_axum::extract::JuniperRequest;
use juniper_axum::response::JuniperResponse;
use juniper_axum::{graphiql, playground};
use mod_rust::Factory;
use serde::Deserialize;

type Schema = RootNode<Query, EmptyMutation<Database>, Subscription>;

async fn graphql(
    Extension(schema): Extension<Arc<Schema>>,
    Extension(database): Extension<Database>,
    JuniperRequest(request): JuniperRequest,
) -> JuniperResponse {
    JuniperResponse(request.execute(&*schema, &database).await)
}

/// The options, which `RustAppOption` sets.
#[derive(Clone, Debug, Deserialize)]
pub struct Options {
    /// The path of `/graphql` as browsers see it: the pages ask there.
    pub endpoint: String,
}

/// Returns the router: `/graphql` by GET and POST, and the two pages that query it.
pub fn router(options: &Options) -> Router {
    let either = MethodFilter::GET.or(MethodFilter::POST);
    Router::new()
        .route("/graphql", on(either, graphql))
        .route("/graphiql", get(graphiql(&options.endpoint, None)))
        .route("/playground", get(playground(&options.endpoint, None)))
        .layer(Extension(Arc::new(Schema::new(Query, EmptyMutation::new(), Subscription))))
        .layer(Extension(Database::new()))
}

/// The application.
#[must_use]
pub fn factory() -> Factory {
    Factory::service_with_options(|options: Options| Ok(router(&options)))
}
