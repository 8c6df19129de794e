//! The client's address for applications that ask axum's server for it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::Response;
use mod_rust::gateway::service::ServiceEnviron;

/// Adds `ConnectInfo<SocketAddr>` from REMOTE_ADDR and REMOTE_PORT to the request's extensions, as
/// `into_make_service_with_connect_info` does. Use it with `axum::middleware::from_fn`.
pub async fn connect_info(mut request: Request, next: Next) -> Response {
    let environ = request.extensions().get::<ServiceEnviron>();
    if let Some(address) = environ.and_then(address) {
        request.extensions_mut().insert(ConnectInfo(address));
    }
    next.run(request).await
}

fn address(environ: &ServiceEnviron) -> Option<SocketAddr> {
    let text = |key| environ.get(key).and_then(|value| String::from_utf8(value).ok());
    let ip: IpAddr = text("REMOTE_ADDR")?.parse().ok()?;
    let port = text("REMOTE_PORT").and_then(|port| port.parse().ok()).unwrap_or_default();
    Some(SocketAddr::new(ip, port))
}
