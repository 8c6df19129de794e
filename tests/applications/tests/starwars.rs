//! juniper's Star Wars API behind juniper_axum, asked by juniper's own suite for web servers.

use httpd_testkit::{Mpm, Response};
use juniper::http::tests::{HttpIntegration, TestResponse, run_http_test_suite};
use serde_json::{Value, json};

use crate::site::{Application, Mode, Site, in_every_mode};

in_every_mode! {
    juniper_is_content
    questions_and_mistakes
    pages
}

fn start(mode: Mode, mpm: Mpm) -> Site {
    let application = Application::new("starwars", "/starwars");
    application.option("endpoint", "/starwars/graphql").start(mode, mpm)
}

/// The web server, as juniper's suite uses it: targets are relative to the endpoint.
struct Endpoint<'s>(&'s Site);

impl Endpoint<'_> {
    fn target(url: &str) -> String {
        format!("/starwars/graphql{}", url.strip_prefix('/').unwrap_or(url))
    }

    fn post(&self, url: &str, content_type: &str, body: &str) -> TestResponse {
        let request = self.0.request("POST", &Self::target(url));
        test_response(&request.header("Content-Type", content_type).body(body).send())
    }
}

fn test_response(response: &Response) -> TestResponse {
    TestResponse {
        status_code: response.status.into(),
        content_type: response.header("content-type").unwrap_or_default().to_owned(),
        body: Some(response.text().to_owned()),
    }
}

impl HttpIntegration for Endpoint<'_> {
    fn get(&self, url: &str) -> TestResponse {
        test_response(&self.0.get(&Self::target(url)))
    }

    fn post_json(&self, url: &str, body: &str) -> TestResponse {
        self.post(url, "application/json", body)
    }

    fn post_graphql(&self, url: &str, body: &str) -> TestResponse {
        self.post(url, "application/graphql", body)
    }
}

fn juniper_is_content(mode: Mode, mpm: Mpm) {
    run_http_test_suite(&Endpoint(&start(mode, mpm)));
}

fn questions_and_mistakes(mode: Mode, mpm: Mpm) {
    let site = start(mode, mpm);
    let ask = |body: Value| {
        let request = site.request("POST", "/starwars/graphql");
        let sent = request.header("Content-Type", "application/json").body(body.to_string()).send();
        let answer: Value = serde_json::from_slice(&sent.body).unwrap_or(Value::Null);
        (sent.status, answer)
    };
    let query = "query($id: String!) { human(id: $id) { name friends { name } homePlanet } }";
    let (status, answer) = ask(json!({ "query": query, "variables": { "id": "1001" } }));
    let vader = json!({ "name": "Darth Vader", "friends": [{ "name": "Wilhuff Tarkin" }], "homePlanet": "Tatooine" });
    assert_eq!((status, &answer["data"]["human"]), (200, &vader), "{answer}");

    let (status, answer) = ask(json!({ "query": "{ hero { shoeSize } }" }));
    assert_eq!(status, 400, "{answer}");
    assert!(answer["errors"][0]["message"].as_str().is_some_and(|text| text.contains("shoeSize")));
    let (status, _) = ask(json!("no query"));
    assert_eq!(status, 400);
    let (status, answer) = ask(json!({ "query": "mutation { add }" }));
    assert_eq!(status, 400, "{answer}");

    let request = site.request("POST", "/starwars/graphql").header("Content-Type", "text/plain");
    assert_eq!(request.body("{ hero { name } }").send().status, 415);
    assert_eq!(site.request("DELETE", "/starwars/graphql").send().status, 405);
    assert_eq!(site.get("/starwars/nothing").status, 404);
    // One request runs for each thread or child. The connections are new, because the event MPM
    // closes idle ones while all its workers are busy.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let response = site.get("/starwars/graphql?query=%7Bhero%7Bname%7D%7D");
                    assert_eq!(response.text(), r#"{"data":{"hero":{"name":"R2-D2"}}}"#);
                }
            });
        }
    });
}

fn pages(mode: Mode, mpm: Mpm) {
    let site = start(mode, mpm);
    for (target, mark) in [("graphiql", "GraphiQL"), ("playground", "GraphQL Playground")] {
        let page = site.get(&format!("/starwars/{target}"));
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        assert!(
            page.text().contains(mark) && page.text().contains("/starwars/graphql"),
            "{page:?}"
        );
    }
}
