//! What a picture says, as texts: nothing of how it looks.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tokio::time::Instant;

use super::doing::{doing, mode};
use super::known::{Ahead, Known, Station, Today};
use super::words::{Language, UNKNOWN, clock, percent};
use crate::model::{Aggregate, Freshness, GridStatus, Snapshot};

/// What a picture is made of.
pub struct Sight<'a> {
    /// All gateways, in configured order.
    pub snapshots: &'a [Arc<Snapshot>],
    pub sum: &'a Aggregate,
    /// The gateway to show; `None`: all of them.
    pub site: Option<&'a str>,
    /// Energies of today by gateway, as far as a history has them.
    pub today: &'a HashMap<String, Today>,
    /// For ages.
    pub now: Instant,
    /// The same moment in Unix seconds.
    pub unix: f64,
    /// The clock of simulated sites.
    pub demo: Option<SimulatedClock>,
}

/// How time runs at simulated sites.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulatedClock {
    /// Hour of the day at the start.
    pub hour: f64,
    /// Simulated seconds in a second.
    pub speed: f64,
    /// Unix seconds.
    pub started_at: f64,
}

impl SimulatedClock {
    fn time(&self, at: f64) -> String {
        let minutes = (self.hour * 60.0 + (at - self.started_at) * self.speed / 60.0).rem_euclid(1440.0);
        format!("{:02}:{:02}", (minutes / 60.0).floor(), (minutes % 60.0).floor())
    }
}

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    Alarm,
    Trouble,
    Plain,
}

/// A number with its unit, and what stands around it.
#[derive(Clone, Debug, Default)]
pub(super) struct Figure {
    pub name: &'static str,
    pub number: String,
    pub unit: &'static str,
    pub what: String,
    /// What flowed today: in one direction or in two, into it first.
    pub today: Vec<String>,
}

/// One of several sites.
#[derive(Clone, Debug)]
pub(super) struct Tile {
    pub name: String,
    /// Its charge, or the power of the sun where there is no battery.
    pub figure: String,
    /// Percent; `None`: no battery, or unknown.
    pub charge: Option<f64>,
    pub note: String,
    pub weight: Weight,
}

/// All that a picture says.
pub(super) struct Scene {
    pub known: Known,
    pub title: String,
    pub scope: String,
    /// When it was read, by the clock of the site.
    pub time: String,
    /// Simulated.
    pub demo: Option<&'static str>,
    /// What is wrong, the worst first.
    pub notices: Vec<(Weight, String)>,
    pub solar: Figure,
    pub home: Figure,
    pub grid: Figure,
    pub battery: Figure,
    /// The charge of the battery.
    pub charge: String,
    pub stored: String,
    pub reserve: Option<String>,
    pub ahead: String,
    pub tiles: Vec<Tile>,
    /// Tiles that do not fit, as words around their number.
    pub more: fn(Language, usize) -> String,
    pub language: Language,
}

impl Scene {
    /// `None`: there is no such gateway.
    pub fn of(sight: &Sight<'_>, language: Language) -> Option<Self> {
        let one = |snapshot: &Arc<Snapshot>| Known::one(snapshot, sight.now);
        let known = match sight.site {
            Some(id) => one(sight.snapshots.iter().find(|snapshot| snapshot.gateway.id == id)?),
            None => Known::all(sight.snapshots, sight.sum, sight.now),
        };
        let others: Vec<Known> = sight.snapshots.iter().map(one).collect();
        let is_sum = known.id.is_none();
        let teller = Teller { sight, language, zone: zone(&known) };
        let (today, watts) = (teller.today(&known), &known.watts);
        let figure = |name: &'static str, of: Station, watts: Option<f64>, today: Vec<String>| {
            let (number, unit) = language.power_parts(watts);
            Figure { name, number, unit, what: doing(of, &known, language), today }
        };
        let day = |energy: Option<f64>| energy.map(|energy| language.energy(energy));
        let both = day(today.imported).zip(day(today.exported)).map(|(into, out)| vec![into, out]);
        Some(Self {
            title: if is_sum { language.say("All sites").to_owned() } else { known.name.clone() },
            scope: teller.scope(&known),
            time: known.taken_at.map_or_else(|| UNKNOWN.to_owned(), |at| teller.clock(at)),
            demo: sight.demo.map(|_| language.say("Demo")),
            notices: teller.notices(&known, if is_sum { &others } else { &[] }),
            solar: figure(
                language.say("Solar"),
                Station::Solar,
                watts.solar,
                day(today.solar).into_iter().collect(),
            ),
            home: figure(
                language.say("Home"),
                Station::Home,
                watts.home,
                day(today.home).into_iter().collect(),
            ),
            grid: figure(language.say("Grid"), Station::Grid, watts.grid, both.unwrap_or_default()),
            battery: figure(language.say("Battery"), Station::Battery, watts.battery, Vec::new()),
            charge: known.charge.map_or_else(|| UNKNOWN.to_owned(), |charge| format!("{charge:.0}")),
            stored: known.stored.map(|stored| language.share(stored, known.capacity)).unwrap_or_default(),
            reserve: known
                .reserve
                .filter(|reserve| *reserve > 0.0)
                .map(|reserve| language.fill("Reserve {percent}", &[("percent", &percent(reserve))])),
            ahead: teller.ahead(&known),
            tiles: if is_sum { teller.tiles(&others) } else { Vec::new() },
            more: |language, number| language.fill("{number} more", &[("number", &number.to_string())]),
            language,
            known,
        })
    }
}

impl Scene {
    /// The picture in words, for those who cannot see it.
    pub fn words(&self) -> String {
        let figure = |one: &Figure| format!("{} {} {} ({})", one.name, one.number, one.unit, one.what);
        let mut parts = vec![format!("{}, {}", self.title, self.time)];
        parts.extend(self.notices.iter().map(|(_, words)| words.clone()));
        parts.extend([&self.solar, &self.home, &self.grid].map(figure));
        if self.known.has_battery {
            parts.push(format!("{} {} %, {}", self.battery.name, self.charge, figure(&self.battery)));
        }
        parts.join("; ")
    }
}

/// The clock of the site, else of this machine.
fn zone(known: &Known) -> TimeZone {
    let named = known.zone.as_deref().and_then(|name| TimeZone::get(name).ok());
    named.unwrap_or_else(TimeZone::system)
}

/// Makes words of what is known.
struct Teller<'a> {
    sight: &'a Sight<'a>,
    language: Language,
    zone: TimeZone,
}

impl Teller<'_> {
    fn clock(&self, at: f64) -> String {
        match &self.sight.demo {
            Some(demo) => demo.time(at),
            None => clock(at, self.sight.unix, &self.zone),
        }
    }

    /// How many sites are in it, and how the site is operated.
    fn scope(&self, known: &Known) -> String {
        let (number, all) = known.number;
        let sites = (all > 1).then(|| {
            let values = [("number", &*number.to_string()), ("all", &*all.to_string())];
            self.language.fill("{number} of {all} sites", &values)
        });
        let parts = [sites, mode(known, self.language).map(str::to_owned)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }

    /// Of all that are shown; unknown where it is of one of them.
    fn today(&self, known: &Known) -> Today {
        let ids: Vec<&str> = match &known.id {
            Some(id) => vec![id],
            None => self.sight.snapshots.iter().map(|snapshot| snapshot.gateway.id.as_str()).collect(),
        };
        let sum = |of: fn(&Today) -> Option<f64>| {
            let days = ids.iter().map(|id| self.sight.today.get(*id).and_then(of));
            days.collect::<Option<Vec<f64>>>().filter(|days| !days.is_empty()).map(|days| days.iter().sum())
        };
        Today {
            solar: sum(|day| day.solar),
            home: sum(|day| day.home),
            imported: sum(|day| day.imported),
            exported: sum(|day| day.exported),
        }
    }

    fn ahead(&self, known: &Known) -> String {
        let Some((what, seconds, whose)) = known.ahead.as_ref().filter(|_| known.is_alive()) else {
            return String::new();
        };
        let time = self.language.duration(*seconds);
        let values = [("time", &*time)];
        let words = match what {
            Ahead::Full => self.language.fill("Full in {time}", &values),
            Ahead::Reserve => self.language.fill("At reserve in {time}", &values),
            Ahead::Empty => self.language.fill("Empty in {time}", &values),
        };
        whose.as_ref().map_or(words.clone(), |whose| format!("{whose}: {words}"))
    }

    /// What is wrong; of a sum, also what is wrong at one of `sites`.
    fn notices(&self, known: &Known, sites: &[Known]) -> Vec<(Weight, String)> {
        let mut notices = Vec::new();
        let cut_off: Vec<&str> =
            sites.iter().filter(|site| site.is_outage() && site.is_alive()).map(|site| &*site.name).collect();
        let outage = self.language.say("Grid outage");
        if known.is_outage() && known.is_alive() {
            let charge = known.charge.map(|charge| {
                let charge = percent(charge);
                self.language.fill("{percent} charged", &[("percent", &charge)])
            });
            let words = [Some(outage.to_owned()), charge].into_iter().flatten().collect::<Vec<_>>();
            notices.push((Weight::Alarm, words.join(" · ")));
        } else if !cut_off.is_empty() {
            notices.push((Weight::Alarm, format!("{outage}: {}", cut_off.join(", "))));
        }
        notices.extend(self.age(known).map(|words| (Weight::Trouble, words)));
        if !known.missing.is_empty() && known.number.0 > 0 {
            let name = known.missing.join(", ");
            notices.push((Weight::Trouble, self.language.fill("Without {name}", &[("name", &name)])));
        }
        if known.is_low() && known.is_alive() {
            let low = match known.reserve {
                Some(reserve) if known.charge.is_some_and(|charge| charge < reserve - 1.0) => {
                    self.language.say("Below reserve")
                }
                _ => self.language.say("Nearly empty"),
            };
            notices.push((Weight::Trouble, low.to_owned()));
        }
        notices
    }

    /// Why its values are not those of now; `None`: they are.
    fn age(&self, known: &Known) -> Option<String> {
        match (known.freshness, known.taken_at) {
            (Freshness::Live, _) => None,
            (Freshness::Stale, Some(at)) => {
                let age = self.language.age(self.sight.unix - at);
                Some(self.language.fill("Delayed, {age} old", &[("age", &age)]))
            }
            (Freshness::Stale, None) => Some(self.language.say("Delayed").to_owned()),
            (Freshness::Expired, Some(at)) => {
                Some(self.language.fill("Offline · values of {time}", &[("time", &self.clock(at))]))
            }
            (Freshness::Expired, None) => Some(self.language.say("Offline, no values").to_owned()),
            (Freshness::Never, _) => Some(self.language.say("No data yet").to_owned()),
        }
    }

    /// Those in trouble first.
    fn tiles(&self, sites: &[Known]) -> Vec<Tile> {
        let mut tiles: Vec<Tile> = sites.iter().map(|site| self.tile(site)).collect();
        tiles.sort_by_key(|tile| tile.weight);
        tiles
    }

    fn tile(&self, site: &Known) -> Tile {
        let language = self.language;
        let (weight, note) = match self.age(site) {
            _ if site.is_alive() && site.is_outage() => {
                (Weight::Alarm, language.say("Grid outage").to_owned())
            }
            Some(_) if site.freshness == Freshness::Expired => match site.taken_at {
                Some(at) => {
                    let age = language.age(self.sight.unix - at);
                    (Weight::Trouble, language.fill("Offline, {age} old", &[("age", &age)]))
                }
                None => (Weight::Trouble, language.say("Offline, no values").to_owned()),
            },
            Some(words) => (Weight::Trouble, words),
            None if site.grid == Some(GridStatus::Syncing) => {
                (Weight::Trouble, language.say("Reconnecting").to_owned())
            }
            None if !site.has_battery => (Weight::Plain, language.say("Solar only").to_owned()),
            None => (Weight::Plain, doing(Station::Battery, site, language)),
        };
        let charge = site.charge.filter(|_| site.has_battery);
        let figure = match (site.has_battery, charge) {
            (false, _) => language.power(site.watts.solar),
            (true, Some(charge)) => percent(charge),
            (true, None) => UNKNOWN.to_owned(),
        };
        Tile { name: site.name.clone(), figure, charge, note, weight }
    }
}
