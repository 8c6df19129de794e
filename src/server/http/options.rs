//! The options that only HTTP has. A file of its own, because the connection and its requests read
//! them.

use super::forwarded::TrustedProxies;

/// The options that only HTTP has.
#[derive(Clone, Debug)]
pub(crate) struct HttpOptions {
    /// `--trusted-proxy`, with the options of those proxies.
    pub(crate) proxies: TrustedProxies,
    /// `--http2`: clients may speak HTTP/2.
    pub(crate) http2: bool,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { proxies: TrustedProxies::default(), http2: true }
    }
}
