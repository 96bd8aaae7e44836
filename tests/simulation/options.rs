//! What happens in a simulated house: everything follows from the seed.

use std::fmt;
use std::time::Duration;

use powerwall_server::link::v1r::message::{BUSY, UNIT_TIMEOUT};
use powerwall_server::settings::{AuthMode, QuerySet};
use powerwall_server::simulator::{OrderFault, Role, SiteKind};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub const SECOND: Duration = Duration::from_secs(1);
const HOUR: u64 = 3600;
/// Every so-manieth seed lives through a whole day; the others through a part of one.
const WHOLE_DAYS: u64 = 100;
/// Firmware that gateways restart into.
const FIRMWARES: [&str; 3] = ["26.30.2 aa17c3de", "26.34.0 9be0147a", "27.2.1 00c4d1f3"];

/// What is wrong with a gateway for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trouble {
    /// Answers with this status; `retry_after` in seconds.
    Status {
        code: u16,
        retry_after: Option<u64>,
    },
    /// Takes the request and says nothing; the transport gives up at its limit.
    Hang,
    /// As `Hang`, over a transport that forgot its limit.
    HangForEver,
    /// Half the answer arrives, and nothing says that it is half.
    HalfBody,
    /// The connection ends in the middle of an answer.
    CutOff,
    Garbage,
    EmptyBody,
    /// The name is not found, or there is no route.
    Unreachable,
    /// Answers in between as late as the transport allows, and later.
    Slow,
    /// Answers well, but no meter has a value yet.
    NoMeters,
    /// An answer that kills the code that reads it.
    Killer,
    /// Down, then without meters, then back with other firmware.
    Reboot {
        firmware: &'static str,
    },
    /// Signed requests are rejected with this fault.
    Fault(i32),
    /// The key that signs waits to be confirmed.
    NotVerified,
    /// Signed requests are answered with nothing in them.
    NoEnvelope,
}

/// Trouble of one gateway, in time since the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spell {
    pub from: Duration,
    pub until: Duration,
    /// Only with requests of this role.
    pub role: Option<Role>,
    /// Only at this address.
    pub door: Option<Door>,
    pub trouble: Trouble,
}

impl Spell {
    /// Whether polls of a gateway that is reached this way notice it.
    pub fn touches_polls(&self, way: Way) -> bool {
        let of_energies = match way {
            Way::Local(_) | Way::Standby { .. } => false,
            Way::Tedapi(_) => matches!(self.role, Some(Role::Meters | Role::Login)),
            Way::Bearer | Way::V1r | Way::Pair => self.role == Some(Role::Meters),
        };
        let of_slow_data = matches!(
            self.role,
            Some(Role::Config | Role::Components | Role::SystemInfo | Role::Customer | Role::Order)
        );
        // A dead actor polls nobody, and a link that is held up neither.
        matches!(self.trouble, Trouble::Killer | Trouble::HangForEver)
            || !of_energies && (!of_slow_data || self.asks_for_silence())
    }

    fn asks_for_silence(&self) -> bool {
        matches!(self.trouble, Trouble::Status { code: 429 | 503, .. })
    }
}

/// What happens beside the gateways' own troubles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// The wall clock of this machine jumps by so many seconds.
    WallClock(f64),
    /// A gateway's own clock jumps forward.
    GatewayClock(usize, Duration),
    /// The configuration is read again, with another timeout for this gateway.
    Reconfigure(usize),
    /// Somebody asks this gateway for a reserve, in percent as the app shows it.
    Order(usize, f64),
    /// The same, for so many seconds.
    Lease(usize, f64, u64),
    /// Somebody else sets the reserve, in percent as the app shows it.
    Somebody(usize, f64),
    /// The program is killed and starts again.
    Killed,
    /// Something else is wrong from now on with how this gateway takes orders.
    OrderFault(usize, Option<OrderFault>),
}

/// An address of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// On the wired LAN, or in the home network.
    Lan,
    /// On the gateway's own Wi-Fi.
    Wifi,
}

/// How a gateway is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    Tedapi(QuerySet),
    Local(AuthMode),
    Bearer,
    V1r,
    /// V1r with Wi-Fi beside it.
    Pair,
    /// The customer API over the LAN and TEDAPI over Wi-Fi, as links that stand in for each other.
    Standby {
        local_first: bool,
    },
}

impl Way {
    pub fn is_signed(self) -> bool {
        matches!(self, Self::V1r | Self::Pair)
    }

    /// Whether polls may go over the customer API.
    pub fn polls_customer(self) -> bool {
        matches!(self, Self::Local(_) | Self::Standby { .. })
    }

    /// Whether there are two addresses, so that trouble at one is no trouble of the gateway.
    pub fn has_two_doors(self) -> bool {
        matches!(self, Self::Pair | Self::Standby { .. })
    }
}

/// One gateway.
#[derive(Clone, Debug)]
pub struct SitePlan {
    pub kind: SiteKind,
    pub way: Way,
    /// Whether the lifetime energies are read beside TEDAPI.
    pub energies: bool,
    /// How long a healthy exchange takes, ms.
    pub latency: std::ops::Range<u64>,
    /// In order, one at a time.
    pub spells: Vec<Spell>,
}

/// One simulated house.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    pub length: Duration,
    pub interval: Duration,
    pub timeout: Duration,
    pub cache_ttl: Duration,
    pub graceful: bool,
    pub sites: Vec<SitePlan>,
    /// In order.
    pub events: Vec<(Duration, Event)>,
}

impl Options {
    /// `hours`: how long, instead of what the seed says.
    pub fn of(seed: u64, hours: Option<u64>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed ^ 0x5e_ed0f_b01d);
        let interval = pick(&mut rng, &[5, 5, 5, 10, 15, 30, 60]);
        // The longer the interval the more of a day is affordable: a second of simulated time costs about the
        // same whatever happens in it, a poll costs extra.
        let shortened = match interval {
            0..30 => 1,
            _ => 2,
        };
        let hours = hours.unwrap_or(if seed.is_multiple_of(WHOLE_DAYS) { 24 } else { shortened });
        let length = SECOND * u32::try_from(hours * HOUR).unwrap();
        let timeout = pick(&mut rng, &[2, 5, 5, 10]);
        let sites = (0..3).map(|_| site(&mut rng, length.as_secs())).collect();
        let mut options = Self {
            seed,
            length,
            interval: Duration::from_secs(interval),
            timeout: Duration::from_secs(timeout),
            cache_ttl: Duration::from_secs(pick(&mut rng, &[30, 30, 10, 120])),
            graceful: rng.random_bool(0.8),
            sites,
            events: Vec::new(),
        };
        for _ in 0..rng.random_range(0..5) {
            let event = match rng.random_range(0..5) {
                0 | 1 => Event::WallClock(rng.random_range(-90_000.0..90_000.0)),
                2 => Event::GatewayClock(rng.random_range(0..3), random_seconds(&mut rng, 1, 7200)),
                _ => Event::Reconfigure(rng.random_range(0..3)),
            };
            options.events.push((random_seconds(&mut rng, 1, length.as_secs()), event));
        }
        // What a program that starts again makes of its leases depends on the wall clock.
        let jumps = options.events.iter().any(|(_, event)| matches!(event, Event::WallClock(_)));
        options.events.extend(crate::orders::plan(seed, length.as_secs(), !jumps));
        options.events.sort_by_key(|(at, _)| *at);
        options
    }
}

fn pick<T: Clone>(rng: &mut StdRng, from: &[T]) -> T {
    from[rng.random_range(0..from.len())].clone()
}

/// With fractions, so that things do not happen on the ticks.
fn random_seconds(rng: &mut StdRng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.random_range(from * 1000..to * 1000))
}

fn site(rng: &mut StdRng, length: u64) -> SitePlan {
    let way = pick(
        rng,
        &[
            Way::Tedapi(QuerySet::V2024_06),
            Way::Tedapi(QuerySet::V2024_06),
            Way::Tedapi(QuerySet::V2026_06),
            Way::Local(AuthMode::Cookie),
            Way::Local(AuthMode::Token),
            Way::Bearer,
            Way::V1r,
            Way::Pair,
            Way::Pair,
            Way::Standby { local_first: true },
            Way::Standby { local_first: false },
        ],
    );
    let kind = match way {
        Way::Tedapi(_) | Way::Local(_) | Way::Standby { .. } => {
            pick(rng, &[SiteKind::Powerwall2, SiteKind::Powerwall3, SiteKind::Inverter])
        }
        Way::Bearer => SiteKind::Inverter,
        Way::V1r | Way::Pair => pick(rng, &[SiteKind::Powerwall2, SiteKind::Powerwall3]),
    };
    let energies = !way.polls_customer() && rng.random_bool(0.5);
    let roles = roles(way, energies);
    let latency = pick(rng, &[5..6, 20..200, 200..900]);
    let spells = spells(rng, way, roles, length);
    assert!(spells.windows(2).all(|two| two[0].until <= two[1].from), "one after the other: {spells:?}");
    SitePlan { kind, way, energies, latency, spells }
}

/// What may go wrong with a gateway that is reached this way.
fn roles(way: Way, energies: bool) -> &'static [Role] {
    match way {
        Way::Tedapi(_) if !energies => {
            &[Role::Config, Role::Components, Role::SystemInfo, Role::Controller, Role::Status, Role::Din]
        }
        Way::Tedapi(_) | Way::Bearer | Way::V1r | Way::Pair => &[
            Role::Config,
            Role::Components,
            Role::SystemInfo,
            Role::Controller,
            Role::Status,
            Role::Din,
            Role::Login,
            Role::Meters,
            Role::Order,
        ],
        Way::Local(_) => &[Role::Login, Role::Meters, Role::Customer, Role::Order],
        Way::Standby { .. } => &[
            Role::Config,
            Role::Components,
            Role::Controller,
            Role::Status,
            Role::Din,
            Role::Login,
            Role::Meters,
            Role::Customer,
            Role::Order,
        ],
    }
}

/// What goes wrong, one after the other.
fn spells(rng: &mut StdRng, way: Way, roles: &[Role], length: u64) -> Vec<Spell> {
    let mut spells = Vec::new();
    // One in four has a good day.
    let mut at = if rng.random_bool(0.25) { length } else { rng.random_range(0..length.min(1800)) };
    while at < length {
        let trouble = match way.is_signed() && rng.random_bool(0.3) {
            true => signed_trouble(rng),
            false => trouble(rng),
        };
        let role = rng.random_bool(0.25).then(|| pick(rng, roles));
        let role = role.filter(|_| !matches!(trouble, Trouble::Reboot { .. } | Trouble::Unreachable));
        // Mostly short, as most troubles are; some longer than any pause.
        let lasts = match rng.random_range(0..10) {
            0..6 => random_seconds(rng, 1, 60),
            6..9 => random_seconds(rng, 30, 600),
            _ => random_seconds(rng, 600, 3600),
        };
        let from = Duration::from_secs(at) + random_seconds(rng, 0, 1);
        let door = match (way, trouble) {
            (_, Trouble::Reboot { .. }) => None,
            (Way::Pair | Way::Standby { .. }, _) => {
                pick(rng, &[None, Some(Door::Lan), Some(Door::Lan), Some(Door::Wifi)])
            }
            _ => None,
        };
        spells.push(Spell { from, until: from + lasts, role, door, trouble });
        let rest = match way {
            // While one of two ways rests, it is in for the next trouble.
            Way::Pair | Way::Standby { .. } => pick(rng, &[1, 1, 10, 120, 900]),
            _ => pick(rng, &[10, 120, 900, 900, 2400]),
        };
        at += lasts.as_secs() + 2 + rng.random_range(0..rest);
    }
    spells
}

/// What only signed requests are answered with.
fn signed_trouble(rng: &mut StdRng) -> Trouble {
    match rng.random_range(0..10) {
        0..3 => Trouble::Fault(BUSY),
        3..5 => Trouble::Fault(UNIT_TIMEOUT),
        5 => Trouble::NotVerified,
        6 => Trouble::NoEnvelope,
        _ => Trouble::Fault(rng.random_range(3..24)),
    }
}

fn trouble(rng: &mut StdRng) -> Trouble {
    let silence = |rng: &mut StdRng| {
        let asked = pick(rng, &[1, 120, 400, 900, 100_000]);
        rng.random_bool(0.5).then_some(asked)
    };
    match rng.random_range(0..17) {
        0 => Trouble::Status { code: 401, retry_after: None },
        1 => Trouble::Status { code: 403, retry_after: None },
        2 => Trouble::Status { code: 404, retry_after: None },
        3 => Trouble::Status { code: 429, retry_after: silence(rng) },
        4 => Trouble::Status { code: 503, retry_after: silence(rng) },
        5 => Trouble::Status { code: pick(rng, &[400, 500, 502]), retry_after: None },
        6 => Trouble::Hang,
        7 => Trouble::HangForEver,
        8 => Trouble::HalfBody,
        9 => Trouble::CutOff,
        10 => Trouble::Garbage,
        11 => Trouble::EmptyBody,
        12 => Trouble::Unreachable,
        13 => Trouble::Slow,
        14 => Trouble::NoMeters,
        15 => Trouble::Killer,
        _ => Trouble::Reboot { firmware: pick(rng, &FIRMWARES) },
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {} h, a poll every {:?}, timeout {:?}, TTL {:?}, degradation {}",
            self.seed,
            self.length.as_secs() / HOUR,
            self.interval,
            self.timeout,
            self.cache_ttl,
            if self.graceful { "graceful" } else { "off" },
        )?;
        for (index, site) in self.sites.iter().enumerate() {
            writeln!(
                f,
                "  gateway {index}: {:?}, {:?}, energies: {}, {:?} ms",
                site.kind, site.way, site.energies, site.latency
            )?;
            for spell in &site.spells {
                let role = spell.role.map(|role| format!(" with {role:?}")).unwrap_or_default();
                let door = spell.door.map(|door| format!(" at {door:?}")).unwrap_or_default();
                let (from, until) = (spell.from.as_secs_f64(), spell.until.as_secs_f64());
                writeln!(f, "    {from:.3} s to {until:.3} s: {:?}{role}{door}", spell.trouble)?;
            }
        }
        for (at, event) in &self.events {
            writeln!(f, "  {:.3} s: {event:?}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
