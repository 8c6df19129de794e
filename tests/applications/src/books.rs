//! async-graphql's own tower service, with a schema that has what juniper's Star Wars lacks:
//! mutations, and subscriptions over HTTP.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_graphql::http::GraphiQLSource;
use async_graphql::{Context, Error, Object, Schema, SimpleObject, Subscription};
use async_graphql_axum::GraphQL;
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use futures_util::stream::{self, Stream};
use mod_rust::Factory;

/// A book on the shelf.
#[derive(Clone, Debug, SimpleObject)]
pub struct Book {
    id: u32,
    title: String,
}

type Shelf = Mutex<Vec<Book>>;

fn shelf<T>(context: &Context<'_>, work: impl FnOnce(&mut Vec<Book>) -> T) -> Result<T, Error> {
    let shelf = context.data::<Shelf>()?;
    Ok(work(&mut shelf.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// The queries of the schema.
#[derive(Debug)]
pub struct Query;

#[Object]
impl Query {
    async fn books(&self, context: &Context<'_>) -> Result<Vec<Book>, Error> {
        shelf(context, |books| books.clone())
    }
}

/// The mutations of the schema.
#[derive(Debug)]
pub struct Mutation;

#[Object]
impl Mutation {
    async fn add(&self, context: &Context<'_>, title: String) -> Result<Book, Error> {
        if title.is_empty() {
            return Err("a book has a title".into());
        }
        shelf(context, |books| {
            let id = books.last().map_or(1, |last| last.id + 1);
            let book = Book { id, title };
            books.push(book.clone());
            book
        })
    }
}

/// The subscriptions of the schema.
#[derive(Debug)]
pub struct Clock;

#[Subscription]
impl Clock {
    /// Counts up to `to`, with a pause before each.
    async fn ticks(&self, to: u32, ms: u64) -> impl Stream<Item = u32> {
        stream::unfold(0, move |last| async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            (last < to).then_some((last + 1, last + 1))
        })
    }
}

async fn graphiql() -> Html<String> {
    Html(GraphiQLSource::build().endpoint("/books").finish())
}

/// Returns the router. The shelf belongs to one process.
pub fn router() -> Router {
    let schema = Schema::build(Query, Mutation, Clock).data(Shelf::default()).finish();
    Router::new().route("/", get(graphiql).post_service(GraphQL::new(schema)))
}

/// The application.
#[must_use]
pub fn factory() -> Factory {
    Factory::service(router())
}
