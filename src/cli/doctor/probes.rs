//! One probe for each way to a gateway. A probe polls over the link that the service would use.

use std::sync::Arc;

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::timeout;

use super::{Finding, Outcome};
use crate::link::memory::Memories;
use crate::link::{Link, LinkError, connect_with};
use crate::model::{Adjustments, Answers, LinkKind, Number, Telemetry};
use crate::settings::{GatewaySettings, Ways};

/// Limit of one exchange where nothing is configured.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// A poll is three exchanges at most.
const EXCHANGES_OF_A_POLL: u32 = 3;
/// Enough further questions to learn the firmware and how much of an API there is.
const FURTHER_QUESTIONS: usize = 4;

pub(super) type Probe = for<'a> fn(&'a Ways, &'a Memories) -> LocalBoxFuture<'a, Finding>;

/// All of them, in the order in which they are tried: the one that never logs in first.
pub(super) const PROBES: [Probe; 4] = [tedapi, customer, v1r, bearer];

fn tedapi<'a>(ways: &'a Ways, memories: &'a Memories) -> LocalBoxFuture<'a, Finding> {
    Box::pin(async {
        let missing = "it needs the gateway password (gw_pwd, PW_GW_PWD), on the gateway's sticker";
        Finding { link: LinkKind::Tedapi, outcome: poll(ways.tedapi.as_ref(), memories, missing).await }
    })
}

fn customer<'a>(ways: &'a Ways, memories: &'a Memories) -> LocalBoxFuture<'a, Finding> {
    Box::pin(async {
        let missing = "it needs the customer password (password, PW_PASSWORD)";
        Finding { link: LinkKind::Local, outcome: poll(ways.customer.as_ref(), memories, missing).await }
    })
}

fn v1r<'a>(ways: &'a Ways, memories: &'a Memories) -> LocalBoxFuture<'a, Finding> {
    Box::pin(async {
        let missing = "it needs a registered RSA key (rsa_key_path, PW_RSA_KEY_PATH) and a password";
        Finding { link: LinkKind::V1r, outcome: poll(ways.v1r.as_ref(), memories, missing).await }
    })
}

/// Only where it is configured: gateways with batteries refuse it, and each attempt is a login.
fn bearer<'a>(ways: &'a Ways, memories: &'a Memories) -> LocalBoxFuture<'a, Finding> {
    Box::pin(async {
        let configured = ways.configured.as_ref();
        let gateway = configured.filter(|gateway| gateway.link.kind() == LinkKind::Bearer);
        let missing = "it is for solar inverters only (tedapi_auth_mode bearer, PW_TEDAPI_AUTH_MODE)";
        Finding { link: LinkKind::Bearer, outcome: poll(gateway, memories, missing).await }
    })
}

/// Polls once over the link that `gateway` makes.
async fn poll(gateway: Option<&GatewaySettings>, memories: &Memories, missing: &'static str) -> Outcome {
    let Some(gateway) = gateway else { return Outcome::NotTried(missing) };
    let mut link = connect_with(gateway, memories);
    let limit = gateway.timeout * EXCHANGES_OF_A_POLL;
    match timeout(limit, link.poll()).await.unwrap_or(Err(LinkError::Timeout(limit))) {
        Ok(source) => Outcome::Works(described(&further(&mut *link, source).await)),
        Err(error) => Outcome::Failed(error),
    }
}

/// What a few more questions bring.
pub(super) async fn further(link: &mut dyn Link, mut source: Arc<dyn Answers>) -> Arc<dyn Answers> {
    for _ in 0..FURTHER_QUESTIONS {
        let refreshed = link.refresh().await;
        source = refreshed.source.unwrap_or(source);
        if !refreshed.more || refreshed.problem.is_some() {
            break;
        }
    }
    source
}

pub(super) fn described(source: &Arc<dyn Answers>) -> String {
    let telemetry = Telemetry::new(source.clone(), Adjustments::default());
    let readings = &telemetry.readings;
    let watts = |name: &str, power: Option<Number>| match power {
        // What rounds to nothing has no sign.
        Some(power) => format!("{name} {:.0} W", power.as_f64().round() + 0.0),
        None => format!("{name} unknown"),
    };
    let power = readings.power;
    let mut text = [
        watts("grid", power.site),
        watts("home", power.load),
        watts("solar", power.solar),
        watts("battery", power.battery),
    ]
    .join(", ");
    if let Some(percent) = readings.charge.state_of_energy() {
        text += &format!(", charge {:.1} %", percent.to_app_clamped().0);
    }
    if let Some(firmware) = &readings.firmware {
        text += &format!("; firmware {firmware}");
    }
    let counter = telemetry.site().meters.as_ref().and_then(|meters| meters.site.imported);
    if let Some(counter) = counter {
        text += &format!("; lifetime energies counted by {}", counter.source.words());
    }
    if source.is_basic_lan() {
        text += "; Basic LAN: power, charge and grid status only";
    }
    text
}
