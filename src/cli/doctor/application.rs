//! Whether the application's domain is registered at Tesla, and with which key.

use std::path::Path;
use std::time::Duration;

use crate::files;
use crate::link::tesla::account::Account;
use crate::link::tesla::partner::{self, KEY_FILE, PartnerKey};
use crate::link::tesla::region;
use crate::link::tesla::tokens::TokenFile;
use crate::settings::{AccountConfig, Secret, TokenSource};

/// For each answer.
const LIMIT: Duration = Duration::from_secs(30);
/// No file of tokens or keys is larger.
const LARGEST: usize = 64 << 10;

/// What Tesla has of the application, in one line, and whether that is well; `None`: it is not known whose
/// application it is.
pub(super) async fn examine(config: &AccountConfig) -> Option<(String, bool)> {
    let TokenSource::File(path) = &config.source else { return None };
    let file = TokenFile::parse(&read(path).await?)?;
    let domain = file.domain()?.to_ascii_lowercase();
    let [id, secret, _] = file.application();
    let (id, secret) = (id?, Secret::new(secret?));
    let own = read(&path.with_file_name(KEY_FILE)).await;
    let of_tokens = || region::of_tokens(file.access_token().as_ref(), file.refresh_token().as_ref());
    let base = config.base.clone().or_else(|| file.audience()).or_else(of_tokens);
    let base = base.unwrap_or_else(|| region::all()[0].clone());

    let web = Account::new(config.clone()).web(LIMIT);
    let asked = async {
        let token = partner::token(web.wires(), (&config.auth, &base), (id, &secret)).await?;
        partner::registered(web.wires(), (&base, &token), &domain).await
    };
    let key = own.and_then(|text| PartnerKey::parse(Secret::new(text).expose()));
    Some(match (asked.await, key) {
        (Err(error), _) => (format!("whether {domain} is registered cannot be told: {error}"), true),
        (Ok(None), _) => {
            // If it matters, nothing is answered, and that is said.
            let what = "is not registered in this region: powerwall-server register --domain";
            (format!("{domain} {what} {domain}"), true)
        }
        (Ok(Some(_)), None) => {
            (format!("{domain} is registered; its own key is not in this folder, to compare it"), true)
        }
        (Ok(Some(found)), Some(key)) if key.is(&found) => {
            (format!("{domain} is registered with the key in {KEY_FILE}"), true)
        }
        (Ok(Some(_)), Some(_)) => {
            let what = format!(
                "{domain} is registered with another key than that in {KEY_FILE}; restore that key, or \
                 powerwall-server register --domain {domain} when the domain shows this one"
            );
            (what, false)
        }
    })
}

async fn read(path: &Path) -> Option<String> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || files::read_text(&path, LARGEST)).await.ok()?.ok()
}
