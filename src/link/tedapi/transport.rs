//! One TEDAPI exchange: a request over HTTPS and the body of its answer.
//!
//! [`Transport`] is the seam where tests put a gateway that is not there.

use std::sync::Arc;
use std::time::Duration;

use awc::http::{Method, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use crate::link::LinkError;
use crate::link::https::{Call, Exchange, Https, secret_header};
use crate::link::knock::Knock;
use crate::link::login::Customer;
use crate::link::login::Login;
use crate::link::memory::Memory;
use crate::settings::{Secret, TedapiConfig};

/// User name of every gateway.
const USER: &str = "Tesla_Energy_Device";
const REFUSED: &str = "check the gateway password (PW_GW_PWD, on the sticker), and that this machine reaches \
    the gateway over the gateway's own Wi-Fi: firmware since 25.10 refuses routed requests";

/// A request to a gateway.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    /// `None`: a GET.
    pub body: Option<Bytes>,
}

/// Carries a request to a gateway and the body of a 200 back.
pub trait Transport {
    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>>;

    /// Tries a bare connection, see [`Link::knock`](crate::link::Link::knock).
    fn knock(&self, _limit: Duration) -> LocalBoxFuture<'_, Knock> {
        Box::pin(async { Knock::Untried })
    }

    /// The customer API at the same address, if it is known how to use it.
    fn customer(&self) -> Option<Customer<'_>> {
        None
    }
}

/// HTTPS with one connection that is kept alive, and the gateway password in every request.
pub struct HttpTransport {
    https: Https,
    /// `Authorization` of every request.
    authorization: header::HeaderValue,
    /// Into the customer API, which reports what TEDAPI does not; `None`: it is not used.
    customer: Option<Login>,
}

impl HttpTransport {
    /// Builds the client; touches neither network nor files.
    pub fn new(config: &TedapiConfig, limit: Duration) -> Self {
        let credentials = BASE64_STANDARD.encode(format!("{USER}:{}", config.password.expose()));
        // Base64 holds nothing that a header may not have.
        let authorization = secret_header(&format!("Basic {credentials}"));
        Self {
            https: Https::new(&config.host, config.port, &config.certificate, limit),
            authorization: authorization.unwrap_or_else(|| header::HeaderValue::from_static("")),
            customer: None,
        }
    }

    /// With the password of the customer besides that of the gateway.
    pub fn with_customer(self, password: &Secret, timezone: Option<&str>, memory: Arc<Memory>) -> Self {
        Self { customer: Some(Login::customer(password, timezone, memory)), ..self }
    }
}

impl Transport for HttpTransport {
    fn exchange(&self, request: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async move {
            let method = if request.body.is_some() { Method::POST } else { Method::GET };
            let call = Call {
                method,
                path: request.path.clone().into(),
                headers: vec![
                    (header::AUTHORIZATION, self.authorization.clone()),
                    (header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream")),
                ],
                body: request.body.unwrap_or_default(),
                only_reads: true,
            };
            self.https.exchange(call).await?.ok(&request.path, REFUSED)
        })
    }

    fn knock(&self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        self.https.knock(limit)
    }

    fn customer(&self) -> Option<Customer<'_>> {
        let login = self.customer.as_ref()?;
        Some(Customer { exchange: &self.https, login, may_log_in: true })
    }
}
