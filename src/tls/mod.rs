//! TLS of the whole program: every rustls configuration is built here, every verifier and every PEM file
//! belongs here.
//!
//! Gateways sign their own certificates; [`Trust`] decides which one is accepted. Brokers and Tesla's cloud
//! are known by [`roots`]. Our own HTTPS has the operator's certificate ([`server_config`]). Who is connected
//! to, and when, is decided elsewhere.

mod client;
mod pem;
mod roots;
mod server;
mod trust;

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

pub use client::checked_client;
pub use pem::{PemError, certificates};
pub use roots::{AuthorityError, authorities, roots};
pub use server::{TlsError, server_config};
pub use trust::{CertificatePolicy, Fingerprint, Mismatch, Trust};

/// The only protocol that gateways are known to speak reliably, and the only one that this program offers,
/// but for [`checked_http2`]: HTTP/2 would open the door to code that nothing else needs.
const HTTP_1_1: &[u8] = b"http/1.1";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

fn client() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    match ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions() {
        Ok(builder) => builder,
        Err(_) => unreachable!("the ring provider supports the default versions"),
    }
}

/// For a peer whose certificate is checked against `roots`. Offers no protocol.
pub fn checked_by(roots: RootCertStore) -> ClientConfig {
    client().with_root_certificates(roots).with_no_client_auth()
}

/// As [`checked_by`], for a peer that is asked over HTTP/1.1.
pub fn checked_http(roots: RootCertStore) -> Arc<ClientConfig> {
    let mut config = checked_by(roots);
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Arc::new(config)
}

/// As [`checked_by`], for the one peer that is asked over HTTP/2, and with TLS 1.3 only: where Tesla gives
/// tokens for the owners API.
pub fn checked_http2(roots: RootCertStore) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider());
    let mut config = match builder.with_protocol_versions(&[&rustls::version::TLS13]) {
        Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
        Err(_) => unreachable!("the ring provider supports TLS 1.3"),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// For a peer whose certificate does not matter; the handshake has to be right all the same. Offers no
/// protocol.
pub fn any_certificate() -> ClientConfig {
    Trust::new(&CertificatePolicy::Off).client_config()
}

/// For a peer that `verifier` judges.
fn judged_by(verifier: Arc<dyn ServerCertVerifier>) -> ClientConfig {
    client().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
}
