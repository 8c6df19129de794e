//! An axum Router mounts as it is.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Extension, MatchedPath, OriginalUri, Path};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{get, post};
use bytes::Bytes;

use crate::gateway::memory::TestRequest;
use crate::gateway::service::{ServiceEnviron, service, with_extension};
use crate::gateway::{Factory, Options, app_fn};

fn router() -> Router {
    let nested = Router::new().route(
        "/item/{name}",
        get(async |Path(name): Path<String>, uri: Uri, original: OriginalUri, at: MatchedPath| {
            format!("{name} {uri} {} {}", original.0, at.as_str())
        }),
    );
    Router::new()
        .route("/", get(async || "Hello, world\n"))
        .route(
            "/user",
            get(async |Extension(environ): Extension<ServiceEnviron>| {
                environ.get("REMOTE_USER").ok_or(StatusCode::FORBIDDEN)
            }),
        )
        .route("/echo", post(async |body: Body| body))
        .route(
            "/length",
            post(async |headers: HeaderMap, body: Bytes| {
                format!("{:?} {}", headers.get("content-length"), body.len())
            }),
        )
        .nest("/nested", nested)
}

both_ways! {
    fn hello() {
        let app = service(router());
        let response = TestRequest::get("/app").mount("/app").call(&app);
        assert!(response.is_complete());
        assert_eq!(response.text(), "Hello, world\n");
        assert_eq!(response.header("content-length"), Some(&b"13"[..]));
        assert_eq!(response.header("content-type"), Some(&b"text/plain; charset=utf-8"[..]));
        assert_eq!((response.writes(), response.flushes()), (&[13][..], &[0; 0][..]));
        let head = TestRequest::head("/app/").mount("/app").call(&app);
        assert!(head.is_complete() && head.body().is_empty());
        assert_eq!(head.header("content-length"), Some(&b"13"[..]));
    }
}

both_ways! {
    fn nested_routes() {
        let request = TestRequest::get("/app/nested/item/a%2Fb%C3%A9?q").mount("/app");
        assert_eq!(
            request.call(&service(router())).text(),
            "a/b\u{e9} /item/a%2Fb%C3%A9?q /nested/item/a%2Fb%C3%A9?q /nested/item/{name}"
        );
    }
}

both_ways! {
    fn the_environ_is_an_extension() {
        let app = service(router());
        assert_eq!(
            TestRequest::get("/user").variable("REMOTE_USER", "alice").call(&app).text(),
            "alice"
        );
        assert_eq!(TestRequest::get("/user").call(&app).status(), StatusCode::FORBIDDEN);
    }
}

both_ways! {
    fn extensions_from_the_environ() {
        async fn show(peer: ConnectInfo<SocketAddr>, original: OriginalUri, uri: Uri) -> String {
            format!("{} {} {uri}", peer.0, original.0)
        }
        let router = Router::new().route("/a%20b/{*rest}", get(show)).route("/moved", get(show));
        let outer = with_extension(router, |environ| environ.peer_addr().map(ConnectInfo));
        let app = service(with_extension(outer, |environ| environ.original_uri().map(OriginalUri)));
        let request = |target: &str| {
            let request = TestRequest::get(target).mount("/app");
            request.variable("REMOTE_ADDR", "2001:db8::7").variable("REMOTE_PORT", "4711")
        };
        for (request, expected) in [
            (
                request("/app/a%20b/c%2Fd?q=%20"),
                "[2001:db8::7]:4711 /app/a%20b/c%2Fd?q=%20 /a%20b/c%2Fd?q=%20",
            ),
            (request("/old").path_info("/moved"), "[2001:db8::7]:4711 /app/moved /moved"),
            (
                request("/app/moved").variable("REMOTE_ADDR", "192.0.2.1").without("REMOTE_PORT"),
                "192.0.2.1:0 /app/moved /moved",
            ),
        ] {
            let response = request.call(&app);
            assert_eq!((response.status().as_u16(), &*response.text()), (200, expected));
        }
        // axum's own extractor refuses a request without a client's address.
        let unix = request("/app/moved").variable("REMOTE_ADDR", "").call(&app);
        assert_eq!(unix.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

both_ways! {
    fn bodies() {
        let app = service(router());
        let echo = TestRequest::new("POST", "/echo").chunk("a").after_output(1).chunk("b").call(&app);
        assert!(echo.is_complete(), "{echo:?}");
        assert_eq!(echo.text(), "ab");
        assert_eq!(
            TestRequest::post("/length", vec![0; 100_000]).call(&app).text(),
            "Some(\"100000\") 100000"
        );
        // axum refuses bodies of more than 2 MiB by default.
        let large = TestRequest::post("/length", vec![0; 3 << 20]).call(&app);
        assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}

both_ways! {
    fn missing_routes_are_404() {
        let app = service(router());
        let missing = TestRequest::get("/none").call(&app);
        assert!(missing.is_complete());
        assert_eq!(missing.status(), StatusCode::NOT_FOUND);
        let method = TestRequest::post("/user", "").call(&app);
        assert_eq!(method.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(method.header("allow"), Some(&b"GET,HEAD"[..]));
    }
}

both_ways! {
    fn a_factory_makes_one() {
        let factory = Factory::service(router());
        assert!(factory.needs_runtime());
        assert!(!Factory::of(app_fn(|_, _| Ok(crate::gateway::Body::empty()))).needs_runtime());
        let app = factory.build(&Options::new()).unwrap();
        assert_eq!(TestRequest::get("/").call(&*app).text(), "Hello, world\n");
    }
}

both_ways! {
    fn an_async_function_builds_one() {
        async fn connected((): ()) -> Result<Router, std::io::Error> {
            // Wakes up on another thread.
            let text = tokio::spawn(async { "connected\n" }).await?;
            Ok(Router::new().route("/", get(move || async move { text })))
        }
        let app = Factory::service_async(connected).build(&Options::new()).unwrap();
        assert_eq!(TestRequest::get("/").call(&*app).text(), "connected\n");

        let refused =
            Factory::service_async(async |()| Err::<Router, _>(std::io::Error::other("no database")));
        let error = refused.build(&Options::new()).err().unwrap();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("no database"));
    }
}

both_ways! {
    fn a_factory_with_options_makes_one_on_the_runtime() {
        #[derive(serde::Deserialize)]
        struct Greeting {
            name: String,
        }
        let factory = Factory::service_with_options(|greeting: Greeting| {
            // A connection pool starts a task of its own here.
            let task = tokio::spawn(async move { format!("Hello, {}\n", greeting.name) });
            let text = std::sync::Arc::new(tokio::sync::OnceCell::new());
            let task = std::sync::Arc::new(tokio::sync::Mutex::new(Some(task)));
            Ok(Router::new().route(
                "/",
                get(move || {
                    let (text, task) = (text.clone(), task.clone());
                    async move {
                        let made = async { task.lock().await.take().unwrap().await.unwrap() };
                        String::clone(text.get_or_init(|| made).await)
                    }
                }),
            ))
        });
        assert_eq!(factory.declared(), Some(&["name"][..]));
        assert!(factory.check(&Options::new()).is_err());
        let app = factory.build(&Options::from_iter([("name", "Jo")])).unwrap();
        assert_eq!(TestRequest::get("/").call(&*app).text(), "Hello, Jo\n");
        assert_eq!(TestRequest::get("/").call(&*app).text(), "Hello, Jo\n");
    }
}
