//! What is wrong with the way through Tesla's cloud, if anything: token, consent, region, account and site,
//! in one line.

use std::fmt::Write;
use std::time::Duration;

use super::Diagnosis;
use super::application;
use super::probes::{described, further};
use crate::link::tesla::FleetLink;
use crate::link::tesla::account::{Account, Standing};
use crate::link::tesla::error::TeslaError;
use crate::link::tesla::networking;
use crate::link::tesla::products::choose;
use crate::link::tesla::relay::RelayLink;
use crate::link::{Link, LinkError};
use crate::model::{LinkKind, OrderKind};
use crate::settings::{FleetConfig, GatewaySettings, LinkConfig};

/// Tesla takes its time.
const LIMIT: Duration = Duration::from_secs(30);

/// Examines the links of `gateway` that go through the cloud; `None`: it has none.
pub async fn examine(gateway: &GatewaySettings) -> Option<Diagnosis> {
    let id = &gateway.facts.id;
    let links = std::iter::once(gateway).chain(&gateway.standby);
    let links: Vec<_> = links.filter(|link| link.link.fleet().is_some()).collect();
    let preferred = gateway.link.fleet().is_some();
    let role = if preferred { "" } else { " as standby" };
    let first = links.first()?.link.fleet()?;
    let mut report = format!("gateway {id} through Tesla's cloud{role}\n");
    let mut healthy = true;
    for (place, link) in links.into_iter().enumerate() {
        let mut of_owners = None;
        // Which site a standby is follows from the gateway that the local link reaches.
        let tried = match (&link.link, preferred && place == 0) {
            (LinkConfig::Fleet(config), true) => {
                let account = Account::new(config.account.clone());
                of_owners = Some(account.clone());
                let orders = "reserve, mode, charging from the grid, export";
                poll(FleetLink::new(id, config, account, LIMIT), OrderKind::Reserve, orders).await
            }
            (LinkConfig::Relay(config), true) => {
                let account = Account::new(config.fleet.account.clone());
                poll(RelayLink::new(id, config, account, LIMIT), OrderKind::Islanding, "islanding").await
            }
            (other, _) => list(other.fleet()?).await,
        };
        healthy &= tried.is_ok();
        let (outcome, orders) = match tried {
            Ok(Found { what, orders }) => (format!("works: {what}"), orders),
            Err(error) => (error.to_string(), None),
        };
        let _ = writeln!(report, "  {:<14}{outcome}", super::label(link.link.kind()));
        if let Some(orders) = orders {
            let _ = writeln!(report, "  {:<14}{orders}", "orders");
        }
        if link.link.kind() == LinkKind::Cloud {
            let standing = of_owners.and_then(|account| account.standing());
            let advice = standing.map_or(Standing::Works, |standing| standing).advice();
            let _ = writeln!(report, "  → {advice}");
        }
    }
    if let Some((what, is_well)) = application::examine(&first.account).await {
        healthy &= is_well;
        let _ = writeln!(report, "  {:<14}{what}", "application");
    }
    if let Some(place) = at_home(first).await.filter(|_| healthy) {
        let _ = writeln!(report, "  {:<14}{place}", "on the LAN");
    }
    Some(Diagnosis { report, healthy })
}

/// Where the gateway is on its home network, and which one it is, if it can be told.
async fn at_home(config: &FleetConfig) -> Option<String> {
    if config.account.source.is_owners() {
        return None;
    }
    let account = Account::new(config.account.clone());
    let web = account.web(LIMIT);
    let sites = account.sites(&web, false).await.ok()?;
    let site = choose(&sites, None, config.site.or_else(|| account.site_of_file())).ok()?;
    if !account.may_control() {
        return None;
    }
    let address = networking::address(&account, &web, site.id).await.ok()??;
    let din = site.din.map(|din| format!(", DIN {din}")).unwrap_or_default();
    Some(format!("at {address}, as it reports over Tesla's cloud{din}"))
}

struct Found {
    what: String,
    /// Whether orders are taken, in words.
    orders: Option<String>,
}

/// Polls once; `kind` stands for the `orders` that may be taken.
async fn poll(mut link: impl Link, kind: OrderKind, orders: &str) -> Result<Found, LinkError> {
    let source = link.poll().await?;
    let what = described(&further(&mut link, source).await);
    let orders = match link.can_take(kind) {
        Ok(_) => format!("taken: {orders}"),
        Err(unable) => format!("not taken: {}", unable.message),
    };
    Ok(Found { what, orders: Some(orders) })
}

async fn list(config: &FleetConfig) -> Result<Found, LinkError> {
    let account = Account::new(config.account.clone());
    let sites = account.sites(&account.web(LIMIT), true).await?;
    if let Some(id) = config.site.filter(|id| sites.iter().all(|site| site.id != *id)) {
        return Err(TeslaError::Site(format!("the Tesla account has no site {id} (siteid)")).into());
    }
    let what = format!("the account has {} energy sites", sites.len());
    let orders = (!account.may_control()).then(|| "not taken: the consent covers reading only".to_owned());
    Ok(Found { what, orders })
}
