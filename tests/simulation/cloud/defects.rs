//! Defects on purpose, in dealing with Tesla.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use awc::http::Method;
use futures_util::future::LocalBoxFuture;
use powerwall_server::link::https::{Answer, Call};
use powerwall_server::link::tesla::error::TeslaError;
use powerwall_server::link::tesla::web::Wires;
use powerwall_server::link::{Link, LinkError, Refreshed};
use powerwall_server::model::{Answers, LinkKind};
use powerwall_server::settings::Origin;

use super::tesla::TeslaWires;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloudDefect {
    /// A refresh token is used twice, to be sure.
    RefreshesTwice,
    /// New tokens are used before they are on the disk.
    StoresNothing,
    /// That a login is needed is taken for trouble at Tesla.
    TriesForEver,
    /// The region is not remembered.
    ForgetsRegion,
    NoBudget,
    /// 429 is a failure like others.
    HeedsNoPause,
    /// What Tesla asked for is not known after a start.
    ForgetsPauses,
    OrdersTwice,
    /// What Tesla has stored counts for what the gateway has.
    BelievesTheCloud,
    /// A gateway is shown as another site of the account.
    Crossed,
    /// Every reading is asked for again and again.
    Impatient,
    /// Once Tesla was in trouble, it is given up.
    GivesUp,
}

/// Each with what is said of it.
pub const ALL: [(CloudDefect, &str); 12] = [
    (CloudDefect::RefreshesTwice, "a refresh token is used again"),
    (CloudDefect::StoresNothing, "not on the disk"),
    (CloudDefect::TriesForEver, "although a login is required"),
    (CloudDefect::ForgetsRegion, "another region than the one that was named"),
    (CloudDefect::NoBudget, "of a budget of"),
    (CloudDefect::HeedsNoPause, "before the pause is over"),
    (CloudDefect::ForgetsPauses, "before the pause is over"),
    (CloudDefect::OrdersTwice, "an order arrives again"),
    (CloudDefect::BelievesTheCloud, "does not have it"),
    (CloudDefect::Crossed, "shows another one"),
    (CloudDefect::Impatient, "requests within a minute"),
    (CloudDefect::GivesUp, "and not live"),
];

/// Between an account and Tesla.
pub struct DefectiveWires {
    inner: TeslaWires,
    defect: Option<CloudDefect>,
    /// What a defect remembers: the first host, or that something failed.
    known: RefCell<Option<Origin>>,
}

impl DefectiveWires {
    pub fn new(inner: TeslaWires, defect: Option<CloudDefect>) -> Self {
        Self { inner, defect, known: RefCell::default() }
    }

    /// What a defect does before the call itself.
    async fn before(&self, to: &Origin, call: &Call, is_token: bool) -> Result<(), TeslaError> {
        let is_order = call.method == Method::POST && !is_token;
        match self.defect {
            Some(CloudDefect::RefreshesTwice) if is_token => {
                let _ = self.inner.send(to, call.clone()).await;
            }
            Some(CloudDefect::OrdersTwice) if is_order => {
                let _ = self.inner.send(to, call.clone()).await;
            }
            Some(CloudDefect::Impatient) if !is_token && !is_order => {
                for _ in 0..30 {
                    let _ = self.inner.send(to, call.clone()).await;
                }
            }
            Some(CloudDefect::ForgetsRegion) if !is_token && !call.path.contains("region") => {
                let first = self.known.borrow_mut().get_or_insert_with(|| to.clone()).clone();
                if first != *to {
                    let _ = self.inner.send(&first, call.clone()).await;
                }
            }
            Some(CloudDefect::StoresNothing) if !is_token => self.inner.tesla().forget_file(),
            Some(CloudDefect::GivesUp) if self.known.borrow().is_some() => {
                return Err(TeslaError::Unreachable("given up".into()));
            }
            _ => {}
        }
        Ok(())
    }
}

impl Wires for DefectiveWires {
    fn send<'a>(&'a self, to: &'a Origin, call: Call) -> LocalBoxFuture<'a, Result<Answer, TeslaError>> {
        Box::pin(async move {
            let is_token = call.path.contains("/token");
            self.before(to, &call, is_token).await?;
            let mut outcome = self.inner.send(to, call).await;
            if self.defect == Some(CloudDefect::GivesUp) && outcome.is_err() {
                *self.known.borrow_mut() = Some(to.clone());
            }
            if let Ok(answer) = &mut outcome {
                let is_final = answer.body.windows(14).any(|word| word == b"login_required");
                let disguised = match self.defect {
                    Some(CloudDefect::HeedsNoPause) => answer.status == 429,
                    Some(CloudDefect::TriesForEver) => is_final,
                    _ => false,
                };
                if disguised {
                    *answer = Answer { status: 500, ..Answer::default() };
                }
            }
            outcome
        })
    }
}

/// A local link that does not show what became of an order that went elsewhere.
pub struct Deaf(pub Box<dyn Link>);

impl Link for Deaf {
    fn kind(&self) -> LinkKind {
        self.0.kind()
    }

    fn patience(&self, exchange: Duration) -> Duration {
        self.0.patience(exchange)
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        self.0.poll()
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        self.0.refresh()
    }
}
