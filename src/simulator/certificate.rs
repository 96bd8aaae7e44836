//! A certificate as gateways make them: X.509 version 1, self-signed, EC P-256.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::crypto::ring::{default_provider, sign::any_ecdsa_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;

/// Object identifiers, encoded whole.
const ECDSA_WITH_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const P256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ORGANIZATION: &[u8] = &[0x06, 3, 0x55, 4, 10];

/// One ASN.1 value in DER.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut value = vec![tag];
    match content.len() {
        length @ 0..=127 => value.push(length as u8),
        length @ 128..=255 => value.extend([0x81, length as u8]),
        length => value.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    value.extend(content);
    value
}

/// Presents whatever certificate it was made with: the usual builder would parse it, and refuse version 1.
#[derive(Debug)]
struct Only(Arc<CertifiedKey>);

impl ResolvesServerCert for Only {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// The TLS side of a server in Tesla's cloud, and its own certificate as the authority that vouches for it,
/// in PEM: X.509 version 3, for 127.0.0.1.
pub(super) fn cloud_config() -> Result<(Arc<ServerConfig>, String), Error> {
    // Object identifier of subjectAltName, and an address as its only name.
    let name = der(SEQUENCE, &[&der(0x87, &[&[127, 0, 0, 1]])]);
    let extension = der(SEQUENCE, &[&[0x06, 3, 0x55, 0x1d, 0x11], &der(0x04, &[&name])]);
    let extensions = der(0xa3, &[&der(SEQUENCE, &[&extension])]);
    let (config, certificate) = config(&der(0xa0, &[&der(INTEGER, &[&[2]])]), &extensions)?;
    let text = BASE64_STANDARD.encode(certificate);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    Ok((config, format!("{begin}\n{}\n{end}\n", lines.join("\n"))))
}

/// The TLS side of a gateway with a fresh key.
pub(super) fn server_config() -> Result<Arc<ServerConfig>, Error> {
    // No version field: that is what makes it version 1.
    let (config, _) = config(&[], &[])?;
    Ok(config)
}

fn config(version: &[u8], extensions: &[u8]) -> Result<(Arc<ServerConfig>, Vec<u8>), Error> {
    let general = |what: &str| Error::General(what.to_owned());
    let random = SystemRandom::new();
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| general("no key"))?;
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).map_err(|_| general("bad key"))?;

    let signature_algorithm = der(SEQUENCE, &[ECDSA_WITH_SHA256]);
    let organization = der(SEQUENCE, &[ORGANIZATION, &der(UTF8, &[b"Simulated Energy Products"])]);
    let name = der(SEQUENCE, &[&der(SET, &[&organization])]);
    let validity = der(SEQUENCE, &[&der(UTC_TIME, &[b"240101000000Z"]), &der(UTC_TIME, &[b"491231235959Z"])]);
    let key_algorithm = der(SEQUENCE, &[EC_PUBLIC_KEY, P256]);
    let public_key = der(SEQUENCE, &[&key_algorithm, &der(BIT_STRING, &[&[0], key.public_key().as_ref()])]);
    let serial = der(INTEGER, &[&[1]]);
    let (algorithm, serial) = (&signature_algorithm, &serial);
    let body = der(SEQUENCE, &[version, serial, algorithm, &name, &validity, &name, &public_key, extensions]);
    let signature = key.sign(&random, &body).map_err(|_| general("no signature"))?;
    let certificate =
        der(SEQUENCE, &[&body, &signature_algorithm, &der(BIT_STRING, &[&[0], signature.as_ref()])]);

    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec()));
    let key = CertifiedKey::new(vec![CertificateDer::from(certificate.clone())], any_ecdsa_type(&private)?);
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Only(Arc::new(key))));
    // Gateways offer both.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((Arc::new(config), certificate))
}
