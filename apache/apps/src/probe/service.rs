//! Asynchronous functions as applications, by way of a tower service.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use mod_rust::Application;
use mod_rust::gateway::Error;
use mod_rust::gateway::service::{RequestBody, service};
use tower_service::Service;

use super::answer::{NO_STORE, Refusal, TEXT};

/// A response's body of whatever kind.
pub(super) type Content = Pin<Box<dyn http_body::Body<Data = Bytes, Error = Infallible> + Send>>;

/// The response of an asynchronous function.
pub(super) type Answer = Result<Response<Content>, Refusal>;

/// Makes the application that answers what `answer` makes of the query.
pub(super) fn of_query<F, R>(answer: F) -> impl Application
where
    F: Fn(Vec<u8>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    application(move |request: Request<RequestBody>| {
        answer(request.uri().query().unwrap_or_default().as_bytes().to_vec())
    })
}

/// Makes the application that answers what `answer` makes of the request.
pub(super) fn application<F, R>(answer: F) -> impl Application
where
    F: Fn(Request<RequestBody>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    service(Function(answer))
}

/// 200 with that type and content.
pub(super) fn response(
    content_type: &'static str,
    content: impl http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
) -> Response<Content> {
    let content: Content = Box::pin(content);
    let mut response = Response::new(content);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE.1));
    response
}

/// 200 with a short text.
pub(super) fn text(text: String) -> Response<Content> {
    response(TEXT.1, text)
}

#[derive(Clone)]
struct Function<F>(F);

impl<F, R> Service<Request<RequestBody>> for Function<F>
where
    F: Fn(Request<RequestBody>) -> R,
    R: Future<Output = Answer> + Send + 'static,
{
    type Response = Response<Content>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let answer = (self.0)(request);
        Box::pin(async {
            match answer.await {
                Ok(response) => Ok(response),
                Err(Refusal::Error(error)) => Err(error),
                Err(Refusal::Answer(status, reason)) => {
                    let mut response = text(format!("{reason}\n"));
                    *response.status_mut() =
                        StatusCode::from_u16(status).map_err(Error::from_source)?;
                    Ok(response)
                }
            }
        })
    }
}
