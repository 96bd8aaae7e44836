//! `doctor`: tries every way to a gateway that the given credentials allow, and says which work and what to
//! do next.
//!
//! It keeps to the same login budget and the same cool-downs as the service: both are in the same file.

mod advice;
mod application;
#[cfg(feature = "broker")]
pub mod broker;
pub mod cloud;
mod probes;

use std::fmt::Write;

use crate::link::LinkError;
use crate::link::https::Https;
use crate::link::look::{Seen, look};
use crate::link::memory::Memories;
use crate::model::{LinkKind, mode_name};
use crate::settings::{LinkConfig, Ways};
use probes::PROBES;

/// What one way did.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    /// With what it brought.
    Works(String),
    Failed(LinkError),
    /// Why not.
    NotTried(&'static str),
}

/// One link and what it did.
#[derive(Clone, Debug, PartialEq)]
struct Finding {
    link: LinkKind,
    outcome: Outcome,
}

/// What the report calls a link.
fn label(link: LinkKind) -> &'static str {
    match link {
        LinkKind::Tedapi => "TEDAPI",
        LinkKind::Local => "customer API",
        LinkKind::V1r => "TEDAPI v1r",
        LinkKind::Bearer => "TEDAPI bearer",
        LinkKind::Relay => "relay",
        LinkKind::Cloud => "owners API",
        other => other.name(),
    }
}

/// What is to be said of a gateway.
pub struct Diagnosis {
    pub report: String,
    /// Whether what is configured works; without anything complete configured, whether anything does.
    pub healthy: bool,
}

/// Examines the gateway of `ways`, one exchange after the other.
pub async fn examine(ways: &Ways) -> Diagnosis {
    let mut report = match &ways.configured {
        Some(gateway) => {
            format!(
                "gateway {} at {}:{}, configured for {}\n",
                ways.id,
                ways.host,
                ways.port,
                mode_name(&gateway.facts.links)
            )
        }
        None => format!("gateway {} at {}:{}\n", ways.id, ways.host, ways.port),
    };
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(report, "  {name:<14}{text}");
    };
    let memories = Memories::default();
    let seen = glance(ways, &memories).await;
    line("address", &describe(&seen));
    let findings = match &seen {
        Ok(_) => {
            let mut findings = Vec::new();
            for probe in PROBES {
                let finding = probe(ways, &memories).await;
                line(label(finding.link), &finding.text());
                findings.push(finding);
            }
            findings
        }
        Err(_) => Vec::new(),
    };
    for advice in advice::of(ways, &seen, &findings) {
        let _ = writeln!(report, "  → {advice}");
    }
    let works = |link| findings.iter().any(|finding| finding.link == link && finding.works());
    let healthy = match configured(ways) {
        Some(link) => works(link),
        None => findings.iter().any(Finding::works),
    };
    Diagnosis { report, healthy }
}

/// The link that is configured, if it can be examined.
fn configured(ways: &Ways) -> Option<LinkKind> {
    let link = ways.configured.as_ref().map(|gateway| &gateway.link)?;
    (!matches!(link, LinkConfig::Unsupported(_))).then(|| link.kind())
}

/// What stands there, if it may be asked at all.
async fn glance(ways: &Ways, memories: &Memories) -> Result<Seen, LinkError> {
    let any = ways.configured.as_ref().or(ways.tedapi.as_ref()).or(ways.customer.as_ref());
    let certificate = any.and_then(|gateway| gateway.link.certificate()).cloned().unwrap_or_default();
    let limit = any.map_or(probes::LIMIT, |gateway| gateway.timeout);
    let file = any.and_then(|gateway| gateway.state_file.as_deref());
    let id = any.map_or(ways.host.as_str(), |gateway| gateway.facts.id.as_str());
    let memory = memories.at(id, &ways.host, ways.port, file);
    memory.recall().await;
    if let Some(left) = memory.silence_left() {
        return Err(LinkError::Silence { left });
    }
    let seen = look(&Https::new(&ways.host, ways.port, &certificate, limit)).await;
    if let Err(error) = &seen {
        memory.heed(error).await;
    }
    seen
}

fn describe(seen: &Result<Seen, LinkError>) -> String {
    match seen {
        Ok(Seen::Gateway { firmware, kind, .. }) => {
            let kind = kind.as_deref().map(|kind| format!(" ({kind})")).unwrap_or_default();
            let firmware = firmware.as_deref().map(|text| format!(", firmware {text}")).unwrap_or_default();
            format!("a Powerwall gateway answers{kind}{firmware}")
        }
        Ok(Seen::Powerwall3) => "a Powerwall 3 answers".into(),
        Ok(Seen::Guarded) => "a gateway answers; it reports nothing without a login".into(),
        Ok(Seen::Stranger) => "something answers, but not like a gateway".into(),
        Err(error) => error.to_string(),
    }
}

impl Finding {
    fn works(&self) -> bool {
        matches!(self.outcome, Outcome::Works(_))
    }

    fn is_refused(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(LinkError::Refused { .. }))
    }

    fn text(&self) -> String {
        match &self.outcome {
            Outcome::Works(what) => format!("works: {what}"),
            // What to do about it is said below, from all that was found.
            Outcome::Failed(LinkError::Refused { status, .. }) if self.link != LinkKind::V1r => {
                format!("the password is refused (HTTP {status})")
            }
            Outcome::Failed(error) => error.to_string(),
            Outcome::NotTried(why) => format!("not tried: {why}"),
        }
    }
}
