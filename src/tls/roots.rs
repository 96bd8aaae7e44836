//! The certificate authorities that count.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

/// A certificate that cannot be an authority.
#[derive(Debug, thiserror::Error)]
#[error("a certificate in it cannot be an authority: {0}")]
pub struct AuthorityError(rustls::Error);

/// Those that this system trusts and those that Mozilla does: the container image has none of its own.
pub async fn roots() -> RootCertStore {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // Reads files.
    let trusted = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
    roots.add_parsable_certificates(trusted.map(|found| found.certs).unwrap_or_default());
    roots
}

/// Only `authorities`.
///
/// # Errors
/// If one of them cannot be an authority.
pub fn authorities(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, AuthorityError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(AuthorityError)?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_are_authorities_even_where_the_system_has_none() {
        assert!(roots().await.len() >= webpki_roots::TLS_SERVER_ROOTS.len());
        assert!(webpki_roots::TLS_SERVER_ROOTS.len() > 50);
    }
}
