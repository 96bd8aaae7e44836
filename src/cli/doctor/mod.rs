//! `doctor`: tries every way to a gateway that the given credentials allow, and says which work and what to do next.
//!
//! It keeps to the same login budget and the same silences as the service: both stand in the same file.

mod advice;
mod probes;

use std::fmt::Write;

use crate::link::LinkError;
use crate::link::https::Https;
use crate::link::look::{Seen, look};
use crate::link::memory::Memories;
use crate::settings::{Access, GatewaySettings, Ways};
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

/// One way and what it did.
#[derive(Clone, Debug, PartialEq)]
struct Finding {
    way: Way,
    outcome: Outcome,
}

/// The ways there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Tedapi,
    Customer,
    V1r,
    /// TEDAPI with an installer login.
    Bearer,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Tedapi => "TEDAPI",
            Self::Customer => "customer API",
            Self::V1r => "TEDAPI v1r",
            Self::Bearer => "TEDAPI bearer",
        }
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
                ways.id, ways.host, ways.port, gateway.facts.mode
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
                line(finding.way.name(), &finding.text());
                findings.push(finding);
            }
            findings
        }
        Err(_) => Vec::new(),
    };
    for advice in advice::of(ways, &seen, &findings) {
        let _ = writeln!(report, "  → {advice}");
    }
    let works = |way: Way| findings.iter().any(|finding| finding.way == way && finding.works());
    let healthy = match ways.configured.as_ref().and_then(configured_way) {
        Some(way) => works(way),
        None => findings.iter().any(Finding::works),
    };
    Diagnosis { report, healthy }
}

fn configured_way(gateway: &GatewaySettings) -> Option<Way> {
    match gateway.access {
        Access::Tedapi(_) => Some(Way::Tedapi),
        Access::Local(_) => Some(Way::Customer),
        Access::V1r(_) => Some(Way::V1r),
        Access::Bearer(_) => Some(Way::Bearer),
        Access::Unsupported(_) => None,
    }
}

/// What stands there, if it may be asked at all.
async fn glance(ways: &Ways, memories: &Memories) -> Result<Seen, LinkError> {
    let any = ways.configured.as_ref().or(ways.tedapi.as_ref()).or(ways.customer.as_ref());
    let certificate = any.and_then(probes::certificate).cloned().unwrap_or_default();
    let limit = any.map_or(probes::LIMIT, |gateway| gateway.timeout);
    let file = any.and_then(|gateway| gateway.state_file.as_deref());
    let memory = memories.at(&ways.host, ways.port, file);
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
        Ok(Seen::Guarded) => "a gateway answers; it tells nothing without a login".into(),
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
            Outcome::Failed(LinkError::Refused { status, .. }) if self.way != Way::V1r => {
                format!("the password is refused (HTTP {status})")
            }
            Outcome::Failed(error) => error.to_string(),
            Outcome::NotTried(why) => format!("not tried: {why}"),
        }
    }
}
