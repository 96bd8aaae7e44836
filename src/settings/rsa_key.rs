//! The private key that signs v1r requests, read from its PEM file and checked when the settings are read.
//!
//! What is wrong with a file is said without a byte of it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair, RSA_PKCS1_SHA512, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretSlice};

use crate::files;

/// A PEM file of a key is far smaller.
const LARGEST_FILE: usize = 64 << 10;
/// What the registration of a key creates; gateways are known to accept this size.
pub const USUAL_BITS: usize = 4096;

/// An RSA private key of 2048 to 4096 bits. Cheap to clone; shown by its fingerprint only.
#[derive(Clone)]
pub struct RsaKey {
    pair: Arc<RsaKeyPair>,
    /// SHA-256 of [`RsaKey::public_der`] in lower-case hex, as the registration shows it.
    fingerprint: Arc<str>,
}

impl RsaKey {
    /// # Errors
    /// With what is wrong with the file, and what would be right.
    pub fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        if path.is_dir() {
            return Err(format!("{shown} is a folder; name the PEM file of the private key in it"));
        }
        let pem =
            files::read(path, LARGEST_FILE).map_err(|error| format!("{path:?} cannot be read: {error}"))?;
        let pem = SecretSlice::from(pem);
        Self::from_pem(pem.expose_secret()).map_err(|why| format!("{shown} {why}"))
    }

    /// # Errors
    /// With what is wrong, to be put behind the name of the file.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let holds = |text: &str| pem.windows(text.len()).any(|window| window == text.as_bytes());
        if holds("ENCRYPTED") {
            return Err(
                "is encrypted; store the key without a passphrase, readable by this service alone".into()
            );
        }
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| match holds("PUBLIC KEY") {
            true => {
                "holds a public key; the private one is needed, usually tedapi_rsa_private.pem".to_owned()
            }
            false => "holds no private key in PEM form (-----BEGIN RSA PRIVATE KEY----- or -----BEGIN \
                PRIVATE KEY-----)"
                .to_owned(),
        })?;
        let pair = match &der {
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            _ => return Err("holds a key that is not RSA; v1r needs RSA with 4096 bits".into()),
        };
        // The reason is a fixed word of the library, such as TooSmall or WrongAlgorithm.
        let pair = pair.map_err(|why| match why.to_string().as_str() {
            "WrongAlgorithm" => "holds a key that is not RSA; v1r needs RSA with 4096 bits".to_owned(),
            why => format!("holds no usable RSA key ({why}); v1r needs RSA with 4096 bits"),
        })?;
        let hash = digest(&SHA256, pair.public_key().as_ref());
        let fingerprint: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { pair: Arc::new(pair), fingerprint: fingerprint.into() })
    }

    /// PKCS#1 `RSAPublicKey`, as it is registered and sent.
    pub fn public_der(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub fn bits(&self) -> usize {
        self.pair.public().modulus_len() * 8
    }

    /// RSASSA-PKCS1-v1_5 with SHA-512. Takes milliseconds: not for a thread that others wait for.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public().modulus_len()];
        // The buffer has the right size, and this padding needs no randomness.
        let _ = self.pair.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), message, &mut signature);
        signature
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RSA key {}", self.fingerprint)
    }
}

impl PartialEq for RsaKey {
    fn eq(&self, other: &Self) -> bool {
        self.public_der() == other.public_der()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Result<RsaKey, String> {
        RsaKey::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1r").join(name))
    }

    #[test]
    fn both_pem_forms_of_an_rsa_key_are_read() {
        let usual = read("key-4096.pem").unwrap();
        assert_eq!((usual.bits(), usual.public_der().len(), usual.fingerprint().len()), (4096, 526, 64));
        assert_eq!(read("other-2048.pem").unwrap().bits(), 2048);
        assert_eq!(usual, read("key-4096.pem").unwrap());
        assert_ne!(usual, read("other-2048.pem").unwrap());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_a_byte_of_it() {
        let cases = [
            ("nothing-here.pem", "cannot be read"),
            ("", "is a folder"),
            ("README.md", "holds no private key in PEM form"),
            ("public.pem", "holds a public key"),
            ("ec.pem", "not RSA"),
            ("encrypted.pem", "is encrypted"),
            ("short-1024.pem", "TooSmall"),
        ];
        for (name, expected) in cases {
            let why = read(name).unwrap_err();
            assert!(why.contains(expected) && why.contains(name), "{name}: {why}");
            let text =
                std::fs::read_to_string(Path::new("tests/fixtures/v1r").join(name)).unwrap_or_default();
            for line in text.lines().filter(|line| line.len() > 20 && !line.starts_with("-----")) {
                assert!(!why.contains(&line[..16]), "{name}: {why}");
            }
        }
        let key = read("key-4096.pem").unwrap();
        assert_eq!(format!("{key:?}"), format!("RSA key {}", key.fingerprint()));
    }
}
