//! async-graphql's tower service: mutations, batches, and subscriptions over HTTP.

use std::time::{Duration, Instant};

use httpd_testkit::{Connection, Mpm};
use serde_json::{Value, json};

use crate::site::{Application, Mode, Site, in_every_mode};

in_every_mode! {
    changes_and_batches
    a_subscription_streams
    the_page
}

fn start(mode: Mode, mpm: Mpm) -> Site {
    Application::new("books", "/books").start(mode, mpm)
}

fn ask(connection: &mut Connection, body: &Value) -> Value {
    let request = connection.request("POST", "/books").header("Content-Type", "application/json");
    let response = request.body(body.to_string()).send();
    assert_eq!(response.status, 200, "{response:?}");
    serde_json::from_slice(&response.body).expect("JSON")
}

/// Checks mutations and batches. The shelf belongs to one process, and so does a connection with
/// prefork.
fn changes_and_batches(mode: Mode, mpm: Mpm) {
    let site = start(mode, mpm);
    let connection = &mut site.connect();
    let add = |title: &str| {
        let query = "mutation($title: String!) { add(title: $title) { id title } }";
        json!({ "query": query, "variables": { "title": title } })
    };
    let answer = ask(connection, &add("Дon Quixote \"1\""));
    assert_eq!(answer["data"]["add"], json!({ "id": 1, "title": "Дon Quixote \"1\"" }), "{answer}");
    let answer = ask(connection, &add(""));
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(answer["errors"][0]["message"], "a book has a title", "{answer}");
    let long = "long ".repeat(40_000);
    assert_eq!(ask(connection, &add(&long))["data"]["add"]["title"], long.as_str());

    let batch = json!([add("Three"), { "query": "{ books { id } }" }, { "query": "{ nothing }" }]);
    let answers = ask(connection, &batch);
    assert_eq!(answers[0]["data"]["add"]["id"], 3, "{answers}");
    assert_eq!(answers[2]["errors"][0]["path"], Value::Null);
    assert!(
        answers[2]["errors"][0]["message"].as_str().is_some_and(|text| text.contains("nothing"))
    );
    let books = ask(connection, &json!({ "query": "{ books { id } }" }));
    assert_eq!(books["data"]["books"], json!([{ "id": 1 }, { "id": 2 }, { "id": 3 }]));

    let broken = connection.request("POST", "/books").header("Content-Type", "application/json");
    assert_eq!(broken.body("{ \"query\": ").send().status, 400);
}

/// Checks GraphQL over HTTP's `multipart/mixed`: each part is sent as soon as it is made.
fn a_subscription_streams(mode: Mode, mpm: Mpm) {
    let site = start(mode, mpm);
    let body = json!({ "query": "subscription { ticks(to: 4, ms: 300) }" }).to_string();
    let mut connection = site.connect();
    let started = Instant::now();
    connection.write(format!(
        "POST /books HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Accept: multipart/mixed;boundary=\"graphql\";subscriptionSpec=\"1.0\"\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let head = connection.read_head();
    assert_eq!(head.status, 200);
    let (mut all, mut first) = (String::new(), None);
    while let Some(chunk) = connection.read_chunk() {
        all.push_str(&String::from_utf8_lossy(&chunk));
        if first.is_none() && all.contains("\"ticks\":1") {
            first = Some(started.elapsed());
            assert!(!all.contains("\"ticks\":2"), "{all}");
        }
    }
    for tick in 1..=4 {
        assert!(all.contains(&format!("{{\"data\":{{\"ticks\":{tick}}}}}")), "{tick}: {all}");
    }
    assert!(all.trim_end().ends_with("--graphql--"), "{all}");
    let (first, whole) = (first.expect("the first tick"), started.elapsed());
    assert!(whole - first >= Duration::from_millis(800), "{first:?} of {whole:?}");
}

fn the_page(mode: Mode, mpm: Mpm) {
    let site = start(mode, mpm);
    let page = site.get("/books");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("GraphiQL"), "{page:?}");
    assert_eq!(site.request("PUT", "/books").send().status, 405);
}
