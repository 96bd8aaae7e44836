//! The one proof that a gateway accepts a key: a signed question that it answers. Over the LAN; over Tesla's
//! cloud only where nobody is there, which is a command that Tesla counts.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Talk;
use super::site::Chosen;
use crate::link::LinkError;
use crate::link::error::KeyState;
use crate::link::https::Https;
use crate::link::memory::Memory;
use crate::link::tedapi::channel::{Channel, Question};
use crate::link::tedapi::frames::{self, Target};
use crate::link::tedapi::wire::{Authorization, Envelope, RemoveClient};
use crate::link::tesla::account::Account;
use crate::link::tesla::networking;
use crate::link::tesla::relay::RelayChannel;
use crate::link::v1r::SignedChannel;
use crate::settings::{CertificatePolicy, House, QuerySet, RsaKey, Secret, V1rConfig};

/// Of one exchange with the gateway.
const LIMIT: Duration = Duration::from_secs(5);
/// How often it is asked.
const EVERY: Duration = Duration::from_secs(10);
/// A Powerwall 3 is known by this beginning of its DIN.
const POWERWALL3: &str = "1707000";

/// What a signed question has shown.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// The gateway has answered it.
    Proven,
    /// It is there, and says no: why.
    NotYet(String),
    /// Nobody could be asked: why.
    Unreachable(String),
}

/// Asks a gateway signed questions.
pub(super) struct Proof {
    din: String,
    address: Option<(String, u16)>,
    lan: Option<SignedChannel<Https>>,
    relay: RelayChannel,
    /// Whether the customer password is known, and a login may help.
    may_log_in: bool,
    /// The last attempt, and what it has shown.
    last: Option<(Instant, Seen)>,
    has_answered: bool,
}

impl Proof {
    /// Finds the gateway on the LAN: where the person says, else where it says to be over Tesla's cloud.
    pub(super) async fn find<R: BufRead, W: Write>(
        account: &Arc<Account>,
        chosen: &Chosen,
        house: &House,
        key: &RsaKey,
        talk: &mut Talk<R, W>,
    ) -> Self {
        let address = match &house.address {
            Some(given) => Some(given.clone()),
            None => match networking::address(account, &chosen.web, chosen.id).await {
                Ok(found) => found.map(|address| (address.to_string(), 443)),
                Err(error) => {
                    talk.say(&format!("Where the gateway is on the LAN is not known: {error}"));
                    None
                }
            },
        };
        if let (None, Some((host, _))) = (&house.address, &address) {
            talk.say(&format!("The gateway reports to be at {host} on the LAN."));
        }
        let ask = "Customer password, the last five characters of the password on the sticker unless the \
            owner chose another one (Enter: without)";
        let password = match (&house.password, &address) {
            (Some(password), _) => Some(password.clone()),
            (None, Some(_)) => talk.ask_secret(ask),
            (None, None) => None,
        };
        let may_log_in = password.is_some();
        let lan = address.as_ref().map(|(host, port)| {
            let config = V1rConfig {
                host: host.clone(),
                port: *port,
                password: password.unwrap_or_else(|| Secret::new("")),
                key: key.clone(),
                query_set: QuerySet::default(),
                // As the service does unless PW_CERTIFICATE says otherwise.
                certificate: CertificatePolicy::Off,
                wifi: None,
                failover: false,
            };
            SignedChannel::new(&config, None, LIMIT, Memory::new(host, None))
        });
        let signs = Arc::new(key.clone());
        let relay = RelayChannel::new(account.clone(), chosen.web.clone(), signs, Some(chosen.id));
        let din = chosen.din.clone();
        Self { din, address, lan, relay, may_log_in, last: None, has_answered: false }
    }

    /// As a setting has it.
    pub(super) fn address(&self) -> Option<String> {
        let (host, port) = self.address.as_ref()?;
        Some(if *port == 443 { host.clone() } else { format!("{host}:{port}") })
    }

    /// Whether it is there at all.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Which switch a person is to use.
    pub(super) fn switch(&self) -> &'static str {
        match self.din.starts_with(POWERWALL3) {
            true => "on a Powerwall 3 it is the On/Off switch on the left side, below the red flap.",
            false => "on a Powerwall 2 or + it is the On/Off switch on the side of one unit.",
        }
    }

    /// Asks, unless it has been asked a moment ago.
    pub(super) async fn attempt(&mut self) -> Seen {
        if let Some((asked, seen)) = &self.last
            && asked.elapsed() < EVERY
        {
            return seen.clone();
        }
        let outcome = self.ask().await;
        let seen = self.judge(outcome);
        self.last = Some((Instant::now(), seen.clone()));
        seen
    }

    /// Asks over Tesla's cloud, once.
    pub(super) async fn attempt_over_cloud(&mut self) -> Seen {
        let answer = self.relay.ask(signed_question(&self.din)).await;
        match answer.and_then(frames::config_answer) {
            Ok(_) => Seen::Proven,
            Err(error) => Seen::NotYet(error.to_string()),
        }
    }

    /// The next attempt need not wait: something has changed.
    pub(super) fn hurry(&mut self) {
        self.last = None;
    }

    async fn ask(&mut self) -> Result<(), LinkError> {
        let Some(lan) = &mut self.lan else {
            return Err(LinkError::Unreachable(
                "its address on the LAN is not known; give it with --host".into(),
            ));
        };
        // Some gateways want to have seen a login, and all say by that who they are.
        if std::mem::take(&mut self.may_log_in) {
            let din = lan.din().await.inspect_err(|error| {
                self.may_log_in = !matches!(error, LinkError::Refused { .. });
            })?;
            let din = String::from_utf8_lossy(&din).trim().to_owned();
            if din != self.din {
                let why = format!("another gateway answers at that address ({din})");
                return Err(LinkError::Unreachable(why));
            }
        }
        let asked = timeout(LIMIT * 2, lan.ask(signed_question(&self.din))).await;
        let answer = asked.unwrap_or(Err(LinkError::Timeout(LIMIT * 2)))?;
        frames::config_answer(answer).map(drop)
    }

    fn judge(&mut self, outcome: Result<(), LinkError>) -> Seen {
        match outcome {
            Ok(()) => {
                self.has_answered = true;
                Seen::Proven
            }
            Err(error @ (LinkError::Unreachable(_) | LinkError::Timeout(_))) => {
                Seen::Unreachable(error.to_string())
            }
            Err(error) => {
                self.has_answered = true;
                let is_expected =
                    matches!(&error, LinkError::Key { state, .. } if *state != KeyState::TimedOut);
                // That it waits is said already.
                Seen::NotYet(if is_expected { String::new() } else { error.to_string() })
            }
        }
    }

    /// Has the gateway forget `key`, by an order that our own key signs. Sent once.
    ///
    /// # Errors
    /// With what stands in the way; whether it was done may be unknown then.
    pub(super) async fn remove(&mut self, key: &[u8]) -> Result<(), LinkError> {
        self.ask().await?;
        let Some(lan) = &mut self.lan else { return Err(LinkError::Unreachable("no address".into())) };
        let what = "the removal of a key";
        let request = RemoveClient { public_key: key.to_vec() };
        let authorization = Authorization { remove_request: Some(request), ..Authorization::default() };
        let payload = Envelope { authorization: Some(authorization), ..Envelope::default() };
        let (din, target) = (self.din.as_str(), Target::Gateway { din: &self.din });
        let commands = lan.commands().map_err(|unable| LinkError::Unsupported(unable.message))?;
        let answer = commands.write(Question { din, target, payload, what }).await?;
        match frames::removed(answer)? {
            true => Ok(()),
            false => Err(frames::malformed(what, "it does not say that the key is removed")),
        }
    }
}

fn signed_question(din: &str) -> Question<'_> {
    let target = Target::Gateway { din };
    Question { din, target, payload: frames::config(), what: "the signed question" }
}
