//! `keys`: who may sign for a gateway; names for those that are known, and an end for those that are not.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::names::Names;
use super::proof::Proof;
use super::register::key_file;
use super::site::{Chosen, choose};
use super::{SetUpError, Talk};
use crate::link::tesla::account::Account;
use crate::link::tesla::clients::{self, Client, ClientState};
use crate::settings::{House, RsaKey};

/// A beginning of a fingerprint that is shorter might be that of another key tomorrow.
const SHORTEST: usize = 8;
/// What is typed once more before a key is removed.
const LAST: usize = 4;

/// What `keys` is given on the command line.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct Keys {
    #[command(subcommand)]
    pub about: Option<About>,
    /// Private key of this program (tedapi_rsa_private.pem beside the tokens, or PW_RSA_KEY_PATH).
    #[arg(long, value_name = "FILE", global = true)]
    pub key: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum About {
    /// List them (the default).
    List,
    /// Note whose key it is; one without a name is warned of.
    Name {
        /// Its fingerprint, or 8 or more of the first digits.
        fingerprint: String,
        name: String,
    },
    /// Remove a key from the gateway, by an order over the LAN that the key of this program signs.
    Revoke {
        /// Its fingerprint, or 8 or more of the first digits.
        fingerprint: String,
        /// Even if it is the key of this program.
        #[arg(long)]
        force: bool,
    },
}

/// Lists, names or removes.
///
/// # Errors
/// With what stands in the way.
pub async fn keys<R: BufRead, W: Write>(
    house: &House,
    wish: &Keys,
    talk: &mut Talk<R, W>,
) -> Result<(), SetUpError> {
    let account = Account::new(house.account.clone());
    let chosen = choose(&account, house, talk).await?;
    let mut names = Names::read(house)?;
    let clients = listed(&account, &chosen).await?;
    let path = key_file(house, wish.key.as_deref());
    let own = match path.exists() {
        true => Some(RsaKey::read(&path).map_err(SetUpError::Given)?),
        false => None,
    };
    let own_key = own.as_ref().map(RsaKey::public_der);
    match wish.about.as_ref().unwrap_or(&About::List) {
        About::List => {
            talk.say(&format!("Site {}, gateway {}.", chosen.name(), chosen.din));
            list(&clients, own_key, &names, talk);
            Ok(())
        }
        About::Name { fingerprint, name } => {
            let client = find(&clients, fingerprint)?;
            names.give(&client.fingerprint(), name.trim()).await?;
            talk.say(&format!("{} is {} from now on.", &client.fingerprint()[..16], name.trim()));
            Ok(())
        }
        About::Revoke { fingerprint, force } => {
            let client = find(&clients, fingerprint)?.clone();
            let own = own.as_ref().ok_or_else(|| {
                let why = format!(
                    "only a key that the gateway accepts can remove another one, and there is none at {}; \
                     see --key and `register`",
                    path.display()
                );
                SetUpError::Given(why)
            })?;
            if own.public_der() == client.key && !*force {
                let why = "that is the key of this program, which could not read the gateway any more; \
                    --force if it is meant";
                return Err(SetUpError::Given(why.into()));
            }
            talk.say(&line(&client, own_key, &names));
            let digits = client.fingerprint();
            let last = &digits[digits.len() - LAST..];
            let typed = talk.ask(&format!("Its last {LAST} digits, to remove it"));
            if typed.as_deref() != Some(last) {
                return Err(SetUpError::Given("not confirmed; nothing has changed".into()));
            }
            let mut proof = Proof::find(&account, &chosen, house, own, talk).await;
            proof.remove(&client.key).await.map_err(|error| {
                SetUpError::Given(format!("{error}. List the keys to see whether it is still there"))
            })?;
            let is_there = |client: &Client, all: &[Client]| all.iter().any(|other| other.key == client.key);
            talk.say(match is_there(&client, &listed(&account, &chosen).await?) {
                false => "The gateway has removed it, and it is in the list no more.",
                true => "The gateway says that it has removed it; Tesla's list still has it.",
            });
            Ok(())
        }
    }
}

async fn listed(account: &std::sync::Arc<Account>, chosen: &Chosen) -> Result<Vec<Client>, SetUpError> {
    let all = clients::list(account, &chosen.web, chosen.id).await?;
    all.ok_or_else(|| {
        let why = "Tesla's answer says nothing of keys, neither that there are some nor that there are none; \
            the gateway may not be connected. Try again";
        SetUpError::Given(why.into())
    })
}

fn list<R: BufRead, W: Write>(clients: &[Client], own: Option<&[u8]>, names: &Names, talk: &mut Talk<R, W>) {
    if clients.is_empty() {
        talk.say("The gateway knows no key.");
    }
    for client in clients {
        talk.say(&line(client, own, names));
    }
    let is_unknown = |client: &&Client| {
        let may_sign = matches!(client.state, Some(ClientState::Verified) | None);
        may_sign && own != Some(client.key.as_slice()) && names.of(&client.fingerprint()).is_none()
    };
    let unknown = clients.iter().filter(is_unknown).count();
    if unknown > 0 {
        talk.say(&format!(
            "\n{unknown} without a name here may sign: who has one can change every setting of the house. \
             Give it a name if you know whose it is (keys name), or remove it (keys revoke). Phones with \
             Tesla's app have a key each."
        ));
    }
}

/// One key, for a person.
fn line(client: &Client, own: Option<&[u8]>, names: &Names) -> String {
    let fingerprint = client.fingerprint();
    let whose = match (own == Some(client.key.as_slice()), names.of(&fingerprint)) {
        (_, Some(name)) => name.to_owned(),
        (true, None) => "the key of this program".to_owned(),
        (false, None) => "unknown".to_owned(),
    };
    let called = client.description.as_deref().map(|text| format!(", registered as {text:?}"));
    let how = match client.verification {
        Some(1) => ", confirmed at the house",
        Some(2) => ", confirmed over Bluetooth",
        Some(3) => ", confirmed by another key",
        Some(4) => ", confirmed by Tesla's cloud",
        _ => "",
    };
    let state = client.state.map_or("state unknown", ClientState::words);
    format!("  {fingerprint}\n    {whose}: {state}{how}{}", called.unwrap_or_default())
}

/// The one key whose fingerprint begins like this.
fn find<'a>(clients: &'a [Client], beginning: &str) -> Result<&'a Client, SetUpError> {
    let beginning = beginning.trim().to_ascii_lowercase();
    if beginning.len() < SHORTEST || !beginning.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let why = format!("a fingerprint is {SHORTEST} or more hexadecimal digits; `keys` lists them");
        return Err(SetUpError::Given(why));
    }
    let mut found = clients.iter().filter(|client| client.fingerprint().starts_with(&beginning));
    match (found.next(), found.next()) {
        (Some(client), None) => Ok(client),
        (None, _) => {
            Err(SetUpError::Given(format!("the gateway has no key {beginning}…; `keys` lists them")))
        }
        (Some(_), Some(_)) => Err(SetUpError::Given(format!("several keys begin with {beginning}"))),
    }
}
