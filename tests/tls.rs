//! HTTPS with the operator's own certificate: what is served, what is offered, and what is said about wrong
//! files.

mod common;

use std::path::PathBuf;
use std::sync::Arc;

use common::sockets::PATIENCE;
use common::{SECOND, settings};
use futures_util::StreamExt;
use powerwall_server::app::Service;
use powerwall_server::cli::healthcheck;
use powerwall_server::connections::Limits;
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use powerwall_server::tls::server_config;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate for this machine, in files.
struct Files {
    folder: TempDir,
    der: CertificateDer<'static>,
}

impl Files {
    fn new() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let files = Self { folder: tempfile::tempdir().unwrap(), der: cert.der().clone() };
        files.write("certificate.pem", &cert.pem());
        files.write("key.pem", &signing_key.serialize_pem());
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    async fn connect(&self, service: &Service, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(service.addr).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

async fn serve(files: &Files, limits: Limits) -> (Service, GatewayHandle) {
    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall3)).await.unwrap();
    let (certificate, key) = (files.path("certificate.pem"), files.path("key.pem"));
    let variables = [
        ("PW_HTTPS", "yes"),
        ("PW_TLS_CERT", certificate.to_str().unwrap()),
        ("PW_TLS_KEY", key.to_str().unwrap()),
    ];
    (Service::start_with(&settings(&[&gateway], &variables), 1, limits).unwrap(), gateway)
}

#[actix_web::test]
async fn pages_and_feeds_come_over_tls_and_only_as_http_1_1() {
    let files = Files::new();
    let (service, _gateway) = serve(&files, Limits::default()).await;
    let mut stream = files.connect(&service, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(r#"{"status":"alive"}"#),
        "{answer}"
    );
    assert!(files.connect(&service, &["h2"]).await.is_err(), "who speaks HTTP/2 only finds nobody");

    let stream = files.connect(&service, &[]).await.unwrap();
    let (mut feed, _) =
        tokio_tungstenite::client_async("wss://localhost/ws/aggregate", stream).await.unwrap();
    let frame = feed.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(frame.contains("num_gateways"), "{frame}");

    let url = format!("https://{}/livez", service.addr);
    assert_eq!(healthcheck::check(&url).await, Ok(()));
    assert!(healthcheck::check(&url.replace("https", "http")).await.is_err());
    drop(feed);
    service.stop().await;
}

#[actix_web::test]
async fn strangers_have_the_same_deadlines_as_without_tls() {
    let files = Files::new();
    let limits = Limits { head: SECOND, idle: SECOND, ..Limits::default() };
    let (service, _gateway) = serve(&files, limits).await;
    let drips: [(&[u8], &[u8]); 4] = [
        // A chunked body that never ends, and one that never begins.
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
        // A body after an early refusal.
        (b"POST /health/reset HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        // A second head.
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /li", b"v"),
    ];
    for (first, drip) in drips {
        let stream = files.connect(&service, &[]).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(stream);
        writer.write_all(first).await.unwrap();
        let mut said = Vec::new();
        let dripping = async {
            loop {
                tokio::time::sleep(SECOND / 20).await;
                // The service may have closed.
                let _ = writer.write_all(drip).await;
                let _ = writer.flush().await;
            }
        };
        let reading = timeout(PATIENCE, reader.read_to_end(&mut said));
        let is_closed = tokio::select! { read = reading => read.is_ok(), () = dripping => false };
        assert!(is_closed && said.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(first));
    }
    // Somebody who does not even begin to encrypt.
    let mut silent = TcpStream::connect(service.addr).await.unwrap();
    let mut said = Vec::new();
    let _ = timeout(PATIENCE, silent.read_to_end(&mut said)).await.expect("it is closed");
    assert!(said.is_empty());
    service.stop().await;
}

#[test]
fn wrong_files_are_named_and_not_shown() {
    let files = Files::new();
    files.write("other.pem", &KeyPair::generate().unwrap().serialize_pem());
    files.write("empty.pem", "");
    files.write(
        "locked.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    assert!(server_config(&files.path("certificate.pem"), &files.path("key.pem")).is_ok());
    for (certificate, key, expected) in [
        ("certificate.pem", "other.pem", "PW_TLS_KEY does not belong to the certificate in PW_TLS_CERT"),
        ("certificate.pem", "certificate.pem", "PW_TLS_KEY: there is no private key in PEM format in it"),
        ("key.pem", "key.pem", "PW_TLS_CERT: there is no certificate in PEM format in it"),
        ("empty.pem", "key.pem", "PW_TLS_CERT: there is no certificate in PEM format in it"),
        ("certificate.pem", "locked.pem", "it is encrypted: remove the passphrase"),
        ("nowhere.pem", "key.pem", "PW_TLS_CERT: the file cannot be read"),
    ] {
        let error = server_config(&files.path(certificate), &files.path(key)).unwrap_err().to_string();
        assert!(error.contains(expected), "{certificate}, {key}: {error}");
        assert!(!error.contains(files.folder.path().to_str().unwrap()), "{error}");
    }
}
