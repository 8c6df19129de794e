//! Values of the environ in the extensions of a service's requests.

use std::task::{Context, Poll};

use http::Request;
use tower_service::Service;

use super::environ::ServiceEnviron;

/// Wraps `service` so that each request has a value of type `T` among its extensions, if `value`
/// returns one. Frameworks look there for the client's address and the original URI.
///
/// ```
/// use mod_rust::Factory;
/// use mod_rust::gateway::service::with_extension;
/// # use axum::{Router, extract::{ConnectInfo, OriginalUri}};
///
/// # let router: Router = Router::new();
/// // `ConnectInfo<SocketAddr>` and `OriginalUri` of axum, the latter with the mount's path.
/// let service = with_extension(router, |environ| environ.peer_addr().map(ConnectInfo));
/// let service = with_extension(service, |environ| environ.original_uri().map(OriginalUri));
/// let factory = Factory::service(service);
/// ```
pub fn with_extension<S, T>(
    service: S,
    value: fn(&ServiceEnviron) -> Option<T>,
) -> WithExtension<S, T> {
    WithExtension { service, value }
}

/// A service with a value in each request's extensions, from [`with_extension`].
#[derive(Debug)]
pub struct WithExtension<S, T> {
    service: S,
    value: fn(&ServiceEnviron) -> Option<T>,
}

impl<S: Clone, T> Clone for WithExtension<S, T> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), value: self.value }
    }
}

impl<S, B, T> Service<Request<B>> for WithExtension<S, T>
where
    S: Service<Request<B>>,
    T: Clone + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        let value = request.extensions().get::<ServiceEnviron>().and_then(self.value);
        if let Some(value) = value {
            request.extensions_mut().insert(value);
        }
        self.service.call(request)
    }
}
