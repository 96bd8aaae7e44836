//! Registering an application's domain at Tesla: the key that proves the domain, and the questions that a
//! partner token answers. Once for each region; no reading needs any of it afterwards, but whoever looks for
//! what is wrong may ask what Tesla has.

use awc::http::{Method, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::account::{encoded, form_call, renewed};
use super::error::{TeslaError, reason};
use super::web::Wires;
use crate::link::https::{Call, secret_header};
use crate::link::json::Look;
use crate::settings::{Origin, Secret};

/// Where Tesla fetches the public key, below the domain.
pub const KEY_PATH: &str = "/.well-known/appspecific/com.tesla.3p.public-key.pem";
/// Where the private key is kept, beside the token file.
pub const KEY_FILE: &str = ".powerwall-server.partner-key.pem";
/// What stands before the point in a SubjectPublicKeyInfo of P-256 (RFC 5480).
const SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// The key of an application, EC P-256.
pub struct PartnerKey {
    /// PKCS#8.
    private: Vec<u8>,
    /// The uncompressed point.
    point: Vec<u8>,
}

impl PartnerKey {
    /// A new one.
    ///
    /// # Errors
    /// If this machine has no random numbers.
    pub fn generate() -> Result<Self, TeslaError> {
        let random = SystemRandom::new();
        let none = || TeslaError::SetUp("this machine has no random numbers".into());
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random);
        Self::of(key.map_err(|_| none())?.as_ref().to_vec()).ok_or_else(none)
    }

    /// From a private key as [`PartnerKey::private_pem`] writes it; `None`: it is none.
    pub fn parse(pem: &str) -> Option<Self> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
        Self::of(key.secret_pkcs8_der().to_vec())
    }

    fn of(private: Vec<u8>) -> Option<Self> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &private, &random).ok()?;
        let point = pair.public_key().as_ref().to_vec();
        Some(Self { private, point })
    }

    pub fn private_pem(&self) -> Secret {
        Secret::new(pem("PRIVATE KEY", &self.private))
    }

    /// What the domain must show.
    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &[&SPKI, self.point.as_slice()].concat())
    }

    /// Whether it is the one that Tesla has fetched, as it writes it.
    pub fn is(&self, hex: &str) -> bool {
        hex.eq_ignore_ascii_case(&self.hex())
    }

    /// As Tesla writes a key that it has fetched.
    fn hex(&self) -> String {
        self.point.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A token that is good for [`register`] only.
///
/// # Errors
/// With what Tesla has against it.
pub async fn token(
    wires: &dyn Wires,
    (auth, base): (&Origin, &Origin),
    (client_id, secret): (&str, &Secret),
) -> Result<Secret, TeslaError> {
    let base = base.to_string();
    let call = form_call(&[
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("client_secret", secret.expose()),
        ("audience", &base),
        ("scope", "openid"),
    ]);
    let answer = wires.send(auth, call).await?;
    if matches!(answer.status, 400 | 401) {
        let why = "the client id or the client secret is not that of the application, or its kind has no \
            machine-to-machine access";
        return Err(TeslaError::SetUp(why.into()));
    }
    Ok(renewed(&answer)?.access)
}

/// Registers `domain` in the region of `base`, and holds the key that Tesla has fetched there against `key`;
/// what Tesla answered.
///
/// # Errors
/// With what is to be put right, and where.
pub async fn register(
    wires: &dyn Wires,
    (base, token): (&Origin, &Secret),
    domain: &str,
    key: &PartnerKey,
) -> Result<Value, TeslaError> {
    let body = json!({ "domain": domain }).to_string().into();
    let path = "/api/1/partner_accounts".into();
    let call = Call { method: Method::POST, path, headers: Vec::new(), body, only_reads: false };
    let answer = wires.send(base, signed_in(call, token)?).await?;
    let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = || reason(&body).map(|said| format!(" ({said})")).unwrap_or_default();
    match answer.status {
        200..=299 => {}
        412 => {
            let why = format!("{domain} is not below the root domain of an origin that it allows{}", said());
            return Err(TeslaError::SetUp(why));
        }
        424 => {
            let why = format!("Tesla cannot fetch the key at https://{domain}{KEY_PATH}{}", said());
            return Err(TeslaError::SetUp(why));
        }
        _ => return Err(TeslaError::of(&answer, "registration of domains", &base.to_string())),
    }
    let found = body.at(&["response", "public_key"]).name().unwrap_or_default();
    if !key.is(found) {
        let why = format!("https://{domain}{KEY_PATH} still shows another key than the one to register");
        return Err(TeslaError::SetUp(why));
    }
    Ok(body["response"].take())
}

/// The key that Tesla has for `domain` in the region of `base`, as hex of its point; `None`: the domain is
/// not registered there.
///
/// # Errors
/// With what stands in the way of an answer.
pub async fn registered(
    wires: &dyn Wires,
    (base, token): (&Origin, &Secret),
    domain: &str,
) -> Result<Option<String>, TeslaError> {
    let path = format!("/api/1/partner_accounts/public_key?domain={}", encoded(domain));
    let call = Call { path: path.into(), ..Call::get("") };
    let answer = wires.send(base, signed_in(call, token)?).await?;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match answer.status {
        200 => Ok(body.at(&["response", "public_key"]).name().map(str::to_owned)),
        404 | 412 => Ok(None),
        _ => Err(TeslaError::of(&answer, "record of the domain", &base.to_string())),
    }
}

fn signed_in(call: Call, token: &Secret) -> Result<Call, TeslaError> {
    let bearer = secret_header(&format!("Bearer {}", token.expose()));
    let bearer = bearer.ok_or_else(|| TeslaError::Malformed("the partner token is damaged".into()))?;
    let json = header::HeaderValue::from_static("application/json");
    Ok(call.with(header::AUTHORIZATION, bearer).with(header::CONTENT_TYPE, json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_shows_no_private_part() {
        let key = PartnerKey::generate().unwrap();
        let again = PartnerKey::parse(key.private_pem().expose()).unwrap();
        assert_eq!((again.hex(), again.public_pem()), (key.hex(), key.public_pem()));
        assert_eq!((key.hex().len(), &key.hex()[..2]), (130, "04"));
        assert!(
            key.public_pem().starts_with("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE")
        );
        assert!(
            PartnerKey::parse("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_none()
        );
    }
}
