//! Gateways reached through Tesla's FleetAPI, through a provider that speaks the same paths, or through the
//! owners API, which is asked alike and has tokens of its own.
//!
//! A link asks about its own site, no more often than its interval says, whoever polls it. Tokens, counts and
//! pauses are those of the [`account`], which all links to it share. Single batteries, strings, temperatures
//! and lifetime energies stay unknown: Tesla does not report them.

pub mod account;
mod accounts;
pub mod answers;
mod backups;
pub mod calendar;
pub mod clients;
mod command;
pub mod consent;
mod documents;
pub mod error;
mod extras;
mod http2;
pub mod ledger;
pub mod networking;
mod orders;
mod outages;
pub mod owners;
pub mod partner;
pub mod products;
pub mod region;
pub mod relay;
pub mod tariff;
pub mod token_wire;
pub mod tokens;
pub mod web;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use crate::clock::unix_time;
use crate::link::https::Answer;
use crate::link::order::{Carried, ReadBack};
use crate::link::{Link, LinkError, Refreshed};
use crate::model::{Answers, LinkKind, Means, Order, OrderKind, Unable};
use crate::settings::FleetConfig;
use account::{Account, Question, Renewer};
pub use accounts::Accounts;
use answers::FleetAnswers;
use error::TeslaError;
use extras::Due;
use ledger::Purpose;
use products::{Product, choose, successor};

/// What this program calls itself.
const USER_AGENT: &str = concat!("powerwall-server/", env!("CARGO_PKG_VERSION"));
/// Settings and identity are read this often.
const INFO_EVERY: Duration = Duration::from_secs(600);
/// After a failure, the site information is left alone for this long.
const INFO_REST: Duration = Duration::from_secs(60);
/// Tesla takes longer to answer than a gateway.
const SHORTEST_LIMIT: Duration = Duration::from_secs(20);
/// A site that Tesla no longer knows is looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// See the module.
pub struct FleetLink {
    /// The id of the gateway, for the log.
    gateway: String,
    account: Arc<Account>,
    web: Renewer,
    config: FleetConfig,
    /// DIN of the gateway that another link reaches; nothing is taken from any other.
    bound: Option<String>,
    /// Which site it is, once that is known.
    site: Option<Product>,
    answers: Option<FleetAnswers>,
    /// When the last live status was asked for that came.
    asked: Option<Instant>,
    /// When the site information is due.
    info_due: Instant,
    /// When a site that is gone was looked for.
    looked: Option<Instant>,
    /// When Tesla is asked for what changes rarely.
    extras_due: Due,
    /// How often the live status was asked for, as the owners API wants it counted.
    counter: u32,
    limit: Duration,
}

impl FleetLink {
    /// Touches neither network nor files.
    pub fn new(gateway: &str, config: &FleetConfig, account: Arc<Account>, limit: Duration) -> Self {
        let web = account.web(limit.max(SHORTEST_LIMIT));
        Self::over(gateway, web, config, account, limit)
    }

    /// As [`FleetLink::new`], over another way to Tesla.
    pub fn over(
        gateway: &str,
        web: Renewer,
        config: &FleetConfig,
        account: Arc<Account>,
        limit: Duration,
    ) -> Self {
        let limit = limit.max(SHORTEST_LIMIT);
        Self {
            gateway: gateway.to_owned(),
            account,
            web,
            config: config.clone(),
            bound: None,
            site: None,
            answers: None,
            asked: None,
            info_due: Instant::now(),
            looked: None,
            extras_due: Due::now(config.kind()),
            counter: 0,
            limit,
        }
    }

    /// Which site it is; asks for the list when nobody knows.
    async fn site(&mut self) -> Result<Product, TeslaError> {
        if let Some(site) = &self.site {
            return Ok(site.clone());
        }
        let sites = self.account.sites(&self.web, false).await?;
        let id = self.config.site.or_else(|| self.account.site_of_file().filter(|_| self.bound.is_none()));
        let site = choose(&sites, self.bound.as_deref(), id)?;
        self.site = Some(site.clone());
        Ok(site)
    }

    async fn live(&mut self) -> Result<FleetAnswers, TeslaError> {
        let site = self.site().await?;
        let asked = Instant::now();
        let outcome = self.live_of(&site).await;
        let answer = match outcome {
            Err(TeslaError::NotFound(_)) => {
                let site = self.find_again(&site).await?;
                self.live_of(&site).await?
            }
            outcome => outcome?,
        };
        // By Tesla's own clock, if it shows it.
        let sent = answer.date.map_or_else(unix_time, |date| date as f64);
        let body = answer.body;
        match &mut self.answers {
            Some(answers) => answers.accept_live(body, sent)?,
            None => {
                let din = self.site.as_ref().and_then(|site| site.din.clone());
                self.answers = Some(FleetAnswers::new(body, sent, din, self.config.interval)?);
            }
        }
        self.asked = Some(asked);
        self.answers.clone().ok_or_else(|| TeslaError::Malformed("nothing came".into()))
    }

    async fn live_of(&mut self, site: &Product) -> Result<Answer, TeslaError> {
        self.counter = self.counter % owners::LARGEST_COUNTER + 1;
        let query = match self.kind() {
            LinkKind::Cloud => format!("?counter={}&language=en", self.counter),
            _ => String::new(),
        };
        let path = format!("/api/1/energy_sites/{}/live_status{query}", site.id);
        self.account.ask(&self.web, Question::get(Purpose::Live, &path, "live status")).await
    }

    /// The site that took the place of one that Tesla no longer knows. One that the operator named is never
    /// replaced.
    async fn find_again(&mut self, former: &Product) -> Result<Product, TeslaError> {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return Err(TeslaError::NotFound("live status of the site".into()));
        }
        self.looked = Some(Instant::now());
        let sites = self.account.sites(&self.web, true).await?;
        if sites.iter().any(|site| site.id == former.id) {
            return Err(TeslaError::NotFound("live status of the site".into()));
        }
        let is_own = |site: &Product| self.bound.is_none() || site.din == self.bound;
        let found = successor(&sites, former).filter(is_own);
        let Some(found) = found else {
            let gone = format!("site {} is gone from the Tesla account; set siteid (PW_SITEID)", former.id);
            return Err(TeslaError::Site(gone));
        };
        if self.config.site.is_some() {
            return Err(TeslaError::Site(format!(
                "site {} is gone from the Tesla account; this gateway is site {} now: set siteid (PW_SITEID) \
                 to that",
                former.id, found.id
            )));
        }
        let (id, from, to) = (&self.gateway, former.id, found.id);
        log::warn!(gateway = id.as_str(), event = "site"; "gateway {id}: site {from} is {to} now");
        self.site = Some(found.clone());
        self.info_due = Instant::now();
        // Who goes on with the files must find the site, too.
        let is_named = self.account.site_of_file() == Some(from);
        if is_named && let Err(error) = self.account.keep_site(to).await {
            log::warn!(gateway = id.as_str(), event = "site"; "gateway {id}: the site file: {error}");
        }
        Ok(found)
    }

    /// Whether the last answer is as new as the interval wants it.
    fn is_fresh(&self) -> bool {
        // A tick may come a little early.
        self.asked.is_some_and(|asked| asked.elapsed() < self.config.interval.mul_f64(0.9))
    }

    /// Everything known so far.
    fn source(&self) -> Option<Arc<dyn Answers>> {
        self.answers.clone().map(|answers| Arc::new(answers) as Arc<dyn Answers>)
    }

    async fn info(&mut self, purpose: Purpose) -> Result<(), TeslaError> {
        let Some(site) = self.site.clone() else { return Ok(()) };
        let query = if self.kind() == LinkKind::Cloud { "?language=en" } else { "" };
        let path = format!("/api/1/energy_sites/{}/site_info{query}", site.id);
        let question = Question::get(purpose, &path, "site information");
        let body = self.account.ask(&self.web, question).await?.body;
        match &mut self.answers {
            Some(answers) => answers.accept_info(body),
            None => Ok(()),
        }
    }
}

impl FleetLink {
    /// Asks for one thing that changes rarely, if one is due. That it does not come is no trouble: Tesla
    /// takes them away one by one.
    async fn refresh_extras(&mut self) -> Refreshed {
        let (now, kind) = (Instant::now(), self.kind());
        let (Some(extra), Some(site), Some(answers)) =
            (self.extras_due.first(now), &self.site, &self.answers)
        else {
            return Refreshed::default();
        };
        let path = format!("/api/1/energy_sites/{}/{}", site.id, extra.endpoint(kind, answers.zone()));
        // Before the exchange: one that is cut must not be asked for again at once.
        self.extras_due.later(extra, now);
        match self.account.ask(&self.web, Question::get(Purpose::Slow, &path, extra.what())).await {
            Ok(answer) => {
                self.extras_due.came(extra, now);
                if let Some(answers) = &mut self.answers {
                    answers.extras.accept(extra, answer.body);
                }
            }
            Err(TeslaError::Pause { .. } | TeslaError::Budget { .. }) => return Refreshed::default(),
            Err(error) => {
                self.extras_due.failed(extra, &error, now);
                let (id, what) = (&self.gateway, extra.what());
                log::debug!(gateway = id.as_str(); "gateway {id}: no {what}: {error}");
            }
        }
        let more = self.extras_due.first(now).is_some();
        Refreshed { source: self.source(), more, ..Refreshed::default() }
    }
}

impl Link for FleetLink {
    fn kind(&self) -> LinkKind {
        self.config.kind()
    }

    /// The list of sites, a token, and the question itself.
    fn patience(&self, _: Duration) -> Duration {
        self.limit * 3
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        Box::pin(async {
            let known = self.answers.clone().filter(|_| self.is_fresh());
            let answers = match known {
                Some(answers) => answers,
                None => self.live().await?,
            };
            Ok(Arc::new(answers) as Arc<dyn Answers>)
        })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async {
            let now = Instant::now();
            if self.answers.is_none() || now < self.info_due {
                return self.refresh_extras().await;
            }
            // Before the exchange: one that is cut must not be asked for again at once.
            self.info_due = now + INFO_REST;
            match self.info(Purpose::Slow).await {
                Ok(()) => {
                    self.info_due = now + INFO_EVERY;
                    let more = self.extras_due.first(now).is_some();
                    Refreshed { source: self.source(), more, ..Refreshed::default() }
                }
                // The pace of the account, not trouble.
                Err(TeslaError::Pause { .. } | TeslaError::Budget { .. }) => Refreshed::default(),
                Err(error) => Refreshed { problem: Some(error.into()), ..Refreshed::default() },
            }
        })
    }

    fn bind(&mut self, din: &str) {
        if self.bound.as_deref() != Some(din) {
            self.bound = Some(din.to_owned());
            // What was taken for this gateway before may be another one.
            (self.site, self.answers, self.asked) = (None, None, None);
            (self.info_due, self.extras_due) = (Instant::now(), Due::now(self.kind()));
        }
    }

    fn order_limit(&self, _: OrderKind, _: Duration) -> Duration {
        self.limit
    }

    fn carry_out<'a>(&'a mut self, order: &'a Order, limit: Duration) -> LocalBoxFuture<'a, Carried> {
        Box::pin(self.carry_out_once(order, limit))
    }

    fn read_back<'a>(&'a mut self, order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        Box::pin(self.read_back_once(order))
    }

    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        self.means(kind)
    }

    fn remark(&self) -> Option<String> {
        let unknown = "single batteries, strings, temperatures and lifetime energies are unknown over";
        Some(match self.kind() {
            LinkKind::Cloud => format!("{unknown} the owners API, and {}", owners::ENDS_ANY_DAY),
            kind => format!("{unknown} {}", kind.name()),
        })
    }
}
