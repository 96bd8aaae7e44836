//! Frames with a token instead of the password: TEDAPI of inverters that want a login as installer.

use std::cell::RefCell;
use std::time::Duration;

use awc::http::{Method, header};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use super::transport::{Request, Transport};
use crate::link::LinkError;
use crate::link::https::{Call, Https};
use crate::link::login::Login;
use crate::settings::TedapiAccess;

/// HTTPS with one connection that is kept alive, and a token that is renewed when it no longer holds.
pub struct BearerTransport {
    https: Https,
    /// Away while a request is under way, of which there is one at a time.
    login: RefCell<Login>,
}

impl BearerTransport {
    /// Builds the client; touches neither network nor files.
    pub fn new(access: &TedapiAccess, timezone: Option<&str>, limit: Duration) -> Self {
        Self {
            https: Https::new(&access.host, access.port, &access.certificate, limit),
            login: RefCell::new(Login::installer(&access.password, timezone)),
        }
    }
}

impl Transport for BearerTransport {
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
            // A link has one exchange in flight.
            let mut login = self.login.borrow_mut();
            login.send(&self.https, &call).await
        })
    }
}
