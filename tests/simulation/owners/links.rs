//! The links of the program, over wires that lead to simulated gateways and to a simulated owners API.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use powerwall_server::link::Link;
use powerwall_server::link::standby::Standby;
use powerwall_server::link::tedapi::TedapiLink;
use powerwall_server::link::tedapi::channel::FrameChannel;
use powerwall_server::link::tedapi::queries::Queries;
use powerwall_server::link::tesla::FleetLink;
use powerwall_server::link::tesla::account::{Account, Renewer};
use powerwall_server::model::{GatewayFacts, LinkKind};
use powerwall_server::settings::{
    AccountConfig, FleetConfig, GatewaySettings, LinkConfig, OWNERS_AUTH, OWNERS_FILE, Origin, QuerySet,
    TokenSource,
};
use powerwall_server::supervisor::LinkFactory;

use super::defects::{DefectiveWires, OwnersDefect, Touchy};
use super::plan::{Plan, Reach};
use super::tesla::{self, Tesla, TeslaWires};
use crate::cloud::local::Local;

const LIMIT: Duration = Duration::from_secs(5);

fn account(folder: &Path) -> AccountConfig {
    AccountConfig {
        source: TokenSource::Owners { file: folder.join(OWNERS_FILE), email: None },
        base: None,
        auth: Origin::of(OWNERS_AUTH),
        authorities: None,
        budget: None,
        ledger: Some(tesla::ledger(folder)),
    }
}

fn cloud(plan: &Plan, site: usize, account: AccountConfig) -> FleetConfig {
    FleetConfig { account, site: Some(tesla::id(site)), interval: plan.interval, takes_orders_first: false }
}

pub fn settings(plan: &Plan, folder: &Path) -> Vec<GatewaySettings> {
    let sites = plan.sites.iter().enumerate();
    let settings = sites.map(|(site, reach)| {
        let facts = GatewayFacts { id: format!("site-{site:02}"), ..GatewayFacts::default() };
        let config = cloud(plan, site, account(folder));
        GatewaySettings {
            facts: Arc::new(facts),
            link: match reach {
                Reach::Cloud | Reach::CloudFirst => LinkConfig::Fleet(config),
                _ => LinkConfig::Unsupported(LinkKind::Tedapi),
            },
            timeout: LIMIT,
            state_file: None,
            energies: None,
            standby: Vec::new(),
        }
    });
    settings.collect()
}

/// What connects one run of one program: all its sites share one account.
pub fn connect(plan: Plan, tesla: Arc<Tesla>, program: usize, defect: Option<OwnersDefect>) -> LinkFactory {
    let shared = Account::new(account(tesla.folder()));
    Arc::new(move |settings| {
        let id = &settings.facts.id;
        let site: usize = id[id.len() - 2..].parse().unwrap();
        let wires = DefectiveWires::new(TeslaWires::new(tesla.clone(), program), defect);
        let shown = if defect == Some(OwnersDefect::Crossed) { 0 } else { site };
        let config = cloud(&plan, shown, account(tesla.folder()));
        let cloud = || -> Box<dyn Link> {
            let web = Renewer::new(Rc::new(wires));
            Box::new(FleetLink::over(id, web, &config, shared.clone(), settings.timeout))
        };
        let local = || -> Box<dyn Link> {
            let (gateway, line) = tesla.local(site);
            let channel = FrameChannel::new(Local::new(gateway, line), LinkKind::Tedapi);
            Box::new(TedapiLink::over(id, channel, Queries::of(QuerySet::V2024_06), "192.168.91.1"))
        };
        match plan.sites[site] {
            Reach::Cloud => cloud(),
            Reach::LocalFirst => Box::new(Standby::new(id, vec![local(), cloud()], settings.timeout)),
            Reach::CloudFirst => Box::new(Standby::new(id, vec![cloud(), local()], settings.timeout)),
            Reach::Local if defect == Some(OwnersDefect::Disturbs) => {
                Box::new(Touchy(local(), tesla.clone()))
            }
            Reach::Local => local(),
        }
    })
}
