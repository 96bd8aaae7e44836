//! What is known of one gateway or of all of them together, as pictures need it: values and what follows
//! from them, no words. The same rules as in the pages' `site.js`.

use std::sync::Arc;

use tokio::time::Instant;

use crate::model::{Aggregate, Freshness, GatewayKind, GridStatus, Number, RawPercent, Snapshot};

/// Below this a meter makes something of nothing. W
const DEAD_BAND: f64 = 20.0;
/// The lowest twentieth of a battery is kept from the owner.
const USABLE: f64 = 0.95;
/// Longer than this is not a forecast. Seconds
const TOO_FAR: f64 = 4.0 * 86_400.0;
/// Less than this is little where no reserve says what is. App percent
const LITTLE: f64 = 10.0;

/// Whether so many watts are a flow.
pub(super) fn is_flowing(watts: Option<f64>) -> bool {
    watts.is_some_and(|watts| watts.abs() >= DEAD_BAND)
}

/// Where power comes from and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Station {
    Solar,
    Home,
    Battery,
    Grid,
}

/// Watts at the four. Grid: + import. Battery: + discharge.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Watts {
    pub solar: Option<f64>,
    pub home: Option<f64>,
    pub battery: Option<f64>,
    pub grid: Option<f64>,
}

/// So many watts from one of them to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stream {
    pub from: Station,
    pub to: Station,
    pub watts: f64,
}

/// What a battery comes to at the present rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    Full,
    Reserve,
    Empty,
}

/// Energies of today, Wh; unknown if that of one of the gateways is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Today {
    pub solar: Option<f64>,
    pub home: Option<f64>,
    pub imported: Option<f64>,
    pub exported: Option<f64>,
}

/// One gateway, or all of them together.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// `None`: a sum of several.
    pub id: Option<String>,
    /// Empty: the sum, which has no name of its own.
    pub name: String,
    pub watts: Watts,
    /// App percent.
    pub charge: Option<f64>,
    /// Wh
    pub stored: Option<f64>,
    /// Wh
    pub capacity: Option<f64>,
    /// App percent.
    pub reserve: Option<f64>,
    pub mode: Option<String>,
    pub grid: Option<GridStatus>,
    pub has_battery: bool,
    pub freshness: Freshness,
    /// When the oldest of it was read, Unix seconds.
    pub taken_at: Option<f64>,
    /// Of the site's clock, if anybody says.
    pub zone: Option<String>,
    pub streams: Vec<Stream>,
    /// Of a sum: imported and exported at the same time, by different sites.
    pub exchange: Option<(f64, f64)>,
    /// What the battery comes to, in how many seconds, and in a sum whose battery that is.
    pub ahead: Option<(Ahead, f64, Option<String>)>,
    /// Share of the home that does not come from the grid, percent.
    pub self_powered: Option<f64>,
    /// Names of the gateways that are not in the sum.
    pub missing: Vec<String>,
    /// How many gateways are in it, and how many there are.
    pub number: (usize, usize),
}

impl Known {
    /// One gateway, whatever the age of what it reported.
    pub fn one(snapshot: &Snapshot, now: Instant) -> Self {
        let readings = snapshot.reading.as_ref().map(|reading| &reading.telemetry.readings);
        let power = readings.map(|readings| readings.power).unwrap_or_default();
        let charge = readings.map(|readings| readings.charge).unwrap_or_default();
        let number = |number: Option<Number>| number.map(Number::as_f64);
        let watts = Watts {
            solar: number(power.solar),
            home: number(power.load),
            battery: number(power.battery),
            grid: number(power.site),
        };
        let facts = &snapshot.gateway;
        let reserve = readings.and_then(|readings| readings.reserve);
        let mut known = Self {
            id: Some(facts.id.clone()),
            name: name_of(snapshot),
            watts,
            charge: charge.state_of_energy().map(|raw| raw.to_app_clamped().0),
            stored: number(charge.remaining),
            capacity: number(charge.full_pack),
            reserve: reserve.map(|raw| RawPercent::to_app_reserve(raw).0),
            mode: readings.and_then(|readings| readings.mode.clone()),
            grid: readings.and_then(|readings| readings.grid),
            has_battery: facts.kind != GatewayKind::Inverter,
            freshness: snapshot.freshness(now),
            taken_at: snapshot.reading.as_ref().map(|reading| reading.taken_at),
            zone: readings.and_then(|readings| readings.timezone.clone()).or_else(|| facts.timezone.clone()),
            streams: streams(&watts),
            exchange: None,
            ahead: None,
            self_powered: self_powered(watts.home, watts.grid),
            missing: Vec::new(),
            number: (1, 1),
        };
        known.ahead = known.outlook().map(|(what, seconds)| (what, seconds, None));
        known
    }

    /// All gateways together: one alone speaks for itself.
    pub fn all(snapshots: &[Arc<Snapshot>], sum: &Aggregate, now: Instant) -> Self {
        if let [only] = snapshots {
            return Self::one(only, now);
        }
        let is_in = |snapshot: &&Arc<Snapshot>| sum.contributors.contains(&snapshot.gateway.id);
        let sites = |of: &dyn Fn(&&Arc<Snapshot>) -> bool| -> Vec<Self> {
            snapshots.iter().filter(of).map(|snapshot| Self::one(snapshot, now)).collect()
        };
        let contributors = sites(&is_in);
        // Of those that are all silent, the last values stand, as old as they are.
        let silent = contributors.is_empty();
        let shown = if silent { sites(&|one| one.reading.is_some()) } else { contributors };
        let mut all = if silent { last_of(&shown) } else { summed(sum, &shown) };
        all.missing = snapshots
            .iter()
            .filter(|one| sum.missing.contains(&one.gateway.id))
            .map(|one| name_of(one))
            .collect();
        all.number = (sum.contributors.len(), snapshots.len());
        all.has_battery = snapshots.iter().any(|one| one.gateway.kind != GatewayKind::Inverter);
        all.together(&shown);
        all
    }

    /// What several do together is what each of them does, added up: one that exports and one that imports
    /// are not idle, and nobody's battery is full because the others' are.
    fn together(&mut self, sites: &[Self]) {
        for stream in sites.iter().flat_map(|site| &site.streams) {
            let same = |known: &&mut Stream| (known.from, known.to) == (stream.from, stream.to);
            match self.streams.iter_mut().find(same) {
                Some(known) => known.watts += stream.watts,
                None => self.streams.push(*stream),
            }
        }
        let grids: Option<Vec<f64>> = sites.iter().map(|site| site.watts.grid).collect();
        self.exchange = grids.filter(|grids| !grids.is_empty()).map(|grids| {
            let sum = |of: fn(f64) -> f64| grids.iter().map(|watts| of(*watts)).sum();
            (sum(|watts| watts.max(0.0)), sum(|watts| (-watts).max(0.0)))
        });
        self.self_powered =
            self.exchange.and_then(|(imported, _)| self_powered(self.watts.home, Some(imported)));
        let mut ahead: Vec<_> = sites
            .iter()
            .filter_map(|site| site.ahead.as_ref().map(|(what, after, _)| (*what, *after, site.name.clone())))
            .collect();
        // A countdown is that of one site, and what runs out comes first.
        ahead.sort_by(|one, other| {
            let rank = |(what, after, _): &(Ahead, f64, String)| (*what == Ahead::Full, *after);
            let (one, other) = (rank(one), rank(other));
            one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
        });
        self.ahead = ahead.into_iter().next().map(|(what, after, name)| (what, after, Some(name)));
        self.zone = sites.iter().find_map(|site| site.zone.clone());
    }

    /// When, at the present rate, the battery is full, at its reserve, or empty.
    fn outlook(&self) -> Option<(Ahead, f64)> {
        let (charge, rate) = (self.charge?, self.watts.battery.filter(|_| is_flowing(self.watts.battery))?);
        let capacity = self.capacity.filter(|capacity| *capacity > 0.0)?;
        let kept = self.reserve.filter(|reserve| self.grid != Some(GridStatus::Down) && charge > *reserve);
        let (what, left) = match kept {
            _ if rate < 0.0 => (Ahead::Full, 100.0 - charge),
            Some(reserve) => (Ahead::Reserve, charge - reserve),
            None => (Ahead::Empty, charge),
        };
        let seconds = left / 100.0 * USABLE * capacity * 3600.0 / rate.abs();
        (left > 0.2 && seconds < TOO_FAR).then_some((what, seconds))
    }

    pub fn is_outage(&self) -> bool {
        self.grid == Some(GridStatus::Down)
    }

    /// Whether this is what happens now.
    pub fn is_alive(&self) -> bool {
        self.freshness.has_data()
    }

    /// Whether the battery has come below what is meant to stay in it, or is nearly empty.
    pub fn is_low(&self) -> bool {
        let below =
            |charge: f64| charge < LITTLE || self.reserve.is_some_and(|reserve| charge < reserve - 1.0);
        self.has_battery && self.charge.is_some_and(below)
    }

    /// Watts from one station to another.
    pub fn stream(&self, from: Station, to: Station) -> f64 {
        let stream = self.streams.iter().find(|stream| (stream.from, stream.to) == (from, to));
        stream.map_or(0.0, |stream| stream.watts)
    }
}

/// What the operator calls it; else what the gateway calls its site.
pub(super) fn name_of(snapshot: &Snapshot) -> String {
    let facts = &snapshot.gateway;
    let is_chosen = !facts.name.is_empty() && facts.name != facts.id && facts.name != "Default Gateway";
    let reading = snapshot.reading.as_ref();
    let own = reading.and_then(|reading| reading.telemetry.readings.site_name.clone());
    match own.filter(|name| !is_chosen && !name.is_empty()) {
        Some(name) => name,
        None if facts.name.is_empty() => facts.id.clone(),
        None => facts.name.clone(),
    }
}

/// The sum as the aggregator made it, with what `sites`, those in it, have in common.
fn summed(sum: &Aggregate, sites: &[Known]) -> Known {
    let grids = || sites.iter().map(|site| site.grid);
    // The sum says the worst; they are all cut off only if each is.
    let shared =
        sum.grid.filter(|worst| *worst == GridStatus::Up || grids().all(|grid| grid == Some(*worst)));
    let times = sites.iter().filter_map(|site| site.taken_at);
    let freshness = if sum.stale.is_empty() { Freshness::Live } else { Freshness::Stale };
    Known {
        charge: sum.app_percent().map(|percent| percent.0),
        stored: sum.energy_remaining,
        capacity: sum.capacity,
        reserve: shared_reserve(sites),
        grid: shared,
        freshness,
        taken_at: times.reduce(f64::min),
        ..nothing(Watts { solar: sum.solar, home: sum.load, battery: sum.battery, grid: sum.site })
    }
}

/// The sums of what several reported last; unknown where it is of one of them.
fn last_of(sites: &[Known]) -> Known {
    let sum = |batteries_only: bool, of: &dyn Fn(&Known) -> Option<f64>| {
        let values = sites.iter().filter(|site| site.has_battery || !batteries_only).map(of);
        values
            .collect::<Option<Vec<f64>>>()
            .filter(|values| !values.is_empty())
            .map(|all| all.iter().sum::<f64>())
    };
    let capacity = sum(true, &|site| site.capacity);
    let held = sum(true, &|site| Some(site.charge? * site.capacity?));
    let freshness = if sites.is_empty() { Freshness::Never } else { Freshness::Expired };
    Known {
        charge: held.zip(capacity).filter(|(_, all)| *all > 0.0).map(|(held, all)| held / all),
        stored: sum(true, &|site| site.stored),
        capacity,
        freshness,
        taken_at: sites.iter().filter_map(|site| site.taken_at).reduce(f64::max),
        ..nothing(Watts {
            solar: sum(false, &|site| site.watts.solar),
            home: sum(false, &|site| site.watts.home),
            battery: sum(true, &|site| site.watts.battery),
            grid: sum(false, &|site| site.watts.grid),
        })
    }
}

fn nothing(watts: Watts) -> Known {
    Known {
        id: None,
        name: String::new(),
        watts,
        charge: None,
        stored: None,
        capacity: None,
        reserve: None,
        mode: None,
        grid: None,
        has_battery: true,
        freshness: Freshness::Never,
        taken_at: None,
        zone: None,
        streams: Vec::new(),
        exchange: None,
        ahead: None,
        self_powered: None,
        missing: Vec::new(),
        number: (0, 0),
    }
}

/// Reserve of several batteries together, weighted by what they hold; unknown if one is.
fn shared_reserve(sites: &[Known]) -> Option<f64> {
    let (mut held, mut all) = (0.0, 0.0);
    for site in sites.iter().filter(|site| site.has_battery) {
        let Some(capacity) = site.capacity else { continue };
        held += site.reserve? * capacity;
        all += capacity;
    }
    (all > 0.0).then_some(held / all)
}

/// Who gives how much to whom. Solar serves the home, then the battery, then the grid; the battery serves the
/// home, then the grid; the grid what is left. What is unknown gives and takes nothing.
fn streams(watts: &Watts) -> Vec<Stream> {
    use Station::{Battery, Grid, Home, Solar};
    let known = |watts: Option<f64>| watts.unwrap_or(0.0);
    let mut give = [known(watts.solar), 0.0, known(watts.battery), known(watts.grid)];
    let mut take = [0.0, known(watts.home), -known(watts.battery), -known(watts.grid)];
    let routes = [
        (Solar, Home),
        (Solar, Battery),
        (Solar, Grid),
        (Battery, Home),
        (Battery, Grid),
        (Grid, Home),
        (Grid, Battery),
    ];
    let mut found = Vec::new();
    for (from, to) in routes {
        let watts = give[from as usize].min(take[to as usize]);
        if watts > 0.0 {
            give[from as usize] -= watts;
            take[to as usize] -= watts;
            found.extend((watts >= DEAD_BAND).then_some(Stream { from, to, watts }));
        }
    }
    found
}

fn self_powered(home: Option<f64>, grid: Option<f64>) -> Option<f64> {
    let (home, grid) = (home.filter(|home| *home >= DEAD_BAND)?, grid?);
    Some((1.0 - grid.max(0.0) / home).clamp(0.0, 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sun_serves_the_home_first_and_what_is_unknown_gives_nothing() {
        let watts =
            Watts { solar: Some(4800.0), home: Some(1210.0), battery: Some(-2750.0), grid: Some(-840.0) };
        let known = nothing(watts);
        let known = Known { streams: streams(&watts), ..known };
        assert_eq!(known.stream(Station::Solar, Station::Home), 1210.0);
        assert_eq!(known.stream(Station::Solar, Station::Battery), 2750.0);
        assert_eq!(known.stream(Station::Solar, Station::Grid), 840.0);
        assert_eq!(streams(&Watts { solar: None, ..watts }), []);
    }

    #[test]
    fn one_that_exports_and_one_that_imports_are_not_idle() {
        let site = |grid: f64, home: f64, solar: f64| {
            let watts = Watts { solar: Some(solar), home: Some(home), battery: Some(0.0), grid: Some(grid) };
            Known { streams: streams(&watts), name: "One".into(), ..nothing(watts) }
        };
        let sites = [site(3000.0, 3000.0, 0.0), site(-3000.0, 1000.0, 4000.0)];
        let mut all = last_of(&sites);
        all.together(&sites);
        assert_eq!(all.watts.grid, Some(0.0));
        assert_eq!(all.exchange, Some((3000.0, 3000.0)));
        assert_eq!(all.self_powered, Some(25.0));
        assert_eq!(all.stream(Station::Grid, Station::Home), 3000.0);
    }

    #[test]
    fn what_one_of_them_does_not_know_is_unknown_of_all() {
        let known = |solar| nothing(Watts { solar, ..Watts::default() });
        assert_eq!(last_of(&[known(Some(1.0)), known(None)]).watts.solar, None);
        assert_eq!(last_of(&[known(Some(1.0)), known(Some(2.0))]).watts.solar, Some(3.0));
        assert_eq!(last_of(&[]).freshness, Freshness::Never);
    }

    #[test]
    fn a_countdown_ends_at_the_reserve_unless_the_grid_is_gone() {
        let known = Known {
            charge: Some(54.0),
            capacity: Some(13_500.0),
            reserve: Some(20.0),
            ..nothing(Watts { battery: Some(900.0), ..Watts::default() })
        };
        let hours =
            |known: &Known| known.outlook().map(|(what, seconds)| (what, (seconds / 360.0).round() / 10.0));
        assert_eq!(hours(&known), Some((Ahead::Reserve, 4.8)));
        let cut_off = Known { grid: Some(GridStatus::Down), ..known.clone() };
        assert_eq!(hours(&cut_off), Some((Ahead::Empty, 7.7)));
        let charging = Known { watts: Watts { battery: Some(-900.0), ..known.watts }, ..known };
        assert_eq!(hours(&charging), Some((Ahead::Full, 6.6)));
    }
}
