//! How many of the live clients may be of one address, so that one machine cannot take all places.

use actix_web::HttpRequest;

use crate::client::{Client, TrustedProxies};

/// What one client may have at the same time.
pub struct Share {
    pub most: usize,
    /// Speak for many clients, each of which has a share; and have none themselves.
    pub trusted: TrustedProxies,
}

impl Default for Share {
    fn default() -> Self {
        Self { most: usize::MAX, trusted: TrustedProxies::default() }
    }
}

impl Share {
    /// Whether `client` is a trusted proxy that does not say for whom it asks.
    pub(super) fn is_exempt(&self, client: Client, request: &HttpRequest) -> bool {
        let is_itself = |address| self.trusted.contains(address) && client == address.into();
        request.peer_addr().is_some_and(|peer| is_itself(peer.ip()))
    }
}
