//! Which certificate of a gateway is accepted.
//!
//! Gateways sign their own X.509 version 1 certificates, which the usual verifier rejects. What counts here
//! is the fingerprint, if the operator wants one to count; the handshake is verified with the certificate's
//! key in any case.

use std::fmt;
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

use super::{HTTP_1_1, judged_by, provider};
use crate::files::{self, What};

/// A fingerprint in hexadecimal, and some room.
const LARGEST_FILE: usize = 1 << 10;

/// SHA-256 of a certificate, written in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

/// How much a gateway's self-signed certificate is trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CertificatePolicy {
    /// Any certificate, as every tool does today.
    #[default]
    Off,
    /// The first one of the gateway with the id `gateway`, from then on. Remembered in `store` if there is
    /// one, else until the program ends.
    TrustOnFirstUse { gateway: String, store: Option<PathBuf> },
    /// Only the one with this SHA-256 fingerprint.
    Pinned([u8; 32]),
}

/// A certificate that was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub expected: Fingerprint,
    pub found: Fingerprint,
}

#[derive(Clone, Debug)]
struct Store {
    /// The id of the gateway, for the log.
    gateway: String,
    path: PathBuf,
}

/// The policy of one gateway and what it has seen. For one connection at a time.
#[derive(Debug)]
pub struct Trust {
    verifier: Arc<Verifier>,
    /// Where the first fingerprint is kept over restarts.
    store: Option<Store>,
    /// Whether `store` has been read.
    recalled: std::cell::Cell<bool>,
}

impl Trust {
    pub fn new(policy: &CertificatePolicy) -> Self {
        let (mode, store) = match policy {
            CertificatePolicy::Off => (Mode::Any, None),
            CertificatePolicy::TrustOnFirstUse { gateway, store } => {
                (Mode::First, store.clone().map(|path| Store { gateway: gateway.clone(), path }))
            }
            CertificatePolicy::Pinned(fingerprint) => (Mode::Only(Fingerprint(*fingerprint)), None),
        };
        let state = State { mode, proven: None, mismatch: None };
        let verifier = Arc::new(Verifier { state: Mutex::new(state), provider: provider() });
        Self { verifier, store, recalled: std::cell::Cell::new(false) }
    }

    /// Offers no protocol, and takes up a former session.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = judged_by(self.verifier.clone());
        config.resumption = Resumption::in_memory_sessions(1);
        config
    }

    /// Offers HTTP/1.1.
    pub fn http_config(&self) -> Arc<ClientConfig> {
        let mut config = self.client_config();
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Arc::new(config)
    }

    /// The mismatch that ended the last handshake, if that is what ended it.
    pub fn take_mismatch(&self) -> Option<Mismatch> {
        self.verifier.state().mismatch.take()
    }

    /// Reads the remembered fingerprint, once.
    pub async fn recall(&self) {
        let Some(store) = self.store.clone().filter(|_| !self.recalled.replace(true)) else { return };
        let read = tokio::task::spawn_blocking(move || files::read_text(&store.path, LARGEST_FILE)).await;
        if let Ok(Ok(text)) = read
            && let Some(fingerprint) = parse(text.trim())
        {
            self.verifier.state().mode = Mode::Remembered(fingerprint);
        }
    }

    /// Whether no certificate has been remembered yet, although one is to be.
    pub fn is_open(&self) -> bool {
        matches!(self.verifier.state().mode, Mode::First)
    }

    /// From now on only the certificate of the present peer is accepted. To be called when the peer has
    /// answered as a gateway does: anything else at that address before the gateway must not lock
    /// the gateway out.
    pub async fn remember(&self) {
        let fingerprint = {
            let mut state = self.verifier.state();
            let Some(fingerprint) = state.proven.filter(|_| matches!(state.mode, Mode::First)) else {
                return;
            };
            state.mode = Mode::Remembered(fingerprint);
            fingerprint
        };
        if let Some(store) = &self.store {
            // A failure is logged, and the file is written when it can be.
            let what = What::of(&store.gateway, "the fingerprint of its certificate");
            let _ = files::keep(&store.path, what, format!("{fingerprint}\n")).await;
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn parse(text: &str) -> Option<Fingerprint> {
    let mut fingerprint = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in fingerprint.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(Fingerprint(fingerprint))
}

fn fingerprint_of(certificate: &CertificateDer<'_>) -> Fingerprint {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, certificate).as_ref());
    Fingerprint(fingerprint)
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Any,
    /// Whatever comes, until a gateway has been there.
    First,
    Remembered(Fingerprint),
    Only(Fingerprint),
}

#[derive(Debug)]
struct Verifier {
    state: Mutex<State>,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct State {
    mode: Mode,
    /// The certificate of the last peer that has shown that it holds the key.
    proven: Option<Fingerprint>,
    /// Of the last certificate that was not accepted.
    mismatch: Option<Mismatch>,
}

impl Verifier {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn proved(&self, certificate: &CertificateDer<'_>) -> HandshakeSignatureValid {
        self.state().proven = Some(fingerprint_of(certificate));
        HandshakeSignatureValid::assertion()
    }
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
        let found = fingerprint_of(end_entity);
        let mut state = self.state();
        // A former peer's proof is not this one's.
        state.proven = None;
        if let Mode::Remembered(expected) | Mode::Only(expected) = state.mode
            && expected != found
        {
            state.mismatch = Some(Mismatch { expected, found });
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
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
            true => Ok(self.proved(certificate)),
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
        let key = SubjectPublicKeyInfoDer::from(key);
        verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)?;
        Ok(self.proved(certificate))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
    use rustls::crypto::ring::sign::any_supported_type;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::version::{TLS12, TLS13};
    use rustls::{ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion};

    use super::*;

    /// Shows a certificate, whether or not it has the key.
    #[derive(Debug)]
    struct Peer {
        certificate: CertificateDer<'static>,
        key: Arc<rustls::sign::CertifiedKey>,
        version: &'static SupportedProtocolVersion,
    }

    impl Peer {
        fn new(version: &'static SupportedProtocolVersion) -> Self {
            let CertifiedKey { cert, signing_key } = generate_simple_self_signed(Vec::new()).unwrap();
            Self::showing(cert.der().clone(), &signing_key, version)
        }

        /// Has seen the certificate, and has another key.
        fn impostor(&self) -> Self {
            Self::showing(self.certificate.clone(), &KeyPair::generate().unwrap(), self.version)
        }

        fn showing(
            certificate: CertificateDer<'static>,
            key: &KeyPair,
            version: &'static SupportedProtocolVersion,
        ) -> Self {
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let key = any_supported_type(&key).unwrap();
            let key = Arc::new(rustls::sign::CertifiedKey::new(vec![certificate.clone()], key));
            Self { certificate, key, version }
        }

        /// Shakes hands over memory.
        fn meets(self: &Arc<Self>, trust: &Trust) -> Result<(), Error> {
            let server = ServerConfig::builder_with_provider(provider());
            let server = server.with_protocol_versions(&[self.version]).unwrap().with_no_client_auth();
            let server = Arc::new(server.with_cert_resolver(self.clone()));
            let mut server = ServerConnection::new(server).unwrap();
            let name = ServerName::try_from("gateway").unwrap();
            let mut client = ClientConnection::new(trust.http_config(), name).unwrap();
            while client.is_handshaking() {
                let mut flight = Vec::new();
                client.write_tls(&mut flight).unwrap();
                server.read_tls(&mut &flight[..]).unwrap();
                server.process_new_packets()?;
                let mut flight = Vec::new();
                server.write_tls(&mut flight).unwrap();
                client.read_tls(&mut &flight[..]).unwrap();
                client.process_new_packets()?;
            }
            Ok(())
        }
    }

    impl ResolvesServerCert for Peer {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(self.key.clone())
        }
    }

    #[tokio::test]
    async fn only_who_has_shown_the_key_and_answered_as_a_gateway_is_remembered() {
        for version in [&TLS12, &TLS13] {
            let folder = tempfile::tempdir().unwrap();
            let store = folder.path().join("fingerprint");
            let trust = Trust::new(&CertificatePolicy::TrustOnFirstUse {
                gateway: "home".into(),
                store: Some(store.clone()),
            });
            let (gateway, other) = (Arc::new(Peer::new(version)), Arc::new(Peer::new(version)));

            let stranger = Arc::new(other.impostor());
            assert!(stranger.meets(&trust).is_err(), "it lacks the key");
            trust.remember().await;
            assert!(trust.is_open() && !store.exists());
            // Something that is not a gateway.
            other.meets(&trust).unwrap();
            assert!(trust.is_open() && trust.take_mismatch().is_none());
            assert!(stranger.meets(&trust).is_err());
            trust.remember().await;
            assert!(trust.is_open(), "the proof of a former peer is nobody else's");

            gateway.meets(&trust).unwrap();
            trust.remember().await;
            let fingerprint = fingerprint_of(&gateway.certificate);
            assert_eq!(std::fs::read_to_string(&store).unwrap(), format!("{fingerprint}\n"));
            gateway.meets(&trust).unwrap();
            assert!(other.meets(&trust).is_err());
            let found = fingerprint_of(&other.certificate);
            assert_eq!(trust.take_mismatch(), Some(Mismatch { expected: fingerprint, found }));
            assert!(
                Arc::new(gateway.impostor()).meets(&trust).is_err(),
                "a copy of the certificate is not enough"
            );
            trust.remember().await;
            assert_eq!(std::fs::read_to_string(&store).unwrap(), format!("{fingerprint}\n"));
        }
    }

    #[test]
    fn fingerprints_are_written_and_read_alike() {
        let fingerprint = Fingerprint(std::array::from_fn(|index| index as u8 * 7));
        assert_eq!(parse(&fingerprint.to_string()), Some(fingerprint));
        assert_eq!(parse("abc"), None);
        assert_eq!(parse(&"zz".repeat(32)), None);
    }
}
