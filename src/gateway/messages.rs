//! The messages of a GatewayActor.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;
use tokio::time::timeout;

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
    /// For the journal: a person, a token by its name, an output. Never a secret.
    pub asked_by: String,
}

/// Shows what becomes of an order.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub id: OrderId,
    pub standing: watch::Receiver<Standing>,
}

impl Receipt {
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
