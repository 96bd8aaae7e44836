//! Tesla's calendar, day by day: one request for each, which Tesla may charge for.
//!
//! Days are asked for from the oldest to yesterday. How far it has come is kept, also at the end, so that the
//! same command asks for no day twice. The daily budget counts; a pause that Tesla asks for is kept if it is
//! short, and ends the import otherwise.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::time::{sleep, timeout};

use super::ImportError;
use super::gather::{Rows, Span};
use super::intake::Intake;
use crate::clock::unix_time;
use crate::link::connect_lazily;
use crate::link::tesla::account::{Account, Renewer};
use crate::link::tesla::calendar::{self, Stretch};
use crate::link::tesla::error::TeslaError;
use crate::link::tesla::products::{Product, choose};
use crate::model::Adjustments;
use crate::settings::{FleetConfig, GatewaySettings, LinkConfig, Settings};
use crate::store::history::filling::Parcel;
use crate::store::history::queries::energy::{date, midnight};

/// What the source is called on the command line.
pub const NAME: &str = "tesla";
/// For one answer.
const LIMIT: Duration = Duration::from_secs(60);
/// A pause that is waited for.
const SHORT: Duration = Duration::from_secs(120);
/// Waits for one day, and looks at an answer that came too late or not at all.
const ATTEMPTS: u32 = 5;

/// A site that is asked.
struct Site {
    account: Arc<Account>,
    web: Renewer,
    site: Product,
    zone: TimeZone,
}

/// The gateway `id`, and how it is reached over FleetAPI.
fn configured<'a>(settings: &'a Settings, id: &str) -> Option<(&'a GatewaySettings, &'a FleetConfig)> {
    let gateway = settings.gateways.iter().find(|one| one.facts.id == id)?;
    let fleet = std::iter::once(gateway).chain(&gateway.standby).find_map(|link| match &link.link {
        LinkConfig::Fleet(config) => Some(config),
        _ => None,
    });
    Some((gateway, fleet?))
}

/// Which gateway it is, as it says itself over a local link: nothing of another one may come into its
/// history. `None`: it has no such link, or does not answer.
async fn local_din(gateway: &GatewaySettings) -> Option<String> {
    let links = std::iter::once(gateway).chain(&gateway.standby);
    for local in links.filter(|link| link.link.fleet().is_none()) {
        // Of the one link, without those that stand by for it.
        let mut link = connect_lazily(&GatewaySettings { standby: Vec::new(), ..local.clone() });
        let patience = link.patience(local.timeout);
        match timeout(patience, link.poll()).await {
            Ok(Ok(answers)) => match answers.readings(&Adjustments::default()).din {
                Some(din) => return Some(din),
                None => {
                    eprintln!("{}: {} does not say which gateway it is", local.facts.id, link.kind().name())
                }
            },
            Ok(Err(error)) => eprintln!("{}: {}: {error}", local.facts.id, link.kind().name()),
            Err(_) => eprintln!("{}: {}: no answer", local.facts.id, link.kind().name()),
        }
    }
    None
}

/// Imports from the day after the last one that was imported, from `first` where that is given, or from the
/// day of the installation on.
pub async fn import(
    settings: &Settings,
    first: Option<Date>,
    intake: &mut Intake,
) -> Result<(), ImportError> {
    let id = intake.id(None)?;
    let (gateway, config) = configured(settings, &id).ok_or_else(|| ImportError::NoCloud(id.clone()))?;
    let din = local_din(gateway).await;
    let account = Account::new(config.account.clone());
    let outcome = import_from((&account, config), din.as_deref(), (&id, first), intake).await;
    // However it ended, what it has asked counts for everybody.
    account.settle().await;
    outcome
}

async fn import_from(
    (account, config): (&Arc<Account>, &FleetConfig),
    din: Option<&str>,
    (id, first): (&str, Option<Date>),
    intake: &mut Intake,
) -> Result<(), ImportError> {
    let web = account.web(LIMIT);
    let sites = account.sites(&web, true).await?;
    let of_file = || account.site_of_file().filter(|_| din.is_none());
    let site = choose(&sites, din, config.site.or_else(of_file))?;
    let known = calendar::calendar(account, &web, site.id).await?;
    let zone = match (known.zone, intake.zone(id)) {
        (_, Ok(zone)) => zone,
        (Some(zone), Err(_)) => zone,
        (None, Err(error)) => return Err(error),
    };
    let peer = format!("{NAME}/{}", site.id);
    // What is reached is the midnight at which the next day begins.
    let reached = intake.reached(&peer, id)?.and_then(|at| date(at, &zone));
    let first = first.or(reached).or(known.installed).ok_or(ImportError::NoFirstDay)?;
    // Today is not over.
    let today = date(unix_time(), &zone).ok_or(ImportError::NoFirstDay)?;
    let asked = Site { account: account.clone(), web, site, zone };
    asked.announce(id, first, today);
    let mut day = first;
    while day < today {
        let next = day.tomorrow().map_err(|_| ImportError::NoFirstDay)?;
        let parcels = parcels(&asked.zone, asked.day(day).await?, intake);
        let end = midnight(next, &asked.zone).ok_or(ImportError::NoFirstDay)?;
        for parcel in parcels {
            intake.take((id, &asked.zone), &parcel, None).await?;
        }
        intake.take((id, &asked.zone), &Parcel::default(), Some((&peer, Some(end)))).await?;
        day = next;
    }
    Ok(())
}

/// The slots of a day.
fn parcels(zone: &TimeZone, stretches: Vec<Stretch>, intake: &mut Intake) -> Vec<Parcel> {
    if stretches.is_empty() {
        intake.leave("Tesla has nothing of these days");
    }
    let mut rows = Rows::new(zone.clone());
    for Stretch { start, end, energy } in stretches {
        if energy.0.iter().any(Option::is_some) {
            intake.place(rows.take(&Span { start, end, energy, coverage: Some(1.0), charge: None }));
        }
    }
    rows.parcels(true)
}

impl Site {
    fn announce(&self, id: &str, first: Date, today: Date) {
        let days = first.until(today).map_or(0, |span| span.get_days()).max(0);
        let (site, gateway) = (self.site.shown(), self.site.din.as_deref().unwrap_or("no gateway"));
        eprintln!("{id}: site {site}, {gateway}; {days} days from {first} on, one request each");
    }

    /// A day; waits where Tesla asks for it.
    async fn day(&self, day: Date) -> Result<Vec<Stretch>, TeslaError> {
        let mut attempts = 0;
        loop {
            let asked = calendar::day(&self.account, &self.web, (self.site.id, &self.zone), day).await;
            attempts += 1;
            let wait = match &asked {
                Err(TeslaError::Pause { left }) if *left <= SHORT => *left,
                Err(TeslaError::Unreachable(_) | TeslaError::Timeout(_) | TeslaError::Busy(_)) => {
                    Duration::from_secs(10)
                }
                _ => return asked,
            };
            if attempts >= ATTEMPTS {
                return asked;
            }
            sleep(wait + Duration::from_millis(100)).await;
        }
    }
}
