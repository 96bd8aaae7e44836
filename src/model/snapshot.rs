//! What the service knows of one gateway at one moment: the last good telemetry and how polling goes.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::order::{Lease, Order};
use super::{Capability, FailureTally, Freshness, NumberingMemory, Place, PollTimes, Telemetry, Ttl};

/// What may be shown of a gateway's configuration. Holds no secret and no path.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GatewayFacts {
    pub id: String,
    pub name: String,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub rsa_key_configured: bool,
    pub wifi_host: Option<String>,
    pub site_id: Option<String>,
    pub timezone: Option<String>,
    pub cloud_mode: bool,
    pub fleetapi: bool,
    /// The contract calls it `type`.
    pub kind: GatewayKind,
    /// The links that the settings allow, the preferred one first.
    pub links: Vec<LinkKind>,
    /// Why it is these.
    pub reason: &'static str,
    /// A Powerwall 3 over its wired LAN is configured like a Powerwall 2; only the gateway knows which it is.
    pub may_be_basic_lan: bool,
    /// What a fleet is searched and summed by.
    #[serde(skip)]
    pub labels: Labels,
    /// Which gateway of which site it is, if another instance of this program reports it.
    #[serde(skip)]
    pub place: Option<Place>,
}

/// What people sort gateways by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Sorted as given.
    pub tags: Vec<String>,
    /// Whose it is, or where.
    pub group: Option<String>,
}

impl GatewayFacts {
    /// Whether the settings ask for the gateway's own protocol, in any of its forms.
    pub fn expects_tedapi(&self) -> bool {
        self.links.iter().any(|link| link.is_tedapi())
    }
}

/// What bodies and reports call these links: a stable word.
pub fn mode_name(links: &[LinkKind]) -> Cow<'static, str> {
    match links {
        [LinkKind::V1r, LinkKind::Tedapi] => "v1r+wifi".into(),
        [LinkKind::FleetApi] => "fleetapi".into(),
        [only] => only.word().into(),
        several => several.iter().map(|link| link.word()).collect::<Vec<_>>().join("+").into(),
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayKind {
    #[default]
    Powerwall,
    /// Solar only: no battery, no backup.
    Inverter,
}

/// One way to reach a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    Tedapi,
    /// TEDAPI with an installer login.
    Bearer,
    V1r,
    Local,
    Cloud,
    FleetApi,
    /// TEDAPI v1r, carried by FleetAPI.
    Relay,
    /// Another instance of this program, over a broker.
    Broker,
}

impl LinkKind {
    /// As people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tedapi => "TEDAPI",
            Self::Bearer => "TEDAPI with an installer login",
            Self::V1r => "TEDAPI v1r",
            Self::Local => "the local customer API",
            Self::Cloud => "the owners API",
            Self::FleetApi => "FleetAPI",
            Self::Relay => "the relay (TEDAPI v1r through Tesla's cloud)",
            Self::Broker => "another instance, over a broker",
        }
    }

    /// Whether the gateway's own protocol is spoken, in any of its forms.
    pub fn is_tedapi(self) -> bool {
        matches!(self, Self::Tedapi | Self::Bearer | Self::V1r | Self::Relay)
    }

    /// A stable word, as it is serialised.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tedapi => "tedapi",
            Self::Bearer => "bearer",
            Self::V1r => "v1r",
            Self::Local => "local",
            Self::Cloud => "cloud",
            Self::FleetApi => "fleet_api",
            Self::Relay => "relay",
            Self::Broker => "broker",
        }
    }

    /// As clients of the servers before this one know it.
    pub fn connection_mode(self) -> &'static str {
        match self {
            Self::Tedapi | Self::Bearer => "TEDAPI",
            Self::V1r | Self::Relay => "TEDAPI v1r",
            Self::Local => "Local",
            Self::Cloud => "Cloud",
            Self::FleetApi => "FleetAPI",
            Self::Broker => "Broker",
        }
    }

    /// The same for TEDAPI alone: `off` where it is not spoken.
    pub fn tedapi_mode(self) -> &'static str {
        match self {
            Self::Tedapi | Self::Bearer => "full",
            Self::V1r | Self::Relay => "v1r",
            Self::Local | Self::Cloud | Self::FleetApi | Self::Broker => "off",
        }
    }
}

/// How one link does.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkHealth {
    pub kind: LinkKind,
    /// Whether readings come this way at present. Of two, both may be in use.
    pub in_use: bool,
    /// What it is used for, or why it is not.
    pub why: String,
    pub last_success: Option<Instant>,
    pub last_error: Option<ErrorNote>,
    /// How often it failed since it last worked.
    pub failures: u32,
    /// Left alone until then; `None`: asked whenever there is something to ask.
    pub next_try: Option<Instant>,
}

/// An error with its kind (a stable word, see `LinkError::kind`) and a text for the person who must act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorNote {
    pub kind: &'static str,
    pub message: String,
}

/// How polling of a gateway goes.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Polls that failed since the last good one. 0 with no reading: not polled yet.
    pub consecutive_failures: u32,
    /// When the first of them ended; `None` after a good poll.
    pub failing_since: Option<Instant>,
    /// Why the last poll failed, or what asked for the present cool-down; `None` after a good poll.
    pub last_error: Option<ErrorNote>,
    /// When the last poll ended, however it ended.
    pub last_attempt: Option<Instant>,
    /// How long the last good poll took.
    pub latency: Option<Duration>,
    /// When the next poll starts.
    pub next_attempt: Option<Instant>,
    /// Until when the gateway asked to be left alone (429, 503); `None` after a good poll.
    pub cooldown_until: Option<Instant>,
    pub polls: u64,
    pub failures: u64,
    /// The failures by their kind.
    pub failures_by_kind: FailureTally,
    /// How long the polls took.
    pub poll_times: PollTimes,
    /// Bare connections that were tried while the gateway did not answer: to see them counted and bounded.
    pub bare_connections: u64,
    /// How often this gateway's actor died and was started again.
    pub restarts: u32,
    /// When that happened last, and how often before in quick succession.
    pub last_restart: Option<Instant>,
    pub restarts_in_a_row: u32,
    pub links: Vec<LinkHealth>,
    /// What orders it takes at present, and what stands in the way of the others. Empty: not polled yet.
    pub capabilities: Arc<[Capability]>,
    /// Orders that wait, are under way, or have not been seen stored or in effect yet; the oldest first.
    pub pending: Arc<[Order]>,
    /// What holds for a time only, and what is being restored.
    pub leases: Arc<[Lease]>,
}

/// The last good telemetry and when it was taken.
#[derive(Clone, Debug)]
pub struct Reading {
    pub telemetry: Arc<Telemetry>,
    /// For ages.
    pub taken: Instant,
    /// For labels: Unix seconds.
    pub taken_at: f64,
}

/// Immutable; replaced as a whole by its GatewayActor.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub gateway: Arc<GatewayFacts>,
    /// Grows with every publication of this gateway, also across restarts of its actor.
    pub sequence: u64,
    pub ttl: Ttl,
    pub reading: Option<Reading>,
    pub health: Health,
    /// The numbers of this gateway's units; outlives its actor.
    pub numbering: Arc<NumberingMemory>,
}

impl Health {
    /// Counts a failure that ended at `now`.
    pub fn count_failure(&mut self, error: ErrorNote, now: Instant) {
        self.failures += 1;
        self.failures_by_kind.record(error.kind);
        self.consecutive_failures += 1;
        self.failing_since.get_or_insert(now);
        self.last_error = Some(error);
    }
}

impl Snapshot {
    /// The snapshot before the first poll.
    pub fn initial(gateway: Arc<GatewayFacts>, ttl: Ttl) -> Self {
        Self {
            gateway,
            sequence: 0,
            ttl,
            reading: None,
            health: Health::default(),
            numbering: Arc::default(),
        }
    }

    pub fn freshness(&self, now: Instant) -> Freshness {
        let usual = |reading: &Reading| reading.taken + reading.telemetry.answers().usual_age();
        let taken = self.reading.as_ref().map(usual);
        // Nobody asks for newer data during a cool-down, even if it was not a poll that led to it.
        let is_troubled = self.health.consecutive_failures > 0 || self.health.cooldown_until.is_some();
        self.ttl.judge(taken, is_troubled, now)
    }

    /// The telemetry, if it may still be shown at `now`.
    pub fn telemetry(&self, now: Instant) -> Option<&Arc<Telemetry>> {
        let reading = self.reading.as_ref()?;
        self.freshness(now).has_data().then_some(&reading.telemetry)
    }

    /// The way its readings come at present; `None` before the first.
    pub fn link_in_use(&self) -> Option<LinkKind> {
        let links = self.health.links.iter();
        let mut used = links.filter(|link| link.in_use && link.last_success.is_some());
        used.next().map(|link| link.kind)
    }

    /// Age of the last good telemetry, shown or not.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.reading.as_ref().map(|reading| now.saturating_duration_since(reading.taken))
    }
}
