//! Passwords and certificates.

use std::path::PathBuf;

use powerwall_server::simulator::SiteKind;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

use super::broker::{Broker, Listener, Options};
use super::{gateway, serve, status_becomes};

/// An authority, and a broker's certificate that it signed, in files.
struct Certificates {
    folder: TempDir,
}

impl Certificates {
    fn new() -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.distinguished_name.push(DnType::CommonName, "authority of a test");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = authority.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let mut broker = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        broker.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let signed = broker.signed_by(&key, &issuer).unwrap();
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write("authority.pem", &certificate.pem());
        files.write("broker.pem", &signed.pem());
        files.write("broker.key", &key.serialize_pem());
        files
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

#[actix_web::test]
async fn the_right_authority_opens_tls_and_the_wrong_one_does_not() {
    let certificates = Certificates::new();
    let tls = Some((certificates.path("broker.pem"), certificates.path("broker.key")));
    let Some(broker) = Broker::start(Options { tls, ..Options::default() }).await else { return };
    let gateway = gateway("home", SiteKind::Powerwall2).await;
    let listener = broker.listener().await;
    let authority = certificates.path("authority.pem").display().to_string();
    let stranger = Certificates::new();
    let strange = stranger.path("authority.pem").display().to_string();

    let tls = [("MQTT_HOST", "localhost"), ("MQTT_TLS", "yes"), ("MQTT_TLS_CA_CERT", strange.as_str())];
    let refused = serve(&[&gateway], broker.tls_port, &tls).await;
    let status = status_becomes(&refused, |status| status["last_error"].is_string()).await;
    assert!(status["last_error"].as_str().unwrap().contains("MQTT_TLS_CA_CERT"), "{status}");
    assert_eq!((&status["connected"], &status["tls"]), (&false.into(), &true.into()));
    drop(refused);

    let tls = [("MQTT_HOST", "localhost"), ("MQTT_TLS", "yes"), ("MQTT_TLS_CA_CERT", authority.as_str())];
    let _trusting = serve(&[&gateway], broker.tls_port, &tls).await;
    listener.becomes("pypowerwall/home/availability", "online").await;
}

#[actix_web::test]
async fn any_certificate_will_do_if_the_operator_says_so() {
    let certificates = Certificates::new();
    let tls = Some((certificates.path("broker.pem"), certificates.path("broker.key")));
    let Some(broker) = Broker::start(Options { tls, ..Options::default() }).await else { return };
    let gateway = gateway("home", SiteKind::Powerwall2).await;
    let listener = broker.listener().await;
    let insecure = [("MQTT_TLS", "yes"), ("MQTT_TLS_INSECURE", "yes")];
    let _program = serve(&[&gateway], broker.tls_port, &insecure).await;
    listener.becomes("pypowerwall/home/availability", "online").await;
}

#[actix_web::test]
async fn a_wrong_password_is_named_and_a_corrected_one_is_taken_without_a_restart() {
    let login = Some(("house", "open-sesame"));
    let Some(broker) = Broker::start(Options { login, ..Options::default() }).await else { return };
    let gateway = gateway("home", SiteKind::Powerwall2).await;
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "canary-wrong-password\n").unwrap();
    let file = password.display().to_string();
    let environment =
        [("MQTT_USERNAME", "house"), ("MQTT_PASSWORD_FILE", file.as_str()), ("RUST_LOG", "trace")];
    let program = serve(&[&gateway], broker.port, &environment).await;
    let status = status_becomes(&program, |status| status["last_error"].is_string()).await;
    assert!(status["last_error"].as_str().unwrap().contains("MQTT_PASSWORD"), "{status}");
    std::fs::write(&password, "open-sesame\n").unwrap();
    program.signal("HUP").await;
    let listener = Listener::new(broker.port, login).await;
    listener.becomes("pypowerwall/home/availability", "online").await;
    let said = program.log() + &program.json("/api/mqtt/status").await.to_string();
    for secret in ["canary-wrong-password", "open-sesame"] {
        assert!(!said.contains(secret), "{secret}");
    }
}
