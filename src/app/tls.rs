//! HTTPS with the operator's own certificate.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::files;
use crate::settings::TlsFiles;

/// A file larger than this is no certificate.
const LARGEST_FILE: usize = 1 << 20;

/// Why the certificate cannot be used. Names the variable, never the content of a file, nor where the key lies.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{variable}: the file cannot be read: {error}")]
    Unreadable { variable: &'static str, error: std::io::Error },
    #[error("{variable}: there is no {what} in PEM format in it{hint}")]
    Missing { variable: &'static str, what: &'static str, hint: &'static str },
    #[error("PW_TLS_CERT: it cannot be used as a certificate: {0}")]
    Certificate(rustls::Error),
    #[error("PW_TLS_KEY does not belong to the certificate in PW_TLS_CERT")]
    OtherKey,
    #[error("PW_TLS_KEY: it cannot be used as a key: {0}")]
    Key(rustls::Error),
}

/// Reads both files and makes sure that they belong together. Offers HTTP/1.1 only: HTTP/2 would open the door to
/// code that nothing here needs.
///
/// # Errors
/// With what is wrong with which file.
pub fn server_config(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let chain: Vec<_> = read("PW_TLS_CERT", &files.certificate, "certificate", |text| {
        CertificateDer::pem_slice_iter(text)
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
    })?;
    let key = read("PW_TLS_KEY", &files.key, "private key", |text| PrivateKeyDer::from_pem_slice(text).ok())?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Key)?.with_no_client_auth();
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::OtherKey,
        error @ rustls::Error::InvalidCertificate(_) => TlsError::Certificate(error),
        error => TlsError::Key(error),
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn read<T>(
    variable: &'static str,
    path: &Path,
    what: &'static str,
    find: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<T, TlsError> {
    let text = files::read(path, LARGEST_FILE).map_err(|error| TlsError::Unreadable { variable, error })?;
    let encrypted = text.windows(9).any(|window| window == b"ENCRYPTED");
    let hint = if encrypted { "; it is encrypted: remove the passphrase" } else { "" };
    find(&text).ok_or(TlsError::Missing { variable, what, hint })
}
