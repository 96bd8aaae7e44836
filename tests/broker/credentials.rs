//! Who a site is: TLS with an authority of one's own, a name and a password, an NKey, and the credentials of
//! `nsc`. What is wrong is said, and what is secret is not.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use powerwall_server::simulator::{GatewayHandle, SiteKind, SiteOptions};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::centre::{HOME, centre};
use super::program::{Program, Said, run};
use super::server::{SITE, Server, until};

/// Files that a test makes.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    /// A certificate for this machine, and its key.
    fn certificate(&self, name: &str) -> (String, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let key = self.write(&format!("{name}-key.pem"), &signing_key.serialize_pem());
        (self.write(&format!("{name}.pem"), &cert.pem()), key)
    }
}

async fn doctor(url: &str, more: &[(&'static str, &str)]) -> Said {
    let mut environment = vec![("PW_BROKER_URL", url), ("PW_BROKER_SITES", ">")];
    environment.extend(more);
    run(&["doctor"], &environment).await
}

fn works(said: &Said) -> bool {
    assert_eq!(said.code == Some(0), said.stdout.contains("connection    works"), "{}", said.stdout);
    said.code == Some(0)
}

/// It fails, with these words, and without those.
fn fails(said: &Said, words: &str, secret: &str) {
    assert!(!works(said), "{}", said.stdout);
    assert!(said.stdout.contains(words), "{words:?} is missing in {}{}", said.stdout, said.stderr);
    assert!(!said.stdout.contains(secret) && !said.stderr.contains(secret), "{}{}", said.stdout, said.stderr);
}

#[actix_web::test]
async fn over_tls_the_authority_counts_that_the_settings_name() {
    let files = Files::new();
    let ((certificate, key), (other, _)) = (files.certificate("server"), files.certificate("other"));
    let text = format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\" }}");
    let Some(server) = Server::configured(&text, &files.0).await else { return };
    let url = server.url().replace("nats://", "tls://");
    let authority = [("PW_BROKER_CA", certificate.as_str())];
    assert!(works(&doctor(&url, &authority).await));
    fails(&doctor(&url, &[("PW_BROKER_CA", &other)]).await, "PW_BROKER_CA", "BEGIN");
    fails(&doctor(&url, &[]).await, "PW_BROKER_CA", "BEGIN");
    fails(&doctor(&url, &[("PW_BROKER_CA", &key)]).await, "PW_BROKER_CA", "PRIVATE KEY");

    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall2)).await.unwrap();
    let centre = centre(&url, &authority).await;
    let list = json!([gateway.customer_settings()]).to_string();
    let folder = files.0.path().to_str().unwrap();
    let environment = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_AUTH_PATH", folder),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_BROKER_URL", &url),
        ("PW_BROKER_CA", &certificate),
        ("PW_BROKER_SITE", SITE),
    ];
    let _site = Program::start(&["serve"], &environment).await;
    until(async || centre.json(&format!("/api/gateways/{HOME}")).await["online"] == true).await;
}

#[actix_web::test]
async fn a_name_and_a_password_stand_in_the_address_and_nowhere_else() {
    let files = Files::new();
    let text = "authorization { users: [{ user: north, password: \"a/secret?with@signs:\" }] }";
    let Some(server) = Server::configured(text, &files.0).await else { return };
    let with = |password: &str| server.url().replace("://", &format!("://north:{password}@"));
    assert!(works(&doctor(&with("a/secret?with@signs:"), &[]).await));
    fails(&doctor(&with("mistyped"), &[]).await, "PW_BROKER_CREDENTIALS", "mistyped");
    fails(&doctor(&server.url(), &[]).await, "PW_BROKER_CREDENTIALS", "secret");
}

#[actix_web::test]
async fn an_nkey_opens_the_way_and_another_one_does_not() {
    let (files, user, stranger) = (Files::new(), KeyPair::new_user(), KeyPair::new_user());
    let text = format!("authorization {{ users: [{{ nkey: {} }}] }}", user.public_key());
    let Some(server) = Server::configured(&text, &files.0).await else { return };
    let (seed, other) = (user.seed().unwrap(), stranger.seed().unwrap());
    let right = files.write("user.nk", &format!("# of this site\n{seed}\n"));
    let wrong = files.write("stranger.nk", &other);
    assert!(works(&doctor(&server.url(), &[("PW_BROKER_CREDENTIALS", &right)]).await));
    let refused = doctor(&server.url(), &[("PW_BROKER_CREDENTIALS", &wrong)]).await;
    fails(&refused, "PW_BROKER_CREDENTIALS", &other);
    let nothing = files.write("nothing.nk", "no seed");
    let unusable = doctor(&server.url(), &[("PW_BROKER_CREDENTIALS", &nothing)]).await;
    fails(&unusable, "neither the credentials of a user nor the seed of an NKey", &seed);
}

/// A token as `nsc` makes them.
fn token(issuer: &KeyPair, subject: &KeyPair, nats: &Value) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "jti": subject.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test",
        "sub": subject.public_key(), "nats": nats,
    });
    let text = format!("{}.{}", part(&json!({ "typ": "JWT", "alg": "ed25519-nkey" })), part(&claims));
    let signature = issuer.sign(text.as_bytes()).unwrap();
    format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn credentials(token: &str, user: &KeyPair) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY \
         SEED-----\n{}\n------END USER NKEY SEED------\n",
        user.seed().unwrap()
    )
}

#[actix_web::test]
async fn the_credentials_of_an_operator_open_the_way_for_a_site_and_a_centre() {
    let files = Files::new();
    let (operator, account, system) =
        (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
    let root = token(&operator, &operator, &json!({ "type": "operator", "version": 2 }));
    let limits = json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
        "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
    });
    let ours = json!({ "limits": limits, "type": "account", "version": 2 });
    let theirs = json!({ "limits": { "conn": -1, "subs": -1 }, "type": "account", "version": 2 });
    let text = format!(
        "operator: {root}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload: {{ {ours}: {}, \
         {system}: {} }}",
        token(&operator, &account, &ours),
        token(&operator, &system, &theirs),
        ours = account.public_key(),
        system = system.public_key(),
    );
    let Some(server) = Server::configured(&text, &files.0).await else { return };
    let anything = json!({
        "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2,
    });
    let user = KeyPair::new_user();
    let right = files.write("site.creds", &credentials(&token(&account, &user, &anything), &user));
    let stranger = KeyPair::new_account();
    let wrong = files.write("stranger.creds", &credentials(&token(&stranger, &user, &anything), &user));
    assert!(works(&doctor(&server.url(), &[("PW_BROKER_CREDENTIALS", &right)]).await));
    let refused = doctor(&server.url(), &[("PW_BROKER_CREDENTIALS", &wrong)]).await;
    fails(&refused, "PW_BROKER_CREDENTIALS", &user.seed().unwrap());

    let gateway = GatewayHandle::start(SiteOptions::new("home", "Home", SiteKind::Powerwall2)).await.unwrap();
    let centre = centre(&server.url(), &[("PW_BROKER_CREDENTIALS", &right)]).await;
    let list = json!([gateway.customer_settings()]).to_string();
    let environment = [
        ("PW_GATEWAYS", list.as_str()),
        ("PW_AUTH_PATH", files.0.path().to_str().unwrap()),
        ("PW_PORT", "0"),
        ("PW_BIND_ADDRESS", "127.0.0.1"),
        ("PW_BROKER_URL", &server.url()),
        ("PW_BROKER_CREDENTIALS", &right),
        ("PW_BROKER_SITE", SITE),
    ];
    let _site = Program::start(&["serve"], &environment).await;
    until(async || centre.json(&format!("/api/gateways/{HOME}")).await["online"] == true).await;
}
