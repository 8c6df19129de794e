//! The application alone, under the rules that every gateway keeps: no server is needed.

use @CRATE@::{Options, Order, Receipt, router};
use mod_rust::gateway::memory::{TestRequest, TestResponse};
use mod_rust::gateway::service::service;

fn call(request: TestRequest) -> TestResponse {
    let options = Options { title: "Fruit".to_owned(), at_most: 10 };
    request.mount("/@NAME@").call(&service(router(options)))
}

fn order(item: &str, count: u32) -> TestResponse {
    let order = serde_json::to_vec(&Order { item: item.to_owned(), count }).unwrap();
    call(TestRequest::post("/@NAME@/orders", order).header("Content-Type", "application/json"))
}

#[test]
fn tells_what_there_is() {
    assert_eq!(call(TestRequest::get("/@NAME@/")).text(), "Fruit: 2 items\n");
    assert_eq!(call(TestRequest::get("/@NAME@/items")).text(), r#"{"apple":40,"pear":55}"#);
    assert_eq!(call(TestRequest::get("/@NAME@/items/pear")).text(), "55");
    assert_eq!(call(TestRequest::get("/@NAME@/items/plum")).status(), 404);
}

#[test]
fn takes_orders() {
    let answer = order("apple", 3);
    assert_eq!(answer.status(), 201);
    let receipt: Receipt = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(receipt, Receipt { item: "apple".to_owned(), count: 3, price: 120 });
    assert_eq!(order("plum", 1).status(), 404);
    assert_eq!(order("apple", 11).status(), 422);
}
