//! Frameworks that are not axum: each function makes an application of one, as docs/frameworks.md
//! shows.

use std::convert::Infallible;
use std::sync::Arc;

use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::BodyExt;
use mod_rust::Factory;
use mod_rust::gateway::service::RequestBody;
use poem::IntoEndpoint;
use salvo_core::http::ReqBody;
use tower::service_fn;
use warp::Filter;

/// Makes an application of a poem endpoint.
pub fn poem<E>(endpoint: E) -> Factory
where
    E: IntoEndpoint,
    E::Endpoint: 'static,
{
    let endpoint = Arc::new(endpoint.into_endpoint());
    Factory::service(service_fn(move |request: Request<RequestBody>| {
        let endpoint = Arc::clone(&endpoint);
        async move {
            let (parts, body) = request.into_parts();
            let parts = (parts, Default::default(), Default::default(), Scheme::HTTP).into();
            let body = poem::Body::from_bytes_stream(body.into_data_stream());
            let request = poem::Request::from_parts(parts, body);
            let response: Response<_> =
                poem::Endpoint::get_response(&endpoint, request).await.into();
            Ok::<_, Infallible>(response)
        }
    }))
}

/// Makes an application of a salvo router.
pub fn salvo(router: salvo_core::Router) -> Factory {
    let service = Arc::new(salvo_core::Service::new(router));
    Factory::service(service_fn(move |request: Request<RequestBody>| {
        let service = Arc::clone(&service);
        async move {
            let request = request.map(|body| ReqBody::Boxed {
                inner: Box::pin(body.map_err(Into::into)),
                fuse_config: None,
            });
            let request = salvo_core::Request::from_hyper(request, Scheme::HTTP);
            Ok::<_, Infallible>(service.handle(request).await.into_hyper())
        }
    }))
}

/// Returns an application of each framework that greets by name and echoes a body.
#[must_use]
pub fn factories() -> Vec<(&'static str, Factory)> {
    vec![
        ("poem", poem(poem_routes())),
        ("salvo", salvo(salvo_router())),
        ("warp", Factory::service(warp::service(warp_routes()))),
        ("grpc", Factory::service(grpc())),
    ]
}

#[poem::handler]
fn poem_hello(poem::web::Path(name): poem::web::Path<String>) -> String {
    format!("poem: {name}")
}

#[poem::handler]
fn poem_echo(body: Vec<u8>) -> Vec<u8> {
    body
}

fn poem_routes() -> poem::Route {
    poem::Route::new().at("/hello/:name", poem::get(poem_hello)).at("/echo", poem::post(poem_echo))
}

#[salvo_core::handler]
async fn salvo_hello(request: &mut salvo_core::Request) -> String {
    format!("salvo: {}", request.param::<String>("name").unwrap_or_default())
}

#[salvo_core::handler]
async fn salvo_echo(request: &mut salvo_core::Request, response: &mut salvo_core::Response) {
    let body = request.payload_with_max_size(16 << 20).await.expect("the body arrives");
    response.write_body(body.to_vec()).expect("nothing was written before");
}

fn salvo_router() -> salvo_core::Router {
    salvo_core::Router::new()
        .push(salvo_core::Router::with_path("hello/{name}").get(salvo_hello))
        .push(salvo_core::Router::with_path("echo").post(salvo_echo))
}

fn warp_routes() -> impl Filter<Extract = (impl warp::Reply,), Error = warp::Rejection> + Clone {
    let hello = warp::path!("hello" / String).map(|name| format!("warp: {name}"));
    let echo = warp::path!("echo").and(warp::post()).and(warp::body::bytes());
    hello.or(echo.map(|body: bytes::Bytes| Response::new(body)))
}

/// Returns tonic's health service, the standard one of gRPC.
fn grpc() -> axum::Router {
    let (_, health) = tonic_health::server::health_reporter();
    tonic::service::Routes::new(health).into_axum_router()
}
