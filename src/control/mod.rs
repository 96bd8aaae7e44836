//! What stands between somebody who asks and the actor that carries out: who may, how often, and that what is
//! asked twice is done once. What carries the asking – HTTP, MQTT, a command – is left to the outputs.

pub mod ledger;
pub mod ordered;
pub mod several;
pub mod tokens;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::client::Client;
use crate::directory::Entry;
use crate::gateway::messages::{CarryOut, Receipt};
use crate::limiter::Limiter;
use crate::model::order::{Request, Whole};
use crate::model::{OrderId, OrderKind};
use crate::settings::{Access, RateLimit, Role, Token};
use crate::store::journal::Journal;
pub use ledger::Key;
use ledger::{Digest, Ledger, Repeated};
use ordered::Ordered;
use several::Several;
pub use tokens::Denied;
use tokens::Tokens;

/// Orders in a minute, for each gateway and for each client. What ends a lease does not come through here.
const ORDERS: RateLimit = RateLimit { requests: 10, window: Duration::from_secs(60), most_clients: 10_000 };

/// Shared by everything that takes orders.
pub struct Control {
    pub tokens: Tokens,
    /// What was ordered.
    pub ordered: Ordered,
    /// What was ordered with a key.
    ledger: Ledger,
    /// What was ordered of several gateways at once.
    several: Several,
    by_client: Limiter<Client>,
    by_gateway: Limiter<String>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Asker {
    pub token: Arc<Token>,
    /// Whose limit it counts towards; `None`: what asks for many has one of its own.
    pub client: Option<Client>,
    /// Says that this is asked once, however often it arrives.
    pub key: Option<Key>,
}

/// Why an order does not even reach the gateway's actor.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejected {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("Too many orders; at most {} a minute for one {per}", ORDERS.requests)]
    TooMany { wait: Duration, per: &'static str },
    #[error("This token is not for {0}")]
    NotFor(String),
    #[error("An order to several gateways needs an Idempotency-Key")]
    NoKey,
    #[error("Houses are disconnected from the grid one at a time, each after a look at it")]
    OneAtATime,
    #[error("This Idempotency-Key was used for another order")]
    KeyReused,
    #[error("What was done with this Idempotency-Key cannot be read: {0}")]
    NoLedger(String),
    #[error("The part of this program that carries out orders is being started again")]
    NoActor,
}

/// What became of asking.
#[derive(Clone, Debug)]
pub enum Placed {
    /// Given to the gateway's actor now.
    Now(Receipt),
    /// Given before, with the same key: this one.
    Before(OrderId),
}

impl Control {
    pub fn new(access: Access, journal: Journal) -> Self {
        Self {
            tokens: Tokens::new(access),
            ordered: Ordered::new(journal.clone()),
            ledger: Ledger::new(journal),
            several: Several::default(),
            by_client: Limiter::new(ORDERS),
            by_gateway: Limiter::new(ORDERS),
        }
    }

    /// The token with the secret `given`, if it has at least the role `needed`.
    ///
    /// # Errors
    /// If there is none, or it may do less.
    pub fn holder(
        &self,
        given: Option<&[u8]>,
        needed: Role,
        client: Client,
        now: Instant,
    ) -> Result<Arc<Token>, Denied> {
        let holder = self.tokens.holder(given, client, now)?;
        match holder.role >= needed {
            true => Ok(holder),
            false => Err(Denied::Role { has: holder.role, needed }),
        }
    }

    /// Gives an order to the actor of `gateway`. Must not be dropped half way: the actor may have it by then.
    ///
    /// # Errors
    /// If the asker may not, or not yet.
    pub async fn place(&self, gateway: &Entry, request: Request, asker: Asker) -> Result<Placed, Rejected> {
        let Asker { token, client, key } = asker;
        if !token.reaches(&gateway.id) {
            return Err(Denied::OtherGateway.into());
        }
        has_role_for(&token, request.order.kind())?;
        let key = key.map(|key| key.bind(&token.name));
        self.give(gateway, request, Errand { token: &token, key, client, part_of: None }).await
    }

    async fn give(&self, gateway: &Entry, request: Request, errand: Errand<'_>) -> Result<Placed, Rejected> {
        let Errand { token, key, client, part_of } = errand;
        let ticket = match key {
            Some(key) => match self.ledger.open(key, ledger::body(&gateway.id, &request)).await? {
                Repeated::Before(order) => return Ok(Placed::Before(order)),
                Repeated::First(ticket) => Some(ticket),
            },
            None => None,
        };
        // An order that cannot even be given counts: nothing else slows down who tries.
        self.admit(gateway, client)?;
        let addr = gateway.addr().ok_or(Rejected::NoActor)?;
        let mut carry_out = CarryOut::new(request, token.name.clone());
        carry_out.mark = ticket.as_ref().map(|ticket| ticket.mark(part_of));
        let lease = carry_out.lease;
        let receipt = addr.send(carry_out).await.map_err(|_| Rejected::NoActor)?;
        self.ordered.add(&gateway.id, &token.name, lease, &receipt);
        if let Some(ticket) = ticket {
            ticket.close(receipt.id);
        }
        Ok(Placed::Now(receipt))
    }

    fn admit(&self, gateway: &Entry, client: Option<Client>) -> Result<(), Rejected> {
        let now = Instant::now();
        // One of them that is full must not count what the other one refuses.
        if let Some(wait) = self.by_gateway.pause(&gateway.id, now) {
            return Err(Rejected::TooMany { wait, per: "gateway" });
        }
        client.map_or(Ok(()), |client| self.admit_client(client))?;
        let too_many = |wait| Rejected::TooMany { wait, per: "gateway" };
        self.by_gateway.admit(gateway.id.clone(), now).map_err(too_many)
    }

    fn admit_client(&self, client: Client) -> Result<(), Rejected> {
        let too_many = |wait| Rejected::TooMany { wait, per: "client" };
        self.by_client.admit(client, Instant::now()).map_err(too_many)
    }
}

/// An order that its asker may give, on its way to one gateway.
struct Errand<'a> {
    token: &'a Token,
    key: Option<Digest>,
    /// Whose limit it counts towards; `None`: it is part of what was counted.
    client: Option<Client>,
    /// What it was ordered with.
    part_of: Option<Whole>,
}

fn has_role_for(token: &Token, kind: OrderKind) -> Result<(), Denied> {
    let needed = Role::needed_for(kind);
    match token.role >= needed {
        true => Ok(()),
        false => Err(Denied::Role { has: token.role, needed }),
    }
}
