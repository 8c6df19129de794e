//! The application `@NAME@`: an axum `Router` with state, JSON and options.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use mod_rust::Factory;
use serde::{Deserialize, Serialize};

/// Returns the applications by name, for the httpd module and for the gateway alike.
#[must_use]
pub fn applications() -> Vec<(&'static str, Factory)> {
    vec![("@NAME@", Factory::service_with_options(|options: Options| Ok(router(options))))]
}

/// The administrator's options: `RustAppOption title "Fruit"`, or `--option title=Fruit` to the
/// gateway. An unknown option, or a value of the wrong type, stops `apachectl configtest`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Options {
    /// The heading of the front page.
    #[serde(default = "title")]
    pub title: String,
    /// The largest number of one item in an order.
    #[serde(default = "at_most")]
    pub at_most: u32,
}

fn title() -> String {
    "@NAME@".to_owned()
}

fn at_most() -> u32 {
    100
}

/// The state that the handlers share. Each process of httpd has its own, so it does not change:
/// what must be remembered belongs into a database.
struct Stock {
    options: Options,
    /// Prices in cents.
    prices: BTreeMap<&'static str, u32>,
}

/// An order of a client.
#[derive(Debug, Deserialize, Serialize)]
pub struct Order {
    pub item: String,
    pub count: u32,
}

/// The price of an order.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub struct Receipt {
    pub item: String,
    pub count: u32,
    /// In cents.
    pub price: u64,
}

/// Returns the routes, below the mount point.
pub fn router(options: Options) -> Router {
    let stock = Stock { options, prices: BTreeMap::from([("apple", 40), ("pear", 55)]) };
    Router::new()
        .route("/", get(front))
        .route("/items", get(items))
        .route("/items/{name}", get(item))
        .route("/orders", post(order))
        .with_state(Arc::new(stock))
}

async fn front(State(stock): State<Arc<Stock>>) -> String {
    format!("{}: {} items\n", stock.options.title, stock.prices.len())
}

async fn items(State(stock): State<Arc<Stock>>) -> Json<BTreeMap<&'static str, u32>> {
    Json(stock.prices.clone())
}

async fn item(
    State(stock): State<Arc<Stock>>,
    Path(name): Path<String>,
) -> Result<Json<u32>, StatusCode> {
    stock.prices.get(name.as_str()).copied().map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn order(
    State(stock): State<Arc<Stock>>,
    Json(order): Json<Order>,
) -> Result<(StatusCode, Json<Receipt>), StatusCode> {
    if order.count > stock.options.at_most {
        return Err(StatusCode::UNPROCESSABLE_ENTITY);
    }
    let price = stock.prices.get(order.item.as_str()).ok_or(StatusCode::NOT_FOUND)?;
    let price = u64::from(*price) * u64::from(order.count);
    // A line of the ErrorLog, or of the gateway's log.
    tracing::info!(count = order.count, "an order of {}", order.item);
    let receipt = Receipt { item: order.item, count: order.count, price };
    Ok((StatusCode::CREATED, Json(receipt)))
}
