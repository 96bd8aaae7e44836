//! Frames with a token instead of the password: TEDAPI of inverters that require an installer login.

use std::sync::Arc;
use std::time::Duration;

use awc::http::{Method, header};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use super::transport::{Request, Transport};
use crate::link::LinkError;
use crate::link::https::{Call, Exchange, Https};
use crate::link::knock::Knock;
use crate::link::login::Customer;
use crate::link::login::Login;
use crate::link::memory::Memory;
use crate::settings::TedapiConfig;

/// HTTPS with one connection that is kept alive, and a token that is renewed when it no longer holds.
pub struct BearerTransport<X = Https> {
    exchange: X,
    login: Login,
}

impl BearerTransport {
    /// Builds the client; touches neither network nor files.
    pub fn new(config: &TedapiConfig, timezone: Option<&str>, limit: Duration, memory: Arc<Memory>) -> Self {
        let https = Https::new(&config.host, config.port, &config.certificate, limit);
        Self::over(https, Login::installer(&config.password, timezone, memory))
    }
}

impl<X> BearerTransport<X> {
    pub fn over(exchange: X, login: Login) -> Self {
        Self { exchange, login }
    }
}

impl<X: Exchange> Transport for BearerTransport<X> {
    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async move {
            let call = Call {
                method: if request.body.is_some() { Method::POST } else { Method::GET },
                path: request.path.into(),
                headers: vec![(
                    header::CONTENT_TYPE,
                    header::HeaderValue::from_static("application/octet-stream"),
                )],
                body: request.body.unwrap_or_default(),
                only_reads: true,
            };
            self.login.send(&self.exchange, &call).await
        })
    }

    fn knock(&self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        self.exchange.knock(limit)
    }

    /// With the token of the installer: a login of the customer's own would take its place in memory.
    fn customer(&self) -> Option<Customer<'_>> {
        Some(Customer { exchange: &self.exchange, login: &self.login, may_log_in: false })
    }
}
