//! Carries the bytes of v1r to a gateway inside a `device_command` of FleetAPI, and its answer back.
//!
//! What goes in is the signed message that v1r sends over the LAN, valid for longer, because of the way. What
//! comes back is the envelope alone: a refusal of the gateway has none, and cannot be told from another one.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use serde_json::{Value, json};

use crate::clock::unix_time;
use crate::link::LinkError;
use crate::link::error::KeyState;
use crate::link::json::Look;
use crate::link::tedapi::channel::{Channel, Commands, Question};
use crate::link::tesla::account::{self, Account, Renewer};
use crate::link::tesla::error::TeslaError;
use crate::link::tesla::ledger::Purpose;
use crate::link::tesla::orders::NO_CONSENT;
use crate::link::tesla::products::{Product, choose};
use crate::link::v1r;
use crate::link::v1r::message::{SigningKey, says_not_verified, sign_until};
use crate::model::{LinkKind, Obstacle, Unable};

/// A signed message holds for this long, in seconds.
const HOLDS: u32 = 300;
/// The target is named by its DIN.
const BY_DIN: u8 = 1;
/// How long the gateway may take, in seconds.
const GATEWAY_TAKES: u8 = 10;
const NO_ANSWER: &str = "it brings no answer of the gateway: the key may not be registered there \
    (powerwall-server register), this machine's clock may be wrong, or the gateway is in trouble";

/// The way to the gateway of one site.
pub struct RelayChannel {
    account: Arc<Account>,
    web: Renewer,
    key: Arc<dyn SigningKey>,
    /// `siteid`
    site_set: Option<u64>,
    /// DIN of the gateway that another link reaches; nothing is taken from any other.
    bound: Option<String>,
    /// Which site it is, once that is known.
    site: Option<Product>,
}

impl RelayChannel {
    pub fn new(account: Arc<Account>, web: Renewer, key: Arc<dyn SigningKey>, site_set: Option<u64>) -> Self {
        Self { account, web, key, site_set, bound: None, site: None }
    }

    /// Which site it is; asks for the list when nobody knows.
    async fn site(&mut self) -> Result<Product, TeslaError> {
        if let Some(site) = &self.site {
            return Ok(site.clone());
        }
        let sites = self.account.sites(&self.web, false).await?;
        let id = self.site_set.or_else(|| self.account.site_of_file().filter(|_| self.bound.is_none()));
        let site = choose(&sites, self.bound.as_deref(), id)?;
        self.site = Some(site.clone());
        Ok(site)
    }

    async fn known_din(&mut self) -> Result<Bytes, LinkError> {
        // The list is what says which gateway a site has, so it is looked at again after a failure.
        self.site = None;
        let site = self.site().await?;
        let din = site.din.ok_or_else(|| {
            TeslaError::Site(format!("Tesla lists no gateway for site {}, so there is none to ask", site.id))
        })?;
        Ok(din.into())
    }

    /// Sends an encoded envelope to the gateway `din`; the envelope of its answer.
    async fn send(
        &mut self,
        (din, envelope): (&str, Bytes),
        purpose: Purpose,
        what: &str,
    ) -> Result<Bytes, LinkError> {
        let site = self.site().await?;
        // Never to another house than the one that is signed for.
        if site.din.as_deref() != Some(din) {
            let why = format!("site {} in the Tesla account is another gateway than {din}", site.id);
            return Err(TeslaError::Site(why).into());
        }
        let (key, signed_for, uuid) = (self.key.clone(), din.to_owned(), rand::random());
        let until = (unix_time().ceil() as u32).saturating_add(HOLDS);
        let sign = move || sign_until(&*key, &signed_for, envelope, until, uuid);
        let signed = tokio::task::spawn_blocking(sign).await;
        let signed = signed.map_err(|error| LinkError::Unreachable(format!("cannot sign: {error}")))?;
        let body = json!({ "data": {
            "target_id": din, "routable_message": BASE64_STANDARD.encode(&signed),
            "command_timeout_s": GATEWAY_TAKES, "identifier_type": BY_DIN,
        }});
        let path = format!("/api/1/energy_sites/{}/device_command", site.id);
        let question = account::Question::post(&path, what, body.to_string().into());
        let question = account::Question { purpose, ..question };
        let asked = self.account.ask(&self.web, question).await;
        let answer = asked.inspect_err(|error| {
            if matches!(error, TeslaError::NotFound(_)) {
                self.site = None;
            }
        })?;
        self.opened(&answer.body)
    }

    fn opened(&self, body: &Bytes) -> Result<Bytes, LinkError> {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let envelope = body.at(&["response", "message_envelope_as_bytes"]).name();
        let envelope = envelope.and_then(|text| BASE64_STANDARD.decode(text).ok());
        let Some(envelope) = envelope.filter(|envelope| !envelope.is_empty()) else {
            return Err(TeslaError::Malformed(NO_ANSWER.into()).into());
        };
        if says_not_verified(&envelope) {
            let fingerprint = self.key.fingerprint().to_owned();
            return Err(LinkError::Key { state: KeyState::Pending, fingerprint });
        }
        Ok(envelope.into())
    }
}

impl Channel for RelayChannel {
    fn kind(&self) -> LinkKind {
        LinkKind::Relay
    }

    fn din(&mut self) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(self.known_din())
    }

    fn ask<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        Box::pin(async move {
            let Question { din, target, payload, what } = question;
            let envelope = v1r::question_of(payload, din, target);
            self.send((din, envelope), Purpose::Relayed, what).await
        })
    }

    fn reaches_followers(&self) -> bool {
        false
    }

    fn bind(&mut self, din: &str) -> bool {
        let changes = self.bound.as_deref() != Some(din);
        if changes {
            (self.bound, self.site) = (Some(din.to_owned()), None);
        }
        changes
    }

    fn commands(&mut self) -> Result<&mut dyn Commands, Unable> {
        self.takes_orders()?;
        Ok(self)
    }

    fn takes_orders(&self) -> Result<LinkKind, Unable> {
        match self.account.may_control() {
            true => Ok(LinkKind::Relay),
            false => Err(Obstacle::NoPermission.because(NO_CONSENT)),
        }
    }

    /// A list of sites costs a request, so only what may come of another gateway leads to one.
    fn doubts_din(&self, error: &LinkError) -> bool {
        matches!(error, LinkError::Tesla(TeslaError::NotFound(_) | TeslaError::Site(_)))
    }
}

impl Commands for RelayChannel {
    fn read<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        self.ask(question)
    }

    fn write<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        Box::pin(async move {
            let Question { din, payload, what, .. } = question;
            self.send((din, v1r::command(payload, din)), Purpose::Command, what).await
        })
    }
}
