//! The site's side of a fleet: reports each gateway to the broker, sends on what is recorded, and takes
//! orders from there if that is allowed. Watching other sites is left to the centre's side.

mod identity;
mod journal;
mod keys;
mod lineage;
mod orders;
mod reporting;
mod slots;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::{LocalBoxFuture, ready};
use log::{error, info};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::clock::unix_time;
use crate::control::Control;
use crate::directory::Directory;
use crate::link::broker::standing::Standing;
use crate::link::broker::wire::Instance;
use crate::nats::Broker;
use crate::nats::trouble::Trouble;
use crate::output::{Output, Surroundings, renew};
use crate::pause::Pause;
use crate::settings::{BrokerSettings, Role, Settings, SiteSettings};
use crate::store::history::History;
use crate::store::journal::Journal;
use crate::supervise::{self, Kept, Name};

/// For the last reports; `app` gives two seconds.
const GOODBYE: Duration = Duration::from_millis(1_500);

/// What the settings say, and whether the program ends.
#[derive(Clone, Debug, PartialEq)]
struct Wish {
    /// `None`: nothing is reported.
    settings: Option<BrokerSettings>,
    leaves: bool,
}

impl Wish {
    fn of(settings: &Settings) -> Self {
        let is_site = |broker: &&BrokerSettings| broker.site.is_some();
        Self { settings: settings.broker.as_ref().filter(is_site).cloned(), leaves: false }
    }
}

/// The output.
struct Reporting {
    wish: watch::Sender<Wish>,
    /// Whether the last reports were sent.
    has_left: watch::Receiver<bool>,
    _kept: Kept,
}

/// Starts the output.
pub fn start(settings: &Settings, surroundings: &Surroundings) -> Box<dyn Output> {
    let (wish, wished) = watch::channel(Wish::of(settings));
    let (left, has_left) = watch::channel(false);
    let left = Arc::new(left);
    let house = House {
        directory: surroundings.directory.clone(),
        journal: surroundings.journal.clone(),
        history: surroundings.history.clone(),
        control: surroundings.control.clone(),
        standing: surroundings.standings.site.clone(),
        seed: surroundings.seed,
        since: unix_time(),
    };
    let start = move |_| Site { house: house.clone(), wished: wished.clone(), left: left.clone() }.start();
    let kept =
        supervise::keep(Name::Part("the reports to the broker"), Pause::back_off(surroundings.seed), start);
    Box::new(Reporting { wish, has_left, _kept: kept })
}

impl Output for Reporting {
    fn apply<'a>(&'a self, settings: &'a Settings) -> LocalBoxFuture<'a, ()> {
        renew(&self.wish, Wish::of(settings));
        Box::pin(ready(()))
    }

    fn stop(&self) -> LocalBoxFuture<'_, ()> {
        let reports = self.wish.borrow().settings.is_some();
        self.wish.send_modify(|wish| wish.leaves = true);
        let mut has_left = self.has_left.clone();
        Box::pin(async move {
            if reports {
                // Without a connection it cannot say goodbye; what is not acknowledged is in the store.
                let _ = timeout(GOODBYE, has_left.wait_for(|left| *left)).await;
            }
        })
    }
}

/// What is reported.
#[derive(Clone)]
struct House {
    directory: Arc<Directory>,
    journal: Journal,
    history: History,
    control: Arc<Control>,
    /// What others are shown of this.
    standing: Standing,
    /// Makes pauses differ between runs.
    seed: u64,
    /// When the program started, Unix seconds.
    since: f64,
}

/// What one connection reports.
#[derive(Clone)]
struct Reporter {
    house: House,
    broker: Broker,
    site: SiteSettings,
    /// `PW_BROKER_ORDERS`
    orders: Option<Role>,
    /// Whether this program is a centre as well.
    watches: bool,
}

impl Reporter {
    fn instance(&self, leaves: bool) -> Instance {
        Instance {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: self.house.since,
            tags: self.site.tags.clone(),
            group: self.site.group.clone(),
            leaves,
            orders: self.orders.map(|role| role.word().to_owned()),
        }
    }

    /// What may come in the way of `what`.
    fn trouble(&self, what: &'static str) -> Trouble {
        Trouble::new(format!("sending {what}"), self.house.seed, self.house.standing.shows_obstacles())
    }

    /// Under which it is kept in the store how far everything is that is sent on. Servers may be replaced.
    fn peer(&self) -> String {
        format!("broker: {}", self.broker.subjects.journal(&self.site.id))
    }
}

/// Keeps reporting.
struct Site {
    house: House,
    wished: watch::Receiver<Wish>,
    left: Arc<watch::Sender<bool>>,
}

impl Actor for Site {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (house, mut wished, left) = (self.house.clone(), self.wished.clone(), self.left.clone());
        let reporting = async move {
            loop {
                let wish = wished.borrow_and_update().clone();
                if wish.leaves {
                    left.send_replace(true);
                    return;
                }
                let Some(settings) = wish.settings else {
                    house.standing.end();
                    if wished.changed().await.is_err() {
                        return;
                    }
                    continue;
                };
                report(&house, &settings, &mut wished).await;
            }
        };
        ctx.spawn(reporting.into_actor(self));
    }
}

/// Reports until something else is wished for.
async fn report(house: &House, settings: &BrokerSettings, wished: &mut watch::Receiver<Wish>) {
    let Some(site) = settings.site.clone() else { return };
    house.standing.begin(vec![site.id.clone()], &settings.name());
    let inbox = Broker::inbox_of_site(&site.id);
    let broker = match Broker::connect(settings, &inbox).await {
        Ok(broker) => broker,
        Err(why) => {
            error!(event = "broker"; "nothing is reported to the broker until the settings change: {why}");
            house.standing.obstacle("connection", Some(&why.to_string()));
            let _ = wished.changed().await;
            return;
        }
    };
    info!(event = "broker"; "site {} reports to the broker {}", site.id, broker.name);
    let (orders, watches) = (settings.orders, !settings.watched.is_empty());
    let reporter = Rc::new(Reporter { house: house.clone(), broker, site, orders, watches });
    let all = async {
        tokio::join!(
            reporting::report(&reporter),
            slots::forward(&reporter),
            journal::forward(&reporter),
            orders::take(&reporter),
            reporter.broker.each_change(|is_there| house.standing.connected(is_there)),
        )
    };
    tokio::select! {
        _ = all => {}
        _ = wished.changed() => {}
    }
    // A site that shuts down says so; one that only has other settings continues under them.
    reporting::leave(&reporter).await;
}
