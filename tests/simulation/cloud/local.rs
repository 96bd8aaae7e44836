//! The way to a simulated gateway over its local link.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use powerwall_server::link::LinkError;
use powerwall_server::link::tedapi::transport::{Request, Transport};
use powerwall_server::simulator::{InMemoryGateway, Role};
use tokio::time::{Instant, sleep};

use crate::options::SECOND;

/// Whether a gateway can be reached at home.
#[derive(Clone)]
pub struct Line(Arc<Mutex<Instant>>);

impl Default for Line {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Line {
    pub fn is_down_for(&self, lasts: Duration) {
        *self.0.lock().unwrap() = Instant::now() + lasts;
    }

    /// Since when it is up, or from when on.
    pub fn up_since(&self) -> Instant {
        *self.0.lock().unwrap()
    }
}

pub struct Local {
    gateway: Arc<InMemoryGateway>,
    line: Line,
    /// Answers that do not change, by path and body.
    kept: Mutex<HashMap<(String, Option<Bytes>), Bytes>>,
}

impl Local {
    pub fn new(gateway: Arc<InMemoryGateway>, line: Line) -> Self {
        Self { gateway, line, kept: Mutex::default() }
    }
}

impl Transport for Local {
    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async move {
            sleep(SECOND / 20).await;
            if Instant::now() < self.line.up_since() {
                return Err(LinkError::Unreachable("nobody answers".into()));
            }
            let key = (request.path.clone(), request.body.clone());
            if let Some(kept) = self.kept.lock().unwrap().get(&key) {
                return Ok(kept.clone());
            }
            let (role, answer) = self.gateway.answer(&request.path, request.body);
            let body = answer.map_err(|status| LinkError::Status { status, what: request.path })?;
            // Orders change it.
            if role != Role::Config {
                self.kept.lock().unwrap().insert(key, body.clone());
            }
            Ok(body)
        })
    }
}
