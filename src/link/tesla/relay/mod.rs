//! A gateway that is asked over v1r through Tesla's cloud: the details of a site without a machine on it.
//!
//! Every question is a command that Tesla counts, so there is one every five minutes at most, whoever polls,
//! and whether the last one came back or not; what changes slowly is asked by the hour. One order goes this
//! way, islanding, signed; settings are left to FleetAPI.

mod answers;
mod channel;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use super::account::Account;
use crate::link::order::{Carried, ReadBack};
use crate::link::tedapi::queries::Queries;
use crate::link::tedapi::{Pace, TedapiLink};
use crate::link::{Link, LinkError, Refreshed};
use crate::model::{Answers, LinkKind, Means, Obstacle, Order, OrderKind, Unable};
use crate::settings::RelayConfig;
use answers::Relayed;
pub use channel::RelayChannel;

/// The way through the cloud takes its time, and so does the gateway.
const SHORTEST_LIMIT: Duration = Duration::from_secs(35);
/// Of the questions that can wait, one in this time: after a start, there are several.
const ONE_IN: Duration = Duration::from_secs(20);
/// Some twenty commands a day beside those for the readings.
const PACE: Pace = Pace {
    controller: Duration::from_secs(60),
    unit: Duration::from_secs(4 * 3600),
    config: Duration::from_secs(2 * 3600),
    system_info: Duration::from_secs(24 * 3600),
    backups: Duration::from_secs(6 * 3600),
    retry: Duration::from_secs(3600),
};
const ISLANDING_ONLY: &str = "over the relay, islanding alone is ordered; reserve, mode, charging and export \
    go over FleetAPI (fleetapi), everything else over TEDAPI v1r on the LAN";

/// What the gateway answered last, and when what changes by the second came.
type Newest = (Arc<dyn Answers>, Instant);

/// See the module.
pub struct RelayLink {
    inner: TedapiLink<RelayChannel>,
    interval: Duration,
    limit: Duration,
    /// DIN of the gateway that another link reaches.
    bound: Option<String>,
    /// When the gateway was asked last …
    asked: Option<Instant>,
    /// … and what came of it: the answers and when they came, or why there are none.
    last: Result<Option<Newest>, LinkError>,
    /// When the next of the questions that can wait may be asked.
    slow: Instant,
}

impl RelayLink {
    /// Touches neither network nor files.
    pub fn new(gateway: &str, config: &RelayConfig, account: Arc<Account>, limit: Duration) -> Self {
        let web = account.web(limit.max(SHORTEST_LIMIT));
        let key = Arc::new(config.key.clone());
        let channel = RelayChannel::new(account, web, key, config.fleet.site);
        Self::over(gateway, channel, Queries::of(config.query_set), config.fleet.interval, limit)
    }

    /// As [`RelayLink::new`], over a channel of any kind.
    pub fn over(
        gateway: &str,
        channel: RelayChannel,
        queries: Queries,
        interval: Duration,
        limit: Duration,
    ) -> Self {
        let limit = limit.max(SHORTEST_LIMIT);
        let inner = TedapiLink::over(gateway, channel, queries, "relay").at_pace(PACE);
        Self { inner, interval, limit, bound: None, asked: None, last: Ok(None), slow: Instant::now() }
    }

    /// Whether the gateway is left alone for now.
    fn rests(&self) -> bool {
        // A tick may come a little early.
        self.asked.is_some_and(|asked| asked.elapsed() < self.interval.mul_f64(0.98))
    }

    fn relayed(&self, answers: Arc<dyn Answers>, came: Instant) -> Arc<dyn Answers> {
        Arc::new(Relayed { answers, came, interval: self.interval })
    }

    /// Asks for what changes by the second.
    async fn ask(&mut self) {
        // Before the exchange: one that is cut must not be asked for again at once.
        self.asked = Some(Instant::now());
        self.last = Err(LinkError::Timeout(self.limit));
        self.last = self.inner.poll().await.map(|answers| Some((answers, Instant::now())));
    }

    fn newest(&self) -> Result<Arc<dyn Answers>, LinkError> {
        match &self.last {
            Ok(Some((answers, came))) => Ok(self.relayed(answers.clone(), *came)),
            Ok(None) => Err(LinkError::Resting("the gateway was not asked yet".into())),
            Err(error) => Err(error.clone()),
        }
    }
}

impl Link for RelayLink {
    fn kind(&self) -> LinkKind {
        LinkKind::Relay
    }

    /// The list of sites, a token, and the question itself.
    fn patience(&self, _: Duration) -> Duration {
        self.limit * 3
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        Box::pin(async {
            if !self.rests() {
                self.ask().await;
            }
            self.newest()
        })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async {
            let now = Instant::now();
            let Ok(Some((_, came))) = self.last else { return Refreshed::default() };
            if now < self.slow {
                return Refreshed::default();
            }
            let refreshed = self.inner.refresh().await;
            if refreshed.source.is_some() || refreshed.problem.is_some() || refreshed.more {
                self.slow = now + ONE_IN;
            }
            let source = refreshed.source.map(|answers| {
                self.last = Ok(Some((answers.clone(), came)));
                self.relayed(answers, came)
            });
            Refreshed { source, problem: refreshed.problem, more: false }
        })
    }

    fn bind(&mut self, din: &str) {
        if self.bound.as_deref() != Some(din) {
            self.bound = Some(din.to_owned());
            self.inner.bind(din);
            // What was taken for this gateway before may be another one.
            (self.asked, self.last) = (None, Ok(None));
        }
    }

    fn order_limit(&self, _: OrderKind, _: Duration) -> Duration {
        self.limit
    }

    fn carry_out<'a>(&'a mut self, order: &'a Order, limit: Duration) -> LocalBoxFuture<'a, Carried> {
        Box::pin(async move {
            match self.can_take(order.kind()) {
                Ok(_) => self.inner.carry_out(order, limit).await,
                Err(unable) => Carried::unable(unable),
            }
        })
    }

    fn read_back<'a>(&'a mut self, order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        Box::pin(async move {
            let mut read = self.inner.read_back(order).await;
            if let Some(answers) = read.source.take() {
                let now = Instant::now();
                (self.asked, self.last) = (Some(now), Ok(Some((answers.clone(), now))));
                read.source = Some(self.relayed(answers, now));
            }
            read
        })
    }

    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        match kind {
            OrderKind::Islanding => self.inner.can_take(kind),
            _ => Err(Obstacle::NoLink.because(ISLANDING_ONLY)),
        }
    }

    fn remark(&self) -> Option<String> {
        let seconds = self.interval.as_secs();
        Some(format!(
            "asked every {seconds} s through Tesla's cloud; other units than the leader are unknown"
        ))
    }
}
