//! The messages of a GatewayActor.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::model::order::{Mark, Request};
use crate::model::{Order, OrderId, Snapshot, Standing};

/// Asks the actor itself for its newest snapshot; an answer proves that the actor is alive.
#[derive(Debug, Message)]
#[rtype(result = "Arc<Snapshot>")]
pub struct GetSnapshot;

/// Asks for a change. The answer comes at once; what becomes of the order is seen in its receipt.
#[derive(Clone, Debug, Message)]
#[rtype(result = "Receipt")]
pub struct CarryOut {
    pub order: Order,
    /// How long it is to hold; `None`: until somebody changes it.
    pub lease: Option<Duration>,
    /// Whether who asks knows that it is dangerous.
    pub confirmed: bool,
    /// For the journal: a person, a token by its name, an output. Never a secret.
    pub asked_by: String,
    /// How it is known again if it is asked a second time.
    pub mark: Option<Mark>,
}

impl CarryOut {
    /// What `request` asks, for `asked_by`.
    pub fn new(request: Request, asked_by: impl Into<String>) -> Self {
        let Request { order, lease, confirmed } = request;
        Self { order, lease, confirmed, asked_by: asked_by.into(), mark: None }
    }
}

/// Shows what becomes of an order.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub id: OrderId,
    /// What is carried out: a hold has become a reserve.
    pub order: Order,
    pub standing: watch::Receiver<Standing>,
    /// When it might be taken, if it was not because of a pause.
    pub retry_after: Option<Duration>,
    /// Whether it stands among the orders; the journal has no other ones.
    pub is_taken: bool,
    /// Closed once the journal has it, or will not get it.
    pub recording: watch::Receiver<()>,
}

impl Receipt {
    /// Waits until the journal has the order, or will not get it.
    pub async fn is_written_down(&mut self) {
        while self.recording.changed().await.is_ok() {}
    }

    /// How the order stands once `enough`, or after `patience`.
    pub async fn wait(&mut self, patience: Duration, enough: impl FnMut(&Standing) -> bool) -> Standing {
        // However the waiting ended, what stands there now is the answer.
        let _ = timeout(patience, self.standing.wait_for(enough)).await.is_ok();
        self.standing.borrow().clone()
    }
}

/// Ends the actor; an exchange under way is dropped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;
