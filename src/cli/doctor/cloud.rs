//! What is wrong with the way through Tesla's cloud, if anything: token, consent, region, account and site,
//! in one line.

use std::fmt::Write;
use std::time::Duration;

use super::Diagnosis;
use super::probes::{described, further};
use crate::link::tesla::FleetLink;
use crate::link::tesla::account::Account;
use crate::link::tesla::error::TeslaError;
use crate::link::{Link, LinkError};
use crate::model::OrderKind;
use crate::settings::{FleetConfig, GatewaySettings, LinkConfig};

/// Tesla takes its time.
const LIMIT: Duration = Duration::from_secs(30);

/// Examines the FleetAPI link of `gateway`; `None`: it has none.
pub async fn examine(gateway: &GatewaySettings) -> Option<Diagnosis> {
    let links = std::iter::once(gateway).chain(&gateway.standby);
    let config = links.clone().find_map(|link| match &link.link {
        LinkConfig::Fleet(config) => Some(config),
        _ => None,
    })?;
    let is_preferred = matches!(gateway.link, LinkConfig::Fleet(_));
    let id = &gateway.facts.id;
    let role = if is_preferred { "" } else { " as standby" };
    let mut report = format!("gateway {id} over FleetAPI{role}\n");
    let tried = match is_preferred {
        true => poll(id, config).await,
        // Which site it is follows from the gateway that the local link reaches.
        false => list(config).await,
    };
    let healthy = tried.is_ok();
    let (outcome, orders) = match tried {
        Ok(Found { what, orders }) => (format!("works: {what}"), orders),
        Err(error) => (error.to_string(), None),
    };
    let _ = writeln!(report, "  {:<14}{outcome}", "FleetAPI");
    if let Some(orders) = orders {
        let _ = writeln!(report, "  {:<14}{orders}", "orders");
    }
    Some(Diagnosis { report, healthy })
}

struct Found {
    what: String,
    /// Whether orders are taken, in words.
    orders: Option<String>,
}

async fn poll(id: &str, config: &FleetConfig) -> Result<Found, LinkError> {
    let account = Account::new(config.account.clone());
    let mut link = FleetLink::new(id, config, account, LIMIT);
    let source = link.poll().await?;
    let what = described(&further(&mut link, source).await);
    let orders = match link.can_take(OrderKind::Reserve) {
        Ok(_) => "taken: reserve, mode, charging from the grid, export".to_owned(),
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
