//! Defects on purpose, put in at the seams: the harness is worth its time only if it reports each of them.

use std::sync::Arc;
use std::time::Duration;

use awc::http::Method;
use bytes::Bytes;
use futures_util::future::{LocalBoxFuture, join};
use powerwall_server::directory::Directory;
use powerwall_server::link::https::{Answer, Call, Exchange};
use powerwall_server::link::knock::Knock;
use powerwall_server::link::login::Customer;
use powerwall_server::link::order::{Carried, End, ReadBack};
use powerwall_server::link::tedapi::channel::{Channel, Question};
use powerwall_server::link::tedapi::transport::{Request, Transport};
use powerwall_server::link::{Link, LinkError, Refreshed};
use powerwall_server::model::{Aggregate, Answers, LinkKind, Means, Order, OrderKind, Outcome, Unable};
use tokio::time::{Instant, sleep};

use crate::signed::{self, SIGNED};

/// What is wrong with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Two exchanges at the same time.
    NoSingleFlight,
    /// 429 and 503 are failures like others.
    NoCoolDown,
    /// Refused credentials are failures like others.
    NoPauseAfterRefusal,
    /// A failed exchange is tried again at once, and again.
    Impatient,
    /// Where a poll fails, the last good answer is passed off as a new one.
    OldAsNew,
    /// A gateway that was in trouble once is given up.
    GivesUp,
    /// The link of one gateway leads to another.
    Crossed,
    /// The sum goes on counting gateways whose data has expired.
    SumsTheMissing,
    /// The sum does not name who is missing.
    HidesTheMissing,
    /// Whatever goes wrong with the customer API, it logs in again.
    LogsInAtWill,
    /// Sessions and logins are forgotten with every poll.
    ForgetsLogins,
    /// An order is sent again, to be sure.
    OrdersAgain,
    /// What a gateway acknowledges is called stored.
    ClaimsTooMuch,
    /// A percent of the app is sent as one of the gateway.
    WrongScale,
    /// An order brings another mode along.
    OrdersMore,
    /// A byte of the configuration changes beside the one that should.
    ChangesAByte,
    /// What was ordered before a start is not known after it.
    ForgetsOrders,
    /// What reading back shows is what was hoped for.
    SeesWhatItHopes,
    /// The journal says yes and writes nothing down.
    OrdersUnrecorded,
    /// A check of a way that rests leaves its deadline in the past when the answer says nothing of the way.
    LeavesDeadlines,
    /// Wi-Fi does not take over from the LAN.
    NeverTakesOver,
    /// Lifetime energies that cannot be had are asked for again at once.
    ImpatientForEnergies,
    /// Requests are signed for another gateway.
    SignsForAnother,
    /// No bare connection is tried.
    NeverTriesConnections,
    /// Too many are.
    TriesConnectionsAtWill,
    /// One that is accepted is taken for one that is not.
    MissesTheReturn,
    /// Where one link of several fails, no other one is asked.
    NeverFailsOver,
    /// A link that has failed is not used again while there is another one.
    NeverFailsBack,
    /// One link does not know that the machine wants to be left alone over another one.
    KeepsSilenceToItself,
}

pub struct DefectiveTransport<T> {
    pub inner: T,
    pub defect: Option<Defect>,
}

impl<T: Transport> Transport for DefectiveTransport<T> {
    fn knock(&self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        self.inner.knock(limit)
    }

    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        let Some(defect) = self.defect else { return self.inner.exchange(request) };
        Box::pin(async move {
            let disguised = |what: &str| LinkError::Malformed { what: what.into(), why: String::new() };
            let outcome = match defect {
                Defect::NoSingleFlight => {
                    join(self.inner.exchange(request.clone()), self.inner.exchange(request)).await.0
                }
                Defect::Impatient => {
                    let mut outcome = self.inner.exchange(request.clone()).await;
                    for _ in 0..30 {
                        if outcome.is_ok() {
                            break;
                        }
                        outcome = self.inner.exchange(request.clone()).await;
                    }
                    outcome
                }
                _ => self.inner.exchange(request).await,
            };
            outcome.map_err(|error| match (defect, error) {
                (Defect::NoCoolDown, LinkError::RateLimited { .. } | LinkError::Busy { .. }) => {
                    disguised("busy")
                }
                (Defect::NoPauseAfterRefusal, LinkError::Refused { .. }) => disguised("refused"),
                (_, error) => error,
            })
        })
    }
}

impl<X: Exchange> Exchange for DefectiveTransport<X> {
    fn knock(&self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        self.inner.knock(limit)
    }

    fn exchange(&self, call: Call) -> LocalBoxFuture<'_, Result<Answer, LinkError>> {
        Box::pin(async move {
            let is_meters = call.path == "/api/meters/aggregates";
            let mut call = call;
            let is_order = call.path == "/api/operation" && call.method == Method::POST;
            if call.path == SIGNED {
                call.body = signed::rewritten(&call.body, |config| match self.defect {
                    Some(Defect::WrongScale) => in_app_percent(config),
                    Some(Defect::ChangesAByte) => config.replacen("California", "california", 1),
                    _ => config,
                });
            }
            if is_order {
                let text = String::from_utf8(call.body.to_vec()).unwrap();
                let mut body: serde_json::Value = serde_json::from_str(&text).unwrap();
                match self.defect {
                    Some(Defect::WrongScale) => {
                        let raw = body["backup_reserve_percent"].as_f64().unwrap();
                        body["backup_reserve_percent"] = (raw / 0.95 - 5.0 / 0.95).into();
                    }
                    Some(Defect::OrdersMore) => body["real_mode"] = "backup".into(),
                    _ => {}
                }
                call.body = body.to_string().into();
            }
            let mut answer = match self.defect {
                Some(Defect::OrdersAgain) if is_order || signed::is_order(&call) => {
                    let _ = self.inner.exchange(call.clone()).await;
                    self.inner.exchange(call).await
                }
                Some(Defect::NoSingleFlight) => {
                    join(self.inner.exchange(call.clone()), self.inner.exchange(call)).await.0
                }
                _ => self.inner.exchange(call).await,
            };
            if self.defect == Some(Defect::ImpatientForEnergies) && is_meters && answer.is_err() {
                answer = self.inner.exchange(Call::get("/api/meters/aggregates")).await;
            }
            let good = answer.as_ref().is_ok_and(|answer| matches!(answer.status, 200 | 401 | 403));
            if self.defect == Some(Defect::LogsInAtWill) && is_meters && !good {
                let login = Call { method: Method::POST, ..Call::get("/api/login/Basic") };
                let _ = self.inner.exchange(login).await;
            }
            if let Ok(answer) = &mut answer {
                answer.status = match (self.defect, answer.status) {
                    (Some(Defect::NoCoolDown), 429 | 503) => 500,
                    (Some(Defect::NoPauseAfterRefusal), 401 | 403) => 500,
                    (_, status) => status,
                };
            }
            answer
        })
    }
}

pub struct DefectiveLink {
    /// Makes another link to the same gateway, one that remembers nothing.
    pub anew: Box<dyn Fn() -> Box<dyn Link>>,
    pub inner: Box<dyn Link>,
    pub defect: Option<Defect>,
    last_good: Option<Arc<dyn Answers>>,
    has_failed: bool,
}

impl DefectiveLink {
    pub fn new(inner: Box<dyn Link>, anew: Box<dyn Fn() -> Box<dyn Link>>, defect: Option<Defect>) -> Self {
        Self { anew, inner, defect, last_good: None, has_failed: false }
    }
}

impl Link for DefectiveLink {
    fn kind(&self) -> LinkKind {
        self.inner.kind()
    }

    fn patience(&self, exchange: Duration) -> Duration {
        self.inner.patience(exchange)
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        if self.defect == Some(Defect::ForgetsLogins) {
            self.inner = (self.anew)();
        }
        match self.defect {
            Some(Defect::GivesUp) if self.has_failed => {
                Box::pin(async { Err(LinkError::Unreachable("given up".into())) })
            }
            Some(Defect::OldAsNew | Defect::GivesUp) => Box::pin(async {
                let outcome = self.inner.poll().await;
                self.has_failed |= outcome.is_err();
                match (&outcome, &self.last_good) {
                    (Err(_), Some(old)) if self.defect == Some(Defect::OldAsNew) => Ok(old.clone()),
                    _ => {
                        self.last_good = outcome.clone().ok();
                        outcome
                    }
                }
            }),
            _ => self.inner.poll(),
        }
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        self.inner.refresh()
    }

    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        match self.defect {
            Some(Defect::NeverTriesConnections) => Box::pin(async { Knock::Untried }),
            Some(Defect::TriesConnectionsAtWill) => Box::pin(async move {
                for _ in 0..3 {
                    self.inner.knock(limit / 4).await;
                }
                Knock::Nobody
            }),
            Some(Defect::MissesTheReturn) => Box::pin(async move {
                self.inner.knock(limit).await;
                Knock::Nobody
            }),
            _ => self.inner.knock(limit),
        }
    }

    fn carry_out<'a>(&'a mut self, order: &'a Order, limit: Duration) -> LocalBoxFuture<'a, Carried> {
        Box::pin(async move {
            let mut carried = self.inner.carry_out(order, limit).await;
            if let (Some(Defect::ClaimsTooMuch), End::Outcome(Outcome::Accepted(why))) =
                (self.defect, &carried.end)
            {
                carried.end = End::Outcome(Outcome::Stored(why.clone()));
            }
            carried
        })
    }

    fn read_back<'a>(&'a mut self, order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        Box::pin(async move {
            let mut read = self.inner.read_back(order).await;
            if let (Some(Defect::SeesWhatItHopes), Some(present)) = (self.defect, &mut read.present) {
                let hoped = order.setpoint().and_then(|asked| asked.reserve);
                present.reserve = hoped.map(|reserve| reserve.raw());
            }
            read
        })
    }

    fn order_limit(&self, kind: OrderKind, exchange: Duration) -> Duration {
        self.inner.order_limit(kind, exchange)
    }

    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        self.inner.can_take(kind)
    }
}

/// With the reserve as the app shows it.
fn in_app_percent(config: String) -> String {
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let reserve = &mut config["site_info"]["backup_reserve_percent"];
    *reserve = (reserve.as_f64().unwrap() / 0.95 - 5.0 / 0.95).into();
    config.to_string()
}

/// A way whose key signs for another gateway.
pub struct Misaddressed<C>(pub C);

impl<C: Channel> Channel for Misaddressed<C> {
    fn kind(&self) -> LinkKind {
        self.0.kind()
    }

    fn din(&mut self) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        self.0.din()
    }

    fn ask<'a>(&'a mut self, question: Question<'a>) -> LocalBoxFuture<'a, Result<Bytes, LinkError>> {
        self.0.ask(Question { din: "1232100-00-J--ANOTHER", ..question })
    }

    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        self.0.knock(limit)
    }

    fn customer(&self) -> Option<Customer<'_>> {
        self.0.customer()
    }

    fn reaches_followers(&self) -> bool {
        self.0.reaches_followers()
    }

    fn doubts_din(&self, error: &LinkError) -> bool {
        self.0.doubts_din(error)
    }
}

/// Publishes wrong sums beside the right ones, which is what a wrong Aggregator would do.
pub async fn sum_wrongly(directory: Arc<Directory>, defect: Defect) {
    loop {
        // Just before the witness looks.
        sleep(Duration::from_millis(999)).await;
        let now = Instant::now();
        let snapshots = directory.snapshots();
        let mut sum = Aggregate::of(&snapshots, now);
        for snapshot in &snapshots {
            if !sum.missing.contains(&snapshot.gateway.id) {
                continue;
            }
            let Some(reading) = &snapshot.reading else { continue };
            if defect == Defect::SumsTheMissing {
                let site = reading.telemetry.readings.power.site.map_or(0.0, |site| site.as_f64());
                sum.site = Some(sum.site.unwrap_or(0.0) + site);
            }
        }
        if defect == Defect::HidesTheMissing {
            sum.missing.clear();
        }
        directory.aggregate.publish(Arc::new(sum));
    }
}
