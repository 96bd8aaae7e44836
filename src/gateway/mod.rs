//! The life of one gateway: connection, poll timer, back-off, last good snapshot. Owns nothing of another gateway.

use actix::prelude::*;

pub struct GatewayActor;

impl Actor for GatewayActor {
    type Context = Context<Self>;
}
