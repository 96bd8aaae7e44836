//! The way to a simulated gateway, and everything that goes wrong on it.

use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use powerwall_server::clock::unix_time;
use powerwall_server::link::LinkError;
use powerwall_server::link::https::{Answer, Call, Exchange};
use powerwall_server::link::knock::Knock;
use powerwall_server::link::tedapi::transport::{Request, Transport};
use powerwall_server::simulator::Role;
use rand::RngExt;
use tokio::time::{Instant, sleep, timeout};

use crate::answers::{Answers, Stamp, call_role, role_of};
use crate::conduct::Parked;
use crate::options::{Door, Spell, Trouble, Way};
use crate::signed::{self, SIGNED};
use crate::world::{Happened, World};

/// How many answers to polls are the simulator's whole document.
const WHOLE: f64 = 0.01;
const HINT: &str = "check the password";

/// Carries requests, with the duties of a real transport: the limit of one exchange, and a kind of error for
/// each status.
pub struct Wire {
    world: Arc<World>,
    site: usize,
    /// Which of the gateway's addresses it leads to.
    door: Door,
    limit: Duration,
    /// What the link on top of this must not ask yet.
    parked: Mutex<Parked>,
    /// The firmware that the customer API reported last: with another one, everything may be there.
    firmware: Mutex<String>,
}

impl Wire {
    pub fn new(world: Arc<World>, site: usize, door: Door, limit: Duration) -> Self {
        Self { world, site, door, limit, parked: Mutex::default(), firmware: Mutex::default() }
    }

    /// A bare connection: nobody takes it while there is nobody, everybody else does.
    async fn bare(&self, limit: Duration) -> Knock {
        let now = Instant::now();
        let kept = self.world.site(self.site).conduct.connection_begins(self.door, now);
        self.world.demand(self.site, kept);
        let spell = self.world.trouble(self.site, self.door, Role::Status);
        let is_down = |spell: &Spell| match spell.trouble {
            Trouble::Unreachable => true,
            Trouble::Reboot { .. } => is_down_for_reboot(spell, self.world.since()),
            _ => false,
        };
        let is_away = spell.filter(is_down).is_some();
        sleep(if is_away { limit } else { Duration::from_millis(2) }).await;
        self.world.site(self.site).conduct.connection_ends();
        self.world.count(if is_away { "nobody there" } else { "connection accepted" });
        if is_away { Knock::Nobody } else { Knock::Accepted }
    }

    /// One exchange, watched from its begin to its end.
    async fn carry(
        &self,
        role: Role,
        path: &str,
        answer: impl Fn(&mut Answers, Stamp, bool) -> Answer,
    ) -> Result<Answer, LinkError> {
        let now = Instant::now();
        let kept = self.world.site(self.site).conduct.request_begins(self.door, role, now);
        self.world.demand(self.site, kept);
        let kept = self.parked.lock().unwrap().request(path, now);
        self.world.demand(self.site, kept);
        let mut flight = Flight { wire: self, role, began: now, ended: false };
        let spell = self.world.trouble(self.site, self.door, role);
        let forgetful = spell.is_some_and(|spell| spell.trouble == Trouble::HangForEver);
        let served = self.serve(role, path == SIGNED, answer);
        let outcome = match forgetful {
            true => served.await,
            false => timeout(self.limit, served).await.unwrap_or(Err(LinkError::Timeout(self.limit))),
        };
        let result = outcome.clone().and_then(|answer| answer.ok(path, HINT));
        let error = result.as_ref().err();
        if role == Role::Login && error.is_none() {
            // A session may open what was closed.
            *self.parked.lock().unwrap() = Parked::default();
        }
        if path == "/api/status" && self.is_other_firmware(&result) {
            *self.parked.lock().unwrap() = Parked::default();
        }
        if !self.is_of_leader_of_pair(path) {
            self.parked.lock().unwrap().answer(path, role, error, now);
        }
        flight.end(error, error.map_or("ok", LinkError::kind));
        outcome
    }

    /// The leader may have answered over the other way what it does not serve over this one.
    fn is_of_leader_of_pair(&self, path: &str) -> bool {
        self.world.options.sites[self.site].way == Way::Pair
            && path.starts_with("/tedapi/device/")
            && path.contains(&self.world.site(self.site).answers.din())
    }

    fn order_arrives(&self, call: &Call) -> Result<(), String> {
        let mut site = self.world.site(self.site);
        let mode = site.answers.mode();
        match call.path == SIGNED {
            true => site.orders.arrives_signed(&call.body, Instant::now(), self.limit),
            false => site.orders.arrives(&call.body, mode),
        }
    }

    fn is_other_firmware(&self, status: &Result<Bytes, LinkError>) -> bool {
        let Ok(body) = status else { return false };
        let Ok(status) = serde_json::from_slice::<serde_json::Value>(body) else { return false };
        let version = status["version"].as_str().unwrap_or_default().to_owned();
        let known = std::mem::replace(&mut *self.firmware.lock().unwrap(), version.clone());
        known != version
    }

    /// The answer, with what is wrong at the moment of the request.
    async fn serve(
        &self,
        role: Role,
        is_signed: bool,
        answer: impl Fn(&mut Answers, Stamp, bool) -> Answer,
    ) -> Result<Answer, LinkError> {
        let world = &self.world;
        world.restart(self.site);
        let spell = world.trouble(self.site, self.door, role);
        let (latency, measured_first) = {
            let range = world.options.sites[self.site].latency.clone();
            let mut site = world.site(self.site);
            let usual = Duration::from_millis(site.rng.random_range(range));
            let latency = match spell.map(|spell| spell.trouble) {
                Some(Trouble::Slow) => self.limit.mul_f64(site.rng.random_range(0.2..1.3)),
                _ => usual,
            };
            (latency, site.rng.random_bool(0.5))
        };
        // A gateway may measure when it is asked, and take its time to say so; or just before it answers.
        let asked = world.since();
        sleep(latency).await;
        let measured = if measured_first { asked } else { world.since() };
        let healthy = || {
            let mut site = world.site(self.site);
            let whole = site.rng.random_bool(WHOLE);
            answer(&mut site.answers, Stamp::new(measured, self.site), whole)
        };
        let instead = |body: Bytes| Ok(plain(200, body));
        let Some(spell) = spell else { return Ok(healthy()) };
        match spell.trouble {
            Trouble::Status { code, retry_after } => {
                let retry_after = retry_after.map(Duration::from_secs);
                Ok(Answer { retry_after, ..plain(code, Bytes::new()) })
            }
            Trouble::Hang | Trouble::HangForEver => pending().await,
            Trouble::HalfBody => {
                let whole = healthy();
                let half = whole.body.slice(..whole.body.len() / 2);
                Ok(Answer { body: half, ..whole })
            }
            Trouble::CutOff => {
                // An order may be carried out before its answer is lost.
                if role == Role::Order {
                    healthy();
                }
                Err(lost("connection lost in the middle of an answer"))
            }
            Trouble::Garbage => instead(Bytes::from_static("\u{7f}no protobuf, no JSON".as_bytes())),
            Trouble::EmptyBody => instead(Bytes::new()),
            Trouble::Unreachable => Err(lost("no address for that name")),
            Trouble::Slow => Ok(healthy()),
            Trouble::Killer => std::panic::resume_unwind(Box::new("an answer that kills its reader")),
            Trouble::Reboot { .. } if is_down_for_reboot(&spell, world.since()) => {
                Err(lost("connection refused"))
            }
            Trouble::NoMeters | Trouble::Reboot { .. } => Ok(match (role, healthy()) {
                (Role::Status | Role::Controller, _) => plain(200, Answers::without_meters(is_signed)),
                (Role::Meters, answer) if answer.status == 200 => plain(200, Bytes::from_static(b"{}")),
                (_, answer) => answer,
            }),
            Trouble::Fault(fault) if is_signed => instead(signed::fault(fault)),
            Trouble::NotVerified if is_signed => instead(signed::not_verified()),
            Trouble::NoEnvelope if is_signed => instead(signed::fault(0)),
            Trouble::Fault(_) | Trouble::NotVerified | Trouble::NoEnvelope => Ok(healthy()),
        }
    }
}

/// A gateway that restarts is away at first.
fn is_down_for_reboot(spell: &Spell, now: Duration) -> bool {
    now < spell.from + (spell.until - spell.from).mul_f64(0.7)
}

fn plain(status: u16, body: Bytes) -> Answer {
    Answer { status, body, ..Answer::default() }
}

fn lost(why: &str) -> LinkError {
    LinkError::Unreachable(why.into())
}

/// One exchange under way; a client that goes away ends it as well.
struct Flight<'a> {
    wire: &'a Wire,
    role: Role,
    began: Instant,
    ended: bool,
}

impl Flight<'_> {
    fn end(&mut self, outcome: Option<&LinkError>, word: &'static str) {
        self.ended = true;
        let Wire { world, site, .. } = self.wire;
        let now = Instant::now();
        world.site(*site).conduct.request_ends(self.wire.door, self.role, outcome, now);
        world.count(word);
        match (self.role, world.options.sites[*site].way) {
            (Role::Login, _) => world.count("logins"),
            (Role::Meters, Way::Tedapi(_) | Way::Bearer | Way::V1r | Way::Pair) if word == "ok" => {
                world.count("energies");
            }
            (Role::Status | Role::Controller, Way::V1r) if word == "ok" => world.count("signed"),
            _ => {}
        }
        world.note(*site, Happened::Exchange { role: self.role, took: now - self.began, outcome: word });
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.end(None, if std::thread::panicking() { "crashed" } else { "abandoned" });
        }
    }
}

impl Transport for Wire {
    fn knock(&self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(self.bare(limit))
    }

    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async move {
            let role = role_of(&request);
            if role == Role::Order {
                self.world.violated(self.site, "an order goes where nobody signs");
            }
            let answer = self.carry(role, &request.path, |answers, stamp, whole| {
                match answers.answer(&request, role, stamp, whole) {
                    Ok(body) => plain(200, body),
                    Err(status) => plain(status, Bytes::new()),
                }
            });
            let answer = answer.await?;
            if role == Role::Config && answer.status == 200 {
                let ledger = &mut self.world.site(self.site).orders;
                ledger.shows_config(&answer.body, false, Instant::now());
            }
            answer.ok(&request.path, HINT)
        })
    }
}

impl Exchange for Wire {
    fn knock(&self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(self.bare(limit))
    }

    fn exchange(&self, call: Call) -> LocalBoxFuture<'_, Result<Answer, LinkError>> {
        Box::pin(async move {
            let role = call_role(&call);
            let (way, arrived) = (self.world.options.sites[self.site].way, unix_time());
            if role == Role::Order {
                let kept = self.order_arrives(&call);
                self.world.demand(self.site, kept);
            }
            let answer = |answers: &mut Answers, stamp, whole| match way {
                Way::Local(_) | Way::Standby { .. } => answers.customer(&call, stamp),
                _ => answers.call(&call, way, arrived, stamp, whole),
            };
            let outcome = self.carry(role, &call.path, answer).await;
            if let Ok(answer) = &outcome {
                let ledger = &mut self.world.site(self.site).orders;
                match role {
                    Role::Order => ledger.answered(&call, answer),
                    Role::Config => ledger.shows_config(&answer.body, call.path == SIGNED, Instant::now()),
                    _ if call.path == "/api/operation" => ledger.shows(&answer.body, Instant::now()),
                    _ => {}
                }
            }
            outcome
        })
    }
}
