//! HTTPS with the operator's own certificate.

use std::path::Path;

use rustls::ServerConfig;

use super::pem::{PemError, certificates, private_key};
use super::{HTTP_1_1, provider};

/// Why the certificate cannot be used. Names the variable, never the content of a file, nor where the key
/// lies.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{variable}: {error}")]
    File { variable: &'static str, error: PemError },
    #[error("PW_TLS_CERT: it cannot be used as a certificate: {0}")]
    Certificate(rustls::Error),
    #[error("PW_TLS_KEY does not belong to the certificate in PW_TLS_CERT")]
    OtherKey,
    #[error("PW_TLS_KEY: it cannot be used as a key: {0}")]
    Key(rustls::Error),
}

/// Reads both files and makes sure that they belong together. Offers HTTP/1.1 only.
///
/// # Errors
/// With what is wrong with which file.
pub fn server_config(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsError> {
    let file = |variable| move |error| TlsError::File { variable, error };
    let chain = certificates(certificate).map_err(file("PW_TLS_CERT"))?;
    let key = private_key(key).map_err(file("PW_TLS_KEY"))?;
    let builder = ServerConfig::builder_with_provider(provider());
    let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Key)?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::OtherKey,
        error @ rustls::Error::InvalidCertificate(_) => TlsError::Certificate(error),
        error => TlsError::Key(error),
    })?;
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(config)
}
