//! The request as a service sees it.

use http::{HeaderMap, Method, Response, StatusCode, Version};
use http_body::Body as _;

use super::app;
use crate::gateway::memory::TestRequest;
use crate::gateway::service::ServiceEnviron;
use crate::gateway::{Application, Body, Environ, Error, Result, StartResponse, app_fn};

both_ways! {
    fn everything_is_there() {
        let app = app(async |request: http::Request<super::RequestBody>| {
            assert_eq!(request.method(), Method::PUT);
            assert_eq!(request.uri(), "/a%20b?q=1");
            assert_eq!(request.version(), Version::HTTP_2);
            assert!(request.body().is_end_stream());
            assert_eq!(request.body().size_hint().exact(), Some(0));
            let mut headers: HeaderMap = request.headers().clone();
            assert_eq!(headers.remove("host").unwrap(), "localhost");
            let values: Vec<_> = headers.get_all("x-twice").iter().collect();
            assert_eq!(values, ["1", "2"]);
            assert_eq!(headers["authorization"], "Basic eA==");
            assert_eq!(headers["x-bytes"].as_bytes(), b"\xffcaf\xc3\xa9");
            Ok(Response::new(String::new()))
        });
        let response = TestRequest::new("PUT", "/app/a%20b?q=1")
            .mount("/app")
            .variable("SERVER_PROTOCOL", "HTTP/2.0")
            .header("X-Twice", "1")
            .header("Authorization", "Basic eA==")
            .header("x-twice", "2")
            .header("X-Bytes", b"\xffcaf\xc3\xa9")
            .call(&app);
        assert!(response.is_complete(), "{response:?}");
    }
}

both_ways! {
    /// `http` lets a name pass that is no token (RFC 9110, 5.6.2).
    fn a_name_of_the_response_that_is_no_token_is_refused() {
        let app = app(async |_: http::Request<super::RequestBody>| {
            let name = http::HeaderName::from_static("a\"b");
            Ok(Response::builder().header(name, "1").body(String::new()).unwrap())
        });
        let response = TestRequest::get("/").call(&app);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{response:?}");
    }
}

/// Many headers share a buffer.
#[test]
fn every_one_of_many_headers_is_there() {
    let app = app(async |request: http::Request<super::RequestBody>| {
        assert_eq!(request.headers().len(), 41);
        for number in 0..40 {
            let value = &request.headers()[format!("x-{number}").as_str()];
            assert_eq!(value.as_bytes(), "\u{e9}".repeat(number).as_bytes());
        }
        Ok(Response::new(String::new()))
    });
    let many = (0..40).fold(TestRequest::get("/"), |request, number| {
        request.header(format!("X-{number}"), "\u{e9}".repeat(number))
    });
    let response = many.call(&app);
    assert!(response.is_complete(), "{response:?}");
    for (name, value) in [("a b", "1"), ("A", "a\u{1}b")] {
        let response = many.clone().header(name, value).call(&app);
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{response:?}");
    }
}

both_ways! {
    fn methods_of_ones_own_and_old_protocols() {
        let app = app(async |request: http::Request<super::RequestBody>| {
            Ok(Response::new(format!("{} {:?}", request.method(), request.version())))
        });
        let answer = |method: &str, protocol: &str| {
            let request = TestRequest::new(method, "/").variable("SERVER_PROTOCOL", protocol);
            request.call(&app).text().into_owned()
        };
        assert_eq!(answer("GET", "HTTP/1.0"), "GET HTTP/1.0");
        assert_eq!(answer("PURGE", "HTTP/1.1"), "PURGE HTTP/1.1");
        assert_eq!(answer("VERSION-CONTROL-IT", "INCLUDED"), "VERSION-CONTROL-IT HTTP/1.1");
        let response = TestRequest::new("G E T", "/").call(&app);
        assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
    }
}

both_ways! {
    fn an_unencodable_header_is_refused() {
        let app = app(async |_request| Ok(Response::new(String::new())));
        for (name, value) in [("X Y", "a"), ("X", "a\x01b"), ("", "x")] {
            let response = TestRequest::get("/").header(name, value).call(&app);
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{name} {value}");
        }
        let many =
            (0..40_000).fold(TestRequest::get("/"), |request, n| request.header(format!("X-{n}"), ""));
        assert_eq!(many.call(&app).status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
}

/// Sets a key, removes one, and passes a value of its own.
struct Outer<A>(A);

impl<A: Application> Application for Outer<A> {
    fn call<'x>(
        &self,
        mut environ: Environ<'x>,
        start_response: StartResponse<'x>,
    ) -> Result<Body<'x>> {
        environ.set("REMOTE_USER", "alice");
        environ.remove("SERVER_SOFTWARE");
        environ.extensions_mut().insert(7_u8);
        self.0.call(environ, start_response)
    }
}

both_ways! {
    fn the_environ_comes_along() {
        let app = Outer(app(async |request: http::Request<super::RequestBody>| {
            assert_eq!(request.extensions().get::<u8>(), Some(&7));
            let environ = request.extensions().get::<ServiceEnviron>().unwrap();
            let get = |key: &str| environ.get(key).map(|value| String::from_utf8(value).unwrap());
            assert_eq!(get("SCRIPT_NAME").as_deref(), Some("/app"));
            assert_eq!(get("SSL_CLIENT_S_DN").as_deref(), Some("CN=x"));
            assert_eq!(get("REMOTE_USER").as_deref(), Some("alice"));
            assert_eq!(get("SERVER_SOFTWARE"), None);
            let mut users = 0;
            environ.each(|key, value| {
                assert_ne!(key, b"SERVER_SOFTWARE");
                users += u32::from(key == b"REMOTE_USER" && value == b"alice");
            });
            assert_eq!(users, 1);
            Ok(Response::new(String::new()))
        }));
        let response = TestRequest::get("/app/x")
            .mount("/app")
            .variable("SSL_CLIENT_S_DN", "CN=x")
            .variable("REMOTE_USER", "from the server")
            .call(&app);
        assert!(response.is_complete(), "{response:?}");
    }
}

both_ways! {
    fn the_environ_outlives_the_exchange() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let app = app(move |request: http::Request<super::RequestBody>| {
            let sender = sender.clone();
            async move {
                sender.send(request.extensions().get::<ServiceEnviron>().unwrap().clone())?;
                Ok(Response::new(String::new()))
            }
        });
        assert!(TestRequest::get("/x").call(&app).is_complete());
        let environ = receiver.recv().unwrap();
        let path = std::thread::spawn(move || environ.get("PATH_INFO")).join().unwrap();
        assert_eq!(path.as_deref(), Some(&b"/x"[..]));
    }
}

both_ways! {
    fn dispatchers_mount_services() {
        let inner = app(async |request: http::Request<super::RequestBody>| {
            Ok(Response::new(request.uri().to_string()))
        });
        let app = app_fn(move |mut environ, start_response: StartResponse<'_>| {
            match environ.shift_path_info().as_deref() {
                Some(b"inner") => inner.call(environ, start_response),
                _ => Err(Error::with_status(StatusCode::NOT_FOUND, "nothing is mounted there")),
            }
        });
        assert_eq!(TestRequest::get("/inner/a?b").call(&app).text(), "/a?b");
        assert_eq!(TestRequest::get("/other").call(&app).status(), StatusCode::NOT_FOUND);
    }
}
