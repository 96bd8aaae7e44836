//! `register`: the key for v1r at a gateway, or with `--domain` the domain of an application.
//!
//! The key is on the disk before Tesla hears of it, and the same key is used each time, so that a run that
//! was cut is gone on with. Whether it is done, the gateway alone says, by answering a signed question.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use rsa::pkcs1::{EncodeRsaPrivateKey, LineEnding};
use tokio::time::{Instant, sleep};

use super::proof::{Proof, Seen};
use super::site::choose;
use super::{Client, Region, SetUpError, Talk, domain, keep};
use crate::link::tesla::account::{Account, Renewer};
use crate::link::tesla::clients::{self, ClientState};
use crate::settings::rsa_key::USUAL_BITS;
use crate::settings::{House, RsaKey, Secret};

/// As pypowerwall calls it.
const KEY_FILE: &str = "tedapi_rsa_private.pem";
const DESCRIPTION: &str = "powerwall-server";
/// How often the cloud is asked what became of the key.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How often the time that is left is said.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// What a person is given: gateways wait for a little longer.
const CONFIRM_WITHIN: Duration = Duration::from_secs(480);
/// An answer without a state, and no such key in the list: it is registered again, so often.
const MOST_REGISTRATIONS: u32 = 3;
/// When nothing more comes of it.
const GIVE_UP: Duration = Duration::from_secs(600);
/// A gateway that was switched off and on again is back by then.
const BACK_WITHIN: Duration = Duration::from_secs(180);

/// What `register` is given on the command line.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct Register {
    /// Private key: RSA with 4096 bits in PEM (tedapi_rsa_private.pem beside the tokens, or
    /// PW_RSA_KEY_PATH); with --domain, EC P-256 in PKCS#8. Made if it is not there.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// What the key is called in the owner's list of keys.
    #[arg(long, default_value = DESCRIPTION, value_name = "NAME")]
    pub description: String,
    /// Register the domain of an application instead: one that shows the public key, and that an allowed
    /// origin of the application shares.
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// Where to register the domain; may be given several times. By default where the account is.
    #[arg(long, value_enum, requires = "domain")]
    pub region: Vec<Region>,
    #[command(flatten)]
    pub client: Client,
}

/// Registers.
///
/// # Errors
/// With what is to be put right; what was registered before stays.
pub async fn register<R: BufRead, W: Write>(
    house: &House,
    wish: &Register,
    talk: &mut Talk<R, W>,
) -> Result<(), SetUpError> {
    if let Some(domain) = &wish.domain {
        return domain::register(&house.account, (wish, domain), talk).await;
    }
    let account = Account::new(house.account.clone());
    let chosen = choose(&account, house, talk).await?;
    if !account.may_control() {
        let why = "the consent covers readings only, and registering a key is more than that; log in again \
            without --read-only";
        return Err(SetUpError::Given(why.into()));
    }
    let file = key_file(house, wish.key.as_deref());
    let key = key(&file, talk).await?;
    talk.say(&format!("Site {}, gateway {}.\nKey {}.", chosen.name(), chosen.din, key.fingerprint()));
    let mut proof = Proof::find(&account, &chosen, house, &key, talk).await;
    // Whoever runs this again need not go to the switch again.
    let before = proof.attempt().await;
    if !matches!(before, Seen::Proven) {
        let task = Task { account: &account, web: &chosen.web, site: chosen.id, key: &key };
        task.register(&wish.description, &mut proof, talk).await?;
    }
    let host = proof.address().unwrap_or_else(|| "<its address on the LAN>".into());
    if !proof.has_answered() {
        talk.say(&format!(
            "The gateway accepts the key, as it says over Tesla's cloud; nobody could be asked over the LAN. \
             To read it that way, put\n  relay: true\n  rsa_key_path: {}\ninto the entry of the gateway, or, \
             on a machine in its network:",
            file.display()
        ));
    }
    talk.say(&format!(
        "The gateway accepts the key. Set\n  PW_HOST={host}\n  PW_RSA_KEY_PATH={}\n  PW_PASSWORD=<the \
         customer password>\n\nThis key opens the house: who has the file can change settings, and remove \
         any other key.",
        file.display()
    ));
    Ok(())
}

/// Where the key for v1r is.
pub(super) fn key_file(house: &House, given: Option<&Path>) -> PathBuf {
    let beside = house.account.source.file().map(|tokens| tokens.with_file_name(KEY_FILE));
    let given = given.map(Path::to_owned).or_else(|| house.key.clone());
    given.or(beside).unwrap_or_else(|| KEY_FILE.into())
}

/// The key in the file, or a new one that is put there.
async fn key<R: BufRead, W: Write>(path: &Path, talk: &mut Talk<R, W>) -> Result<RsaKey, SetUpError> {
    if path.exists() {
        let key = RsaKey::read(path).map_err(SetUpError::Given)?;
        if key.bits() != USUAL_BITS {
            let bits = key.bits();
            let why = format!("the key in {} has {bits} bits; gateways want {USUAL_BITS}", path.display());
            return Err(SetUpError::Given(why));
        }
        return Ok(key);
    }
    talk.say("Making a key with 4096 bits …");
    let made = tokio::task::spawn_blocking(|| generate(USUAL_BITS)).await;
    let pem = made.map_err(|error| error.to_string()).and_then(|made| made);
    let pem = pem.map_err(|why| SetUpError::Given(format!("cannot make a key: {why}")))?;
    keep(path, "the key for v1r", pem.expose().to_owned()).await?;
    talk.say(&format!("A new key is in {}.", path.display()));
    RsaKey::read(path).map_err(SetUpError::Given)
}

/// A new key in PEM (PKCS#1).
fn generate(bits: usize) -> Result<Secret, String> {
    let key = rsa::PrivateKey::new(&mut rand::rngs::SysRng, bits).map_err(|error| error.to_string())?;
    let pem = key.to_pkcs1_pem(LineEnding::LF).map_err(|error| error.to_string())?;
    Ok(Secret::new(pem.as_str()))
}

/// A key on its way into a gateway.
struct Task<'a> {
    account: &'a Arc<Account>,
    web: &'a Renewer,
    site: u64,
    key: &'a RsaKey,
}

impl Task<'_> {
    /// Registers the key, and waits until the gateway accepts it.
    async fn register<R: BufRead, W: Write>(
        &self,
        description: &str,
        proof: &mut Proof,
        talk: &mut Talk<R, W>,
    ) -> Result<(), SetUpError> {
        let mut watch = Watch::new();
        let mut listed = Listed::Absent;
        loop {
            if listed == Listed::Absent && watch.registrations < MOST_REGISTRATIONS {
                watch.registrations += 1;
                let wanted = (self.key.public_der(), description);
                let state = clients::register(self.account, self.web, self.site, wanted).await?;
                listed = state.map_or(Listed::Unclear, Listed::As);
            }
            watch.note(listed, proof, talk);
            match (proof.attempt().await, watch.state) {
                (Seen::Proven, _) => return Ok(()),
                (_, Some(ClientState::TimedOut)) => return Err(SetUpError::NotConfirmed),
                (_, Some(ClientState::Removed)) => {
                    let why = "somebody has removed the key meanwhile; run this again if it was not meant";
                    return Err(SetUpError::Given(why.into()));
                }
                (Seen::Unreachable(why), Some(ClientState::Verified)) if watch.has_waited(proof) => {
                    return match proof.attempt_over_cloud().await {
                        Seen::Proven => Ok(()),
                        Seen::NotYet(cloud) | Seen::Unreachable(cloud) => {
                            Err(SetUpError::Unproven { lan: why, cloud })
                        }
                    };
                }
                (seen, _) => watch.say(&seen, proof.switch(), talk),
            }
            if watch.began.elapsed() > GIVE_UP {
                return Err(match watch.state {
                    Some(_) => SetUpError::NotConfirmed,
                    None => SetUpError::Given("Tesla does not list the key; try again later".into()),
                });
            }
            sleep(ASK_EVERY).await;
            listed = self.listed().await;
        }
    }

    /// What the cloud says of the key. A question that fails says nothing.
    async fn listed(&self) -> Listed {
        let Ok(Some(all)) = clients::list(self.account, self.web, self.site).await else {
            return Listed::Unclear;
        };
        match all.into_iter().find(|client| client.key == self.key.public_der()) {
            Some(client) => client.state.map_or(Listed::Unclear, Listed::As),
            None => Listed::Absent,
        }
    }
}

/// What a list of keys says of one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Listed {
    As(ClientState),
    /// It is not there.
    Absent,
    /// The answer says nothing that counts.
    Unclear,
}

/// What is known of a key that is on its way, and what has been said to the person who waits.
struct Watch {
    began: Instant,
    said: Instant,
    /// How often the key was registered.
    registrations: u32,
    /// What the cloud said last; `None`: nothing yet.
    state: Option<ClientState>,
    /// Whether the person has been asked to use the switch.
    has_asked: bool,
    /// When the cloud said that the key is confirmed.
    confirmed: Option<Instant>,
}

impl Watch {
    fn new() -> Self {
        let began = Instant::now();
        Self { began, said: began, registrations: 0, state: None, has_asked: false, confirmed: None }
    }

    fn note<R: BufRead, W: Write>(&mut self, listed: Listed, proof: &mut Proof, talk: &mut Talk<R, W>) {
        let Listed::As(state) = listed else { return };
        if self.state.is_none() {
            // From now on it can be confirmed.
            (self.began, self.said) = (Instant::now(), Instant::now());
            talk.say("The key is registered with Tesla.");
        }
        self.state = Some(state);
        if state == ClientState::Verified && self.confirmed.is_none() {
            self.confirmed = Some(Instant::now());
            proof.hurry();
        }
    }

    /// Whether a gateway that may have been switched off has had the time to come back.
    fn has_waited(&self, proof: &Proof) -> bool {
        let patience = if proof.has_answered() { BACK_WITHIN } else { ASK_EVERY };
        self.confirmed.is_some_and(|since| since.elapsed() >= patience)
    }

    fn say<R: BufRead, W: Write>(&mut self, seen: &Seen, switch: &str, talk: &mut Talk<R, W>) {
        let is_waiting = match self.state {
            Some(ClientState::Pending) => true,
            Some(_) => matches!(seen, Seen::NotYet(_)),
            None => false,
        };
        if is_waiting && !self.has_asked {
            self.has_asked = true;
            talk.say(&format!(
                "\nNow toggle the switch of one Powerwall, within 8 minutes: {switch} Leave it off for about \
                 15 seconds, then switch it on again. Two seconds are not noticed; much longer takes the \
                 unit off the network. What comes of it shows one to three minutes later.\n"
            ));
        } else if self.said.elapsed() >= SAY_EVERY {
            self.said = Instant::now();
            let left = CONFIRM_WITHIN.saturating_sub(self.began.elapsed()).as_secs().div_ceil(60);
            let why = match seen {
                Seen::NotYet(why) | Seen::Unreachable(why) => why.as_str(),
                Seen::Proven => "",
            };
            talk.say(&format!("Waiting; {left} minutes are left. {why}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_one_that_signs() {
        let pem = generate(USUAL_BITS).unwrap();
        assert!(pem.expose().starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        let key = RsaKey::from_pem(pem.expose().as_bytes()).unwrap();
        assert_eq!((key.bits(), key.sign(b"message").len()), (4096, 512));
        assert_ne!(generate(2048).unwrap(), generate(2048).unwrap());
    }
}
