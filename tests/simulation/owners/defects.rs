//! Defects on purpose, in dealing with the owners API.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use powerwall_server::link::https::{Answer, Call};
use powerwall_server::link::tesla::error::TeslaError;
use powerwall_server::link::tesla::token_wire::{NotPosted, TokenWire};
use powerwall_server::link::tesla::web::Wires;
use powerwall_server::link::{Link, LinkError, Refreshed};
use powerwall_server::model::{Answers, LinkKind};
use powerwall_server::settings::Origin;

use super::tesla::{Tesla, TeslaWires};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnersDefect {
    /// A lost answer is taken for a request that was never sent.
    PostsAgain,
    /// What was sent is not known after a start.
    ForgetsNotes,
    /// That a login is needed is taken for trouble at Tesla.
    TriesForEver,
    /// 403 is taken for the end of the access token.
    RenewsWhatIsRefused,
    /// So is trouble at Tesla.
    RenewsInTrouble,
    /// 403 is taken for trouble at Tesla.
    AsksOn,
    /// That tokens are refused is not known after a start.
    ForgetsRefusals,
    /// 429 is a failure like others.
    HeedsNoPause,
    /// New tokens are used before they are on the disk.
    StoresNothing,
    /// A gateway is shown as another site of the account.
    Crossed,
    /// A gateway that has nothing to do with Tesla fails with it.
    Disturbs,
    /// Once Tesla was in trouble, it is given up.
    GivesUp,
}

/// Each with what is said of it, and a seed that shows it: it saves the hours of those that see nothing.
pub const ALL: [(OwnersDefect, &str, u64); 12] = [
    (OwnersDefect::PostsAgain, "posted again", 15),
    (OwnersDefect::ForgetsNotes, "posted again", 10),
    (OwnersDefect::TriesForEver, "posted again", 1),
    (OwnersDefect::RenewsWhatIsRefused, "renews a token that is refused", 0),
    (OwnersDefect::RenewsInTrouble, "nothing says that its token is over", 4),
    (OwnersDefect::AsksOn, "before the pause after 403", 0),
    (OwnersDefect::ForgetsRefusals, "before the pause after 403", 14),
    (OwnersDefect::HeedsNoPause, "before the pause of Tesla", 1),
    (OwnersDefect::StoresNothing, "never on the disk", 1),
    (OwnersDefect::Crossed, "shows another one", 0),
    (OwnersDefect::Disturbs, "has nothing to do with Tesla", 1),
    (OwnersDefect::GivesUp, "and not live", 34),
];

/// Between an account and Tesla.
#[derive(Clone)]
pub struct DefectiveWires {
    inner: TeslaWires,
    defect: Option<OwnersDefect>,
    /// Whether something failed.
    has_failed: Cell<bool>,
}

impl DefectiveWires {
    pub fn new(inner: TeslaWires, defect: Option<OwnersDefect>) -> Self {
        Self { inner, defect, has_failed: Cell::new(false) }
    }

    /// What the program takes the status of an answer for.
    fn taken_for(&self, status: u16) -> u16 {
        match (self.defect, status) {
            (Some(OwnersDefect::RenewsWhatIsRefused), 403) => 401,
            (Some(OwnersDefect::RenewsInTrouble), 500..) => 401,
            (Some(OwnersDefect::AsksOn), 403) => 500,
            (Some(OwnersDefect::HeedsNoPause), 429) => 500,
            _ => status,
        }
    }
}

impl Wires for DefectiveWires {
    fn send<'a>(&'a self, to: &'a Origin, call: Call) -> LocalBoxFuture<'a, Result<Answer, TeslaError>> {
        Box::pin(async move {
            match self.defect {
                Some(OwnersDefect::StoresNothing) => self.inner.tesla().forget_file(),
                Some(OwnersDefect::GivesUp) if self.has_failed.get() => {
                    return Err(TeslaError::Unreachable("given up".into()));
                }
                _ => {}
            }
            let mut outcome = self.inner.send(to, call).await;
            self.has_failed.set(self.has_failed.get() || outcome.is_err());
            if let Ok(answer) = &mut outcome {
                answer.status = self.taken_for(answer.status);
            }
            outcome
        })
    }

    fn open<'a>(&'a self, to: &'a Origin) -> LocalBoxFuture<'a, Result<Box<dyn TokenWire>, TeslaError>> {
        Box::pin(async move {
            drop(self.inner.open(to).await?);
            Ok(Box::new(self.clone()) as Box<dyn TokenWire>)
        })
    }
}

impl TokenWire for DefectiveWires {
    fn post(&mut self, path: &'static str, form: String) -> LocalBoxFuture<'_, Result<Answer, NotPosted>> {
        Box::pin(async move {
            let outcome = self.inner.post(path, form).await;
            match (self.defect, outcome) {
                (Some(OwnersDefect::PostsAgain), Err(NotPosted::Lost(why))) => {
                    Err(NotPosted::Unsent(TeslaError::Unreachable(why)))
                }
                (Some(OwnersDefect::TriesForEver), Ok(answer)) if answer.status == 401 => {
                    Ok(Answer { status: 503, ..answer })
                }
                (_, outcome) => outcome,
            }
        })
    }
}

/// A local link that fails while Tesla does.
pub struct Touchy(pub Box<dyn Link>, pub Arc<Tesla>);

impl Link for Touchy {
    fn kind(&self) -> LinkKind {
        self.0.kind()
    }

    fn patience(&self, exchange: Duration) -> Duration {
        self.0.patience(exchange)
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        if self.1.has_trouble() {
            return Box::pin(async { Err(LinkError::Unreachable("so is Tesla".into())) });
        }
        self.0.poll()
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        self.0.refresh()
    }
}
