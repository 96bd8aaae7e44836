//! Keeps passing on what arrives at the broker, while both it and a database are configured.

use std::collections::HashMap;

use actix::prelude::*;
use tokio::sync::watch;

use super::arriving::Arrivals;
use super::target::Web;
use crate::link::broker::reports::Place;
use crate::link::broker::standing::Standing;
use crate::output::{Surroundings, renew, with_newest};
use crate::pause::Pause;
use crate::settings::{BrokerSettings, ExportSettings, Settings};
use crate::supervise::{self, Kept, Name};

/// Where from, where to, and what gateways are called.
#[derive(Clone, PartialEq)]
struct Way {
    broker: BrokerSettings,
    export: ExportSettings,
    names: HashMap<Place, String>,
}

/// A part of the output.
pub(super) struct Passed {
    /// `None`: nothing is passed on. Changed by a reload.
    way: watch::Sender<Option<Way>>,
    _kept: Kept,
}

impl Way {
    fn of(settings: &Settings) -> Option<Self> {
        let broker = settings.broker.clone().filter(|broker| !broker.watched.is_empty())?;
        let export = settings.export.clone()?;
        let named = settings.gateways.iter();
        let named =
            named.filter_map(|gateway| Some((gateway.facts.place.clone()?, gateway.facts.id.clone())));
        Some(Self { names: named.collect(), broker, export })
    }
}

impl Passed {
    pub fn start(settings: &Settings, surroundings: &Surroundings) -> Self {
        let (way, current) = watch::channel(Way::of(settings));
        let (seed, standing) = (surroundings.seed, surroundings.standings.centre.clone());
        let start = move |_| Passer { way: current.clone(), standing: standing.clone(), seed }.start();
        let name = Name::Part("what passes on quarters of an hour");
        Self { way, _kept: supervise::keep(name, Pause::back_off(seed), start) }
    }

    pub fn apply(&self, settings: &Settings) {
        renew(&self.way, Way::of(settings));
    }
}

/// Keeps passing on.
struct Passer {
    way: watch::Receiver<Option<Way>>,
    /// What others are shown of this.
    standing: Standing,
    /// Makes pauses differ between runs.
    seed: u64,
}

impl Actor for Passer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (way, standing, seed) = (self.way.clone(), self.standing.clone(), self.seed);
        let passing = with_newest(way, async move |way| match &way {
            Some(Way { broker, export, names }) => {
                let target = Web::of(export);
                Arrivals { settings: broker, names, target: &target, standing: &standing }
                    .pass_on(seed)
                    .await;
            }
            None => std::future::pending().await,
        });
        ctx.spawn(passing.into_actor(self));
    }
}
