//! The environ for a service, in the request's extensions.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::Uri;

use super::target;

use crate::gateway::environ::Environ;
use crate::gateway::exchange::SharedVariables;

/// The environ of a request, among the request's extensions.
///
/// It may outlive the exchange, and any thread may use it. With axum, take it as
/// `Extension<ServiceEnviron>`.
///
/// ```
/// use http::Request;
/// use mod_rust::gateway::service::{RequestBody, ServiceEnviron};
///
/// fn user(request: &Request<RequestBody>) -> Option<Vec<u8>> {
///     request.extensions().get::<ServiceEnviron>()?.get("REMOTE_USER")
/// }
/// ```
#[derive(Clone)]
pub struct ServiceEnviron {
    variables: Arc<dyn SharedVariables>,
    /// The keys that middleware has set and removed.
    overlay: Option<Arc<Overlay>>,
}

type Overlay = [(Vec<u8>, Option<Vec<u8>>)];

impl ServiceEnviron {
    pub(super) fn new(environ: &Environ<'_>) -> Self {
        let overlay = environ.overlay();
        Self {
            variables: environ.exchange().share(),
            overlay: (!overlay.is_empty()).then(|| overlay.into()),
        }
    }

    /// Returns the value of `key`: `REMOTE_USER`, `SSL_CLIENT_S_DN`, `gateway.url_scheme`, …
    ///
    /// In httpd's children any other thread has to ask the request's thread, which answers while
    /// the service waits. A service that blocks on such a thread, by `join` for example, prevents
    /// that: after five seconds the value counts as absent, and the ErrorLog says so. Read the
    /// values before such a thread starts.
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let key = key.as_ref();
        match self.overlaid(key) {
            Some(value) => value.map(<[u8]>::to_vec),
            None => self.variables.get(key),
        }
    }

    /// Returns the client's address and port, from `REMOTE_ADDR` and `REMOTE_PORT`. The port is 0 if
    /// the server does not know it. A client of a Unix socket has no address.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        let text = |key: &str| self.get(key).and_then(|value| String::from_utf8(value).ok());
        let ip: IpAddr = text("REMOTE_ADDR")?.parse().ok()?;
        let port = text("REMOTE_PORT").and_then(|port| port.parse().ok()).unwrap_or_default();
        Some(SocketAddr::new(ip, port))
    }

    /// Returns path and query of the request, with the path of the mount point, which the request's
    /// own URI lacks.
    #[must_use]
    pub fn original_uri(&self) -> Option<Uri> {
        let value = |key: &str| self.get(key).unwrap_or_default();
        let [raw, script_name, path_info, query] =
            ["REQUEST_URI", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING"].map(value);
        target::original(&raw, &script_name, &path_info, &query)
    }

    /// Calls `visit` with every key and its value, in no particular order.
    pub fn each(&self, mut visit: impl FnMut(&[u8], &[u8])) {
        self.variables.each(&mut |key, value| {
            if self.overlaid(key).is_none() {
                visit(key, value);
            }
        });
        for (key, value) in self.overlay.as_deref().unwrap_or_default() {
            if let Some(value) = value {
                visit(key, value);
            }
        }
    }

    fn overlaid(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let (_, value) = self.overlay.as_deref()?.iter().find(|(set, _)| set == key)?;
        Some(value.as_deref())
    }
}

/// The debug output has no values, because some are secret.
impl fmt::Debug for ServiceEnviron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceEnviron").finish_non_exhaustive()
    }
}
