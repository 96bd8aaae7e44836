//! Which certificate of a gateway is accepted.
//!
//! Gateways sign their own X.509 version 1 certificates, which the usual verifier rejects. What counts here is the
//! fingerprint, if the operator wants one to count; the handshake is verified with the certificate's key in any case.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::{CryptoProvider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use super::LinkError;
use crate::files;
use crate::settings::CertificatePolicy;

/// A fingerprint in hexadecimal, and some room.
const LARGEST_FILE: usize = 1 << 10;

/// SHA-256 of a certificate.
type Fingerprint = [u8; 32];

/// The policy of one gateway and what it has seen.
#[derive(Debug)]
pub(super) struct Trust {
    verifier: Arc<Verifier>,
    /// Where the first fingerprint is kept over restarts.
    store: Option<PathBuf>,
    /// Whether `store` has been read.
    recalled: std::cell::Cell<bool>,
}

/// For a peer whose certificate does not matter; the handshake has to be right all the same. Offers HTTP/1.1.
pub fn any_certificate() -> Arc<ClientConfig> {
    Trust::new(&CertificatePolicy::Off).client_config()
}

impl Trust {
    pub fn new(policy: &CertificatePolicy) -> Self {
        let (mode, store) = match policy {
            CertificatePolicy::Off => (Mode::Any, None),
            CertificatePolicy::TrustOnFirstUse { store } => (Mode::First, store.clone()),
            CertificatePolicy::Pinned(fingerprint) => (Mode::Only(*fingerprint), None),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(Verifier { mode: Mutex::new(mode), mismatch: Mutex::default(), provider });
        Self { verifier, store, recalled: std::cell::Cell::new(false) }
    }

    /// HTTP/1.1 only: that is what gateways are known to speak reliably.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        let verifier: Arc<dyn ServerCertVerifier> = self.verifier.clone();
        let builder = ClientConfig::builder_with_provider(self.verifier.provider.clone());
        let mut config = match builder.with_safe_default_protocol_versions() {
            Ok(builder) => builder,
            Err(_) => unreachable!("the ring provider supports the default versions"),
        }
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(1);
        Arc::new(config)
    }

    /// The mismatch that ended the last handshake, if that is what ended it.
    pub fn take_mismatch(&self) -> Option<LinkError> {
        let (expected, found) = lock(&self.verifier.mismatch).take()?;
        Some(LinkError::Certificate { expected: hex(&expected), found: hex(&found) })
    }

    /// Reads the remembered fingerprint, once.
    pub async fn recall(&self) {
        let Some(store) = self.store.clone().filter(|_| !self.recalled.replace(true)) else { return };
        let read = tokio::task::spawn_blocking(move || files::read_text(&store, LARGEST_FILE)).await;
        if let Ok(Ok(text)) = read
            && let Some(fingerprint) = parse(text.trim())
        {
            *lock(&self.verifier.mode) = Mode::Remembered(fingerprint);
        }
    }

    /// Writes a fingerprint seen for the first time.
    pub async fn remember(&self) {
        let mut new = None;
        {
            let mut mode = lock(&self.verifier.mode);
            if let Mode::Seen(fingerprint) = *mode {
                *mode = Mode::Remembered(fingerprint);
                new = Some(fingerprint);
            }
        }
        if let (Some(fingerprint), Some(store)) = (new, self.store.clone()) {
            let text = hex(&fingerprint) + "\n";
            let path = store.display().to_string();
            let written = tokio::task::spawn_blocking(move || files::replace(&store, &text)).await;
            if let Ok(Err(error)) = written {
                log::warn!("the gateway's fingerprint cannot be kept in {path}: {error}");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hex(fingerprint: &Fingerprint) -> String {
    fingerprint.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse(text: &str) -> Option<Fingerprint> {
    let mut fingerprint = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in fingerprint.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(fingerprint)
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Any,
    /// Whatever comes first.
    First,
    /// Came first; not yet written down.
    Seen(Fingerprint),
    Remembered(Fingerprint),
    Only(Fingerprint),
}

#[derive(Debug)]
struct Verifier {
    mode: Mutex<Mode>,
    /// Expected and found, of the last refused certificate.
    mismatch: Mutex<Option<(Fingerprint, Fingerprint)>>,
    provider: Arc<CryptoProvider>,
}

/// The public key of a certificate of any version.
fn public_key(certificate: &CertificateDer<'_>) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let bad = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
    let certificate = Certificate::from_der(certificate).map_err(bad)?;
    let key = certificate.tbs_certificate().subject_public_key_info();
    let bits = key.subject_public_key.raw_bytes().to_vec();
    Ok((key.to_der().map_err(bad)?, bits))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let mut found = [0; 32];
        found.copy_from_slice(digest(&SHA256, end_entity).as_ref());
        let mut mode = lock(&self.mode);
        match *mode {
            Mode::Any => {}
            Mode::First => *mode = Mode::Seen(found),
            Mode::Seen(expected) | Mode::Remembered(expected) | Mode::Only(expected) => {
                if expected != found {
                    *lock(&self.mismatch) = Some((expected, found));
                    return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
                }
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (_, key) = public_key(certificate)?;
        let known = self.provider.signature_verification_algorithms.mapping.iter();
        let mut candidates =
            known.filter(|(scheme, _)| *scheme == signature.scheme).flat_map(|(_, list)| list.iter());
        match candidates
            .any(|algorithm| algorithm.verify_signature(&key, message, signature.signature()).is_ok())
        {
            true => Ok(HandshakeSignatureValid::assertion()),
            false => Err(Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let (key, _) = public_key(certificate)?;
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(key),
            signature,
            algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_written_and_read_alike() {
        let fingerprint: Fingerprint = std::array::from_fn(|index| index as u8 * 7);
        assert_eq!(parse(&hex(&fingerprint)), Some(fingerprint));
        assert_eq!(parse("abc"), None);
        assert_eq!(parse(&"zz".repeat(32)), None);
    }
}
