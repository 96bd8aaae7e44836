//! What a GatewayActor can be told and asked.

use std::sync::Arc;

use actix::prelude::*;

use crate::model::Snapshot;

/// Asks the actor itself for its newest snapshot; an answer proves that the actor is alive.
#[derive(Debug, Message)]
#[rtype(result = "Arc<Snapshot>")]
pub struct GetSnapshot;

/// Ends the actor; an exchange under way is dropped.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Stop;
