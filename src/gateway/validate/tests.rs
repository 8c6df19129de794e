//! Each rule broken once, and what keeps to all of them.

mod application;
mod server;

use super::Validate;
use crate::gateway::memory::{TestRequest, TestResponse};
use crate::gateway::{Application, Body, Environ, ErrorKind, Result, StartResponse};

const TEXT: [(&str, &str); 1] = [("Content-Type", "text/plain")];

/// Wraps a function as an application whose closures borrow nothing.
fn valid<F>(f: F) -> Validate<impl Application>
where
    F: for<'x> Fn(Environ<'x>, StartResponse<'x>) -> Result<Body<'x>> + Send + Sync + 'static,
{
    Validate::new(f)
}

fn hello<'x>(_environ: Environ<'x>, start_response: StartResponse<'x>) -> Result<Body<'x>> {
    start_response.start(200, TEXT)?;
    Ok(Body::from("hello"))
}

/// The rule that was broken, as the log has it.
#[track_caller]
fn broken(response: &TestResponse) -> String {
    let error = response.error().unwrap_or_else(|| panic!("nothing was broken: {response:?}"));
    assert_eq!(error.kind(), ErrorKind::Validation, "{error}");
    error.to_string()
}

#[track_caller]
fn assert_blames(response: &TestResponse, who: &str, rule: &str) {
    let message = broken(response);
    let blamed = format!("the {who} broke the contract: ");
    assert!(message.starts_with(&blamed) && message.contains(rule), "{message}");
}

#[test]
fn valid_exchanges_pass() {
    let app = valid(|mut environ, start_response| {
        let status = match environ.path_info() {
            b"/204" => 204,
            b"/304" => 304,
            _ => 200,
        };
        if status != 200 {
            start_response.start(status, [("X-A", "b")])?;
            return Ok(Body::empty());
        }
        match environ.query_string() {
            b"full" => {
                start_response
                    .start(200, [("Content-Type", "text/plain"), ("Content-Length", "5")])?;
                Ok(Body::from("hello"))
            }
            b"empty" => {
                start_response.start(302, [("Location", "/elsewhere")])?;
                Ok(Body::empty())
            }
            b"written" => {
                let mut writer = start_response.start(200, TEXT)?;
                writer.put("hel")?;
                Ok(Body::from_chunks([Ok("lo".into())]))
            }
            b"redirect" => Ok(Body::internal_redirect("/other")),
            _ => {
                start_response.start(200, TEXT)?;
                Ok(Body::from_input(environ.take_input()))
            }
        }
    });
    for target in ["/204", "/304", "/?full", "/?empty", "/?written", "/"] {
        for method in ["GET", "HEAD"] {
            let response = TestRequest::new(method, target).call(&app);
            assert!(response.is_complete(), "{method} {target} {response:?}");
        }
    }
    assert_eq!(TestRequest::get("/?redirect").call(&app).redirect(), Some("/other"));
    assert_eq!(TestRequest::post("/", "known").call(&app).text(), "known");
    // It neither reads ahead nor keeps anything back.
    let response = TestRequest::new("POST", "/app/x")
        .mount("/app")
        .chunk("ping")
        .after_output(4)
        .chunk("pong")
        .trailer("x-sum".parse().unwrap(), "7".parse().unwrap())
        .call(&app);
    assert!(response.is_complete(), "{response:?}");
    assert_eq!((&*response.text(), response.flushes()), ("pingpong", &[4][..]));
    assert_eq!(response.trailers().unwrap()["x-sum"], "7");
    let failing =
        TestRequest::new("POST", "/").chunk("ping").fail(ErrorKind::InputMalformed).call(&app);
    assert_eq!(failing.error().unwrap().kind(), ErrorKind::InputMalformed);
}

#[test]
fn it_is_middleware_as_any_other() {
    let twice = Validate::new(Validate::new(hello));
    let response = TestRequest::get("/").call(&twice.clone());
    assert!(response.is_complete());
    assert_eq!(response.header("content-length"), Some(&b"5"[..]));
}

#[cfg(feature = "tower")]
#[test]
fn services_keep_to_it() {
    let router = axum::Router::new().route("/", axum::routing::get(async || "Hello\n")).route(
        "/echo",
        axum::routing::post(async |body: axum::body::Body| {
            ([("content-type", "text/plain")], body)
        }),
    );
    let app = Validate::new(crate::gateway::service(router));
    assert_eq!(TestRequest::get("/").call(&app).text(), "Hello\n");
    assert!(TestRequest::head("/").call(&app).is_complete());
    assert!(TestRequest::get("/none").call(&app).is_complete());
    let echo = TestRequest::new("POST", "/echo").chunk("a").after_output(1).chunk("b").call(&app);
    assert!(echo.is_complete(), "{echo:?}");
    assert_eq!(echo.text(), "ab");
}
