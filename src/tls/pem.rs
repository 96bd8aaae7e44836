//! Certificates and keys in PEM files.

use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::files;

/// A file larger than this holds no certificate and no key.
const LARGEST_FILE: usize = 1 << 20;

/// Why a file cannot be used. Never says where the file is, nor what it holds.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    #[error("the file cannot be read: {0}")]
    Unreadable(std::io::Error),
    #[error("there is no {what} in PEM format in it{hint}")]
    Missing { what: &'static str, hint: &'static str },
}

/// Every certificate in a file. Blocks.
///
/// # Errors
/// If it cannot be read, or holds no certificate or a damaged one.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    find(path, "certificate", |text| {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
        all.ok().filter(|all| !all.is_empty())
    })
}

/// The private key in a file. Blocks.
///
/// # Errors
/// If it cannot be read, or holds none that is not encrypted.
pub(super) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    find(path, "private key", |text| PrivateKeyDer::from_pem_slice(text).ok())
}

fn find<T>(path: &Path, what: &'static str, find: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, PemError> {
    let text = files::read(path, LARGEST_FILE).map_err(PemError::Unreadable)?;
    let encrypted = text.windows(9).any(|window| window == b"ENCRYPTED");
    let hint = if encrypted { "; it is encrypted: remove the passphrase" } else { "" };
    find(&text).ok_or(PemError::Missing { what, hint })
}
