//! `register --domain`: makes the domain of an application known to Tesla, in each region that is asked for.

use std::io::{BufRead, Write};
use std::path::Path;

use super::login::{credentials, existing};
use super::sites::LIMIT;
use super::{LARGEST, Register, SetUpError, Talk, keep};
use crate::files;
use crate::link::tesla::account::Account;
use crate::link::tesla::partner::{self, KEY_FILE, KEY_PATH, PartnerKey};
use crate::link::tesla::region;
use crate::settings::{AccountConfig, Origin, Secret, TokenSource};

/// Registers.
///
/// # Errors
/// With what is to be put right; what was registered before stays.
pub(super) async fn register<R: BufRead, W: Write>(
    config: &AccountConfig,
    (wish, domain): (&Register, &str),
    talk: &mut Talk<R, W>,
) -> Result<(), SetUpError> {
    let TokenSource::File(path) = &config.source else {
        return Err(SetUpError::Given("a provider registers for its users; PW_FLEET_TOKEN is set".into()));
    };
    let mut file = existing(path)?;
    let domain = domain.trim().to_ascii_lowercase();
    if domain.is_empty() || domain.contains(['/', ':', ' ', '?', '#', '@']) {
        return Err(SetUpError::Given(format!("{domain:?} is not a domain such as example.com")));
    }
    let (client_id, secret) = credentials(&wish.client, &file, talk)?;
    let key_file = wish.key.clone().unwrap_or_else(|| path.with_file_name(KEY_FILE));
    let key = key(&key_file, talk).await?;
    talk.say(&format!("https://{domain}{KEY_PATH}\nmust show this, for ever:\n\n{}", key.public_pem()));
    // Who has nobody to press it goes on.
    let _ = talk.ask("Press Enter when it does");

    let account = Account::new(config.clone());
    let web = account.web(LIMIT);
    for base in bases(config, wish, file.audience()) {
        let credentials = (client_id.as_str(), &secret);
        let token = partner::token(web.wires(), (&config.auth, &base), credentials).await?;
        let registered = partner::register(web.wires(), (&base, &token), &domain, &key).await?;
        file.set("CLIENT_ID", client_id.as_str());
        file.set("CLIENT_SECRET", secret.expose());
        file.set("DOMAIN", domain.as_str());
        if file.audience().is_none() {
            file.set_audience(&base);
        }
        file.set("partner_account", registered);
        keep(path, "the tokens for FleetAPI", file.text()).await?;
        talk.say(&format!("{domain} is registered at {base}, with this key."));
    }
    Ok(())
}

/// Where to register.
fn bases(config: &AccountConfig, wish: &Register, audience: Option<Origin>) -> Vec<Origin> {
    match wish.region.as_slice() {
        [] => {
            let usual = config.base.clone().or(audience);
            vec![usual.unwrap_or_else(|| region::all()[0].clone())]
        }
        regions => regions.iter().map(|region| region.base()).collect(),
    }
}

/// The key in the file, or a new one that is put there.
async fn key<R: BufRead, W: Write>(path: &Path, talk: &mut Talk<R, W>) -> Result<PartnerKey, SetUpError> {
    match files::read_text(path, LARGEST).map(Secret::new) {
        Ok(text) => PartnerKey::parse(text.expose()).ok_or_else(|| {
            let why = format!("{} is not an EC P-256 private key (PKCS#8, PEM)", path.display());
            SetUpError::Given(why)
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = PartnerKey::generate()?;
            keep(path, "the key of the application", key.private_pem().expose().to_owned()).await?;
            talk.say(&format!("A new key is in {}. Keep it.", path.display()));
            Ok(key)
        }
        Err(error) => Err(SetUpError::Unreadable { path: path.into(), why: error.to_string() }),
    }
}
