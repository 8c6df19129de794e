//! The environ for a service: in the request's extensions, and there as long as wanted.

use std::fmt;
use std::sync::Arc;

use crate::gateway::environ::Environ;
use crate::gateway::exchange::SharedVariables;

/// The environ of a request, among the request's extensions.
///
/// It outlives the exchange, and may be used from any thread. With axum, take it as
/// `Extension<ServiceEnviron>`.
#[derive(Clone)]
pub struct ServiceEnviron {
    variables: Arc<dyn SharedVariables>,
    /// What middleware has set and taken away.
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

    /// The value of `key`: `REMOTE_USER`, `SSL_CLIENT_S_DN`, `gateway.url_scheme`, …
    ///
    /// In httpd's children another thread than the request's own asks that one, which answers when
    /// the service waits. A service that waits for the asking thread without an `await` (by `join`,
    /// say) keeps it from that: after five seconds the value counts as absent, and the ErrorLog says
    /// so. Take what such a thread needs before it starts.
    #[must_use]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let key = key.as_ref();
        match self.overlaid(key) {
            Some(value) => value.map(<[u8]>::to_vec),
            None => self.variables.get(key),
        }
    }

    /// Every key with its value, in no order.
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

/// Without its values: secrets are among them.
impl fmt::Debug for ServiceEnviron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceEnviron").finish_non_exhaustive()
    }
}
