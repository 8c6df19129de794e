//! The request body, and what its failure does to the answer.

use std::io::{BufRead, Read};

use http::StatusCode;

use super::{TEXT, broken, failed};
use crate::gateway::memory::TestRequest;
use crate::gateway::{Body, Error, ErrorKind, Input, StartResponse, app_fn};

#[test]
fn is_read_to_its_end() {
    let app = app_fn(|mut environ, start_response| {
        let length = environ.input().length();
        let mut line = Vec::new();
        environ.input().read_until(b'\n', &mut line)?;
        let rest = environ.input().read_all(100)?;
        assert_eq!(environ.input().read(&mut [0; 4])?, 0, "the end is an end");
        assert_eq!(environ.input().chunk(9)?, None);
        start_response.start(200, TEXT)?;
        Ok(Body::from(format!("{length:?} {} {}", line.escape_ascii(), rest.escape_ascii())))
    });
    let whole = TestRequest::post("/", "one\ntwo").call(&app);
    assert_eq!(whole.text(), "Some(7) one\\n two");
    let chunked = TestRequest::new("POST", "/")
        .chunk("on")
        .pause()
        .chunk("")
        .chunk("e\nt")
        .chunk("wo")
        .call(&app);
    assert_eq!(chunked.text(), "None one\\n two");
    assert_eq!(TestRequest::get("/").call(&app).text(), "Some(0)  ");
}

#[test]
fn too_large_for_the_application() {
    let app = app_fn(|mut environ, start_response: StartResponse<'_>| {
        let body = environ.input().read_all(5)?;
        start_response.start(200, TEXT)?;
        Ok(Body::from(body))
    });
    assert_eq!(TestRequest::post("/", "12345").call(&app).text(), "12345");
    for request in
        [TestRequest::post("/", "123456"), TestRequest::new("POST", "/").chunk("123").chunk("456")]
    {
        let response = request.call(&app);
        assert_eq!(failed(&response), ErrorKind::InputTooLarge);
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[test]
fn its_error_answers_with_its_own_status() {
    let app = app_fn(|mut environ, start_response| {
        let mut text = String::new();
        environ.input().read_to_string(&mut text)?;
        start_response.start(200, TEXT)?;
        Ok(Body::from(text))
    });
    for (kind, status) in [
        (ErrorKind::InputTooLarge, StatusCode::PAYLOAD_TOO_LARGE),
        (ErrorKind::InputTimeout, StatusCode::REQUEST_TIMEOUT),
        (ErrorKind::InputMalformed, StatusCode::BAD_REQUEST),
    ] {
        let response = TestRequest::new("POST", "/").chunk("some").fail(kind).call(&app);
        assert_eq!((failed(&response), response.status()), (kind, status));
    }
}

#[test]
fn its_error_after_the_head_breaks_the_answer() {
    let echo = app_fn(|mut environ, start_response| {
        start_response.start(200, TEXT)?;
        Ok(Body::from_input(environ.take_input()))
    });
    let request =
        TestRequest::new("POST", "/").chunk("some").after_output(4).fail(ErrorKind::InputMalformed);
    let response = request.call(&echo);
    assert_eq!((broken(&response), &*response.text()), (ErrorKind::InputMalformed, "some"));
    // A failure before anything went out is still an error page.
    let request = TestRequest::new("POST", "/").chunk("some").fail(ErrorKind::InputMalformed);
    assert_eq!(request.call(&echo).error().map(Error::kind), Some(ErrorKind::InputMalformed));
    assert!(!request.call(&echo).is_broken());

    // Also when the application does not notice, or does not care.
    let careless = app_fn(|mut environ, start_response| {
        let mut writer = start_response.start(200, TEXT)?;
        writer.put("so far: ")?;
        let read = environ.input().read_all(100);
        Ok(Body::from(format!("{}", read.is_ok())))
    });
    let request = TestRequest::new("POST", "/").chunk("some").fail(ErrorKind::InputMalformed);
    let response = request.call(&careless);
    assert_eq!(
        (broken(&response), &*response.text()),
        (ErrorKind::InputMalformed, "so far: false")
    );
    assert!(TestRequest::post("/", "all").call(&careless).is_complete());
}

#[test]
fn its_error_before_the_head_went_out_is_an_error_page() {
    let careless = app_fn(|mut environ, start_response: StartResponse<'_>| {
        start_response.start(200, TEXT)?;
        let _ = environ.input().read_all(100);
        Ok(Body::from("fine"))
    });
    let response =
        TestRequest::new("POST", "/").chunk("some").fail(ErrorKind::InputTimeout).call(&careless);
    assert_eq!(failed(&response), ErrorKind::InputTimeout);
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}

#[test]
fn an_answer_that_knows_of_its_error_stands() {
    let careful = app_fn(|mut environ, start_response: StartResponse<'_>| {
        let status = if environ.input().read_all(100).is_ok() { 200 } else { 422 };
        // It does not come back to life either.
        assert_eq!(status == 422, environ.input().read_all(100).is_err());
        start_response.start(status, TEXT)?;
        Ok(Body::from("as expected"))
    });
    let response =
        TestRequest::new("POST", "/").chunk("some").fail(ErrorKind::InputMalformed).call(&careful);
    assert!(response.is_complete());
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[test]
fn need_not_be_read() {
    let app = app_fn(|_environ, start_response| {
        start_response.start(403, TEXT)?;
        Ok(Body::from("no"))
    });
    let response = TestRequest::new("POST", "/").fail(ErrorKind::InputMalformed).call(&app);
    assert!(response.is_complete());
}

#[test]
fn trailers_come_after_the_body() {
    let app = app_fn(|mut environ, start_response: StartResponse<'_>| {
        assert!(environ.input().trailers().is_none());
        environ.input().read_all(100)?;
        let trailers = environ.input().trailers().unwrap_or_default();
        start_response.start(200, TEXT)?;
        Ok(Body::from(trailers["x-sum"].as_bytes().to_vec()))
    });
    let request = TestRequest::new("POST", "/")
        .chunk("data")
        .trailer("x-sum".parse().unwrap(), "42".parse().unwrap());
    assert_eq!(request.call(&app).text(), "42");
}

#[test]
fn fields_that_cannot_be_trailers_do_not_break_an_echo() {
    let app = app_fn(|mut environ, start_response: StartResponse<'_>| {
        start_response.start(200, TEXT)?;
        Ok(Body::from_input(environ.take_input()))
    });
    let request = TestRequest::new("POST", "/")
        .chunk("data")
        .trailer("host".parse().unwrap(), "x".parse().unwrap())
        .trailer("connection".parse().unwrap(), "close".parse().unwrap())
        .trailer("x-sum".parse().unwrap(), "42".parse().unwrap());
    let response = request.call(&app);
    assert!(response.is_complete(), "{response:?}");
    let names: Vec<_> = response.trailers().unwrap().keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["x-sum"]);
}

#[test]
fn middleware_may_replace_the_input() {
    let app = app_fn(|mut environ, start_response: StartResponse<'_>| {
        let upper = environ.input().read_all(100)?.to_ascii_uppercase();
        let length = upper.len() as u64;
        environ.set_input(Input::from_reader(std::io::Cursor::new(upper), Some(length)));
        assert_eq!(environ.input().length(), Some(4));
        start_response.start(200, TEXT)?;
        Ok(Body::from_input(environ.take_input()))
    });
    let response = TestRequest::new("POST", "/").chunk("some").call(&app);
    assert_eq!(response.text(), "SOME");
    assert_eq!(response.header("content-length"), Some(&b"4"[..]));
}
