//! What stands between somebody who asks and the actor that carries out: who may, and how often. What carries
//! the asking – HTTP, MQTT, a command – is left to the outputs.

pub mod tokens;

use std::sync::Arc;

use tokio::time::Instant;

use crate::client::Client;
use crate::settings::{Access, Role, Token};
pub use tokens::Denied;
use tokens::Tokens;

/// Shared by everything that takes orders.
pub struct Control {
    pub tokens: Tokens,
}

impl Control {
    pub fn new(access: Access) -> Self {
        Self { tokens: Tokens::new(access) }
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
}
