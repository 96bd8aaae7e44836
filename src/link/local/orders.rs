//! Orders over the customer API: `POST /api/operation`.
//!
//! The gateway demands the mode with every reserve. The one that is sent is the one it reported a moment
//! before; where that cannot be read, nothing is sent. Current firmware refuses the customer altogether,
//! which is said as it is.

use std::time::Duration;

use awc::http::{Method, header};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::answers::Endpoint;
use super::{LocalLink, Surface, session};
use crate::link::LinkError;
use crate::link::https::{Answer, Call, Exchange};
use crate::link::order::{Carried, ReadBack};
use crate::model::order::Mode;
use crate::model::{
    ErrorNote, LinkKind, Means, Obstacle, Order, OrderKind, Outcome, Present, Proof, RawPercent, Setpoint,
    Unable,
};

/// How long an order that the customer may not give is not offered again. Another session ends it as well.
const FORBIDDEN: Duration = Duration::from_secs(600);
const NOT_OVER_THIS: &str = "the customer API takes a backup reserve and a mode only; everything else \
    goes over TEDAPI v1r (rsa_key_path)";
const NO_PERMISSION: &str =
    "the gateway does not allow the customer to change this, as current firmware does not";

/// What the gateway reports of its operation, as far as an order needs it.
#[derive(Debug, Deserialize)]
struct Operation {
    real_mode: String,
    /// Raw scale.
    backup_reserve_percent: f64,
}

impl Operation {
    fn of(body: &[u8]) -> Result<Self, String> {
        let operation: Self = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        match Mode::parse(&operation.real_mode) {
            Some(_) => Ok(operation),
            None => Err("the mode that it reports is not one of those that are known".into()),
        }
    }

    fn present(&self) -> Present {
        Present {
            reserve: Some(RawPercent(self.backup_reserve_percent)),
            mode: Some(self.real_mode.clone()),
            ..Present::default()
        }
    }

    /// The same with what is asked for, as the gateway takes it: always both, as numbers on the raw scale.
    fn with(&self, asked: &Setpoint) -> Bytes {
        let reserve = asked.reserve.map_or(self.backup_reserve_percent, |reserve| reserve.raw().0);
        let mode = asked.mode.map(Mode::word).unwrap_or(&self.real_mode);
        json!({ "backup_reserve_percent": reserve, "real_mode": mode }).to_string().into()
    }
}

impl<X: Exchange> LocalLink<X> {
    pub(super) fn means(&self, kind: OrderKind) -> Result<Means, Unable> {
        match kind {
            OrderKind::Reserve | OrderKind::ReserveHold | OrderKind::Mode | OrderKind::Operation => {}
            _ => return Err(Obstacle::NoLink.because(NOT_OVER_THIS)),
        }
        match self.surface {
            Surface::Unknown => {
                return Err(Obstacle::NotReached
                    .because("it is not known yet how much of its interface the gateway has"));
            }
            Surface::BasicLan => {
                let why = "a Powerwall 3 takes no orders over the customer API: they go over TEDAPI v1r \
                    (rsa_key_path)";
                return Err(Obstacle::NoLink.because(why));
            }
            Surface::Full if !self.answers.has(Endpoint::Operation) => {
                return Err(Obstacle::NotReached.because(
                    "the gateway does not report its mode at present, which it demands with every order",
                ));
            }
            Surface::Full => {}
        }
        match self.forbidden {
            Some(since) if since.elapsed() < FORBIDDEN => Err(Obstacle::NoPermission.because(NO_PERMISSION)),
            _ => Ok(Means { link: LinkKind::Local, proves: Proof::Stored }),
        }
    }

    pub(super) async fn carry_out_once(&mut self, order: &Order, limit: Duration) -> Carried {
        let began = Instant::now();
        if let Err(unable) = self.means(order.kind()) {
            return Carried::unable(unable);
        }
        // What the interface does not have must not be left out in silence.
        let asked = order.setpoint().filter(|asked| asked.charging.is_none() && asked.export.is_none());
        let Some(asked) = asked else { return Carried::unable(Obstacle::NoLink.because(NOT_OVER_THIS)) };
        // What is left for the write is at least as much again.
        let read = timeout(limit / 2, self.read_operation()).await;
        let operation = match read.unwrap_or(Err(LinkError::Timeout(limit / 2))) {
            Ok(operation) => operation,
            // The next poll decides whether the session is still good.
            Err(error @ LinkError::Refused { status: 401, .. }) => return Carried::not_yet(error),
            Err(error) => return Carried::unread("the present mode", error),
        };
        let present = operation.present();
        if asked.compare(&present).instead.is_empty() {
            let already = "the gateway had it already; nothing was sent";
            return Carried::outcome(Outcome::Stored(already.into())).after(present);
        }

        let Some(call) = self.operate(operation.with(&asked)) else {
            return Carried::not_sent("refused", "the session is damaged");
        };
        let left = limit.saturating_sub(began.elapsed());
        let answer = timeout(left, self.web.exchange(call)).await.unwrap_or(Err(LinkError::Timeout(left)));
        let carried = match answer {
            Ok(answer) => self.judge(answer),
            Err(error) => Carried::failed(error),
        };
        carried.after(present)
    }

    /// The call that sets the operation. It is never sent a second time by the connection.
    fn operate(&self, body: Bytes) -> Option<Call> {
        let call = session::get(Endpoint::Operation.path(), self.memory.session().as_ref())?;
        let call = call.with(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        Some(Call { method: Method::POST, body, only_reads: false, ..call })
    }

    fn judge(&mut self, answer: Answer) -> Carried {
        match answer.status {
            200..=299 => {
                Carried::outcome(Outcome::Accepted(format!("the gateway answered HTTP {}", answer.status)))
            }
            403 => {
                self.forbidden = Some(Instant::now());
                let message = format!("{NO_PERMISSION} (HTTP 403)");
                Carried::outcome(Outcome::Refused(ErrorNote { kind: Obstacle::NoPermission.word(), message }))
            }
            _ => match answer.ok(Endpoint::Operation.path(), "the session has ended") {
                Err(error) => Carried::failed(error),
                Ok(_) => Carried::failed(LinkError::Unreachable("an answer of no kind".into())),
            },
        }
    }

    pub(super) async fn read_back_once(&mut self, order: &Order) -> ReadBack {
        if !self.answers.has(Endpoint::Operation) {
            return ReadBack::default(); // asking for it rests
        }
        match self.read_operation().await {
            Ok(operation) => {
                let read = ReadBack::of(order, operation.present(), "the gateway's setting");
                ReadBack { source: Some(self.source()), ..read }
            }
            Err(error) => ReadBack::failed(error),
        }
    }

    /// Asking for the operation rests as it does when it is slow data. A session that has ended is for the
    /// next poll to renew.
    fn heed(&mut self, error: &LinkError) {
        let now = Instant::now();
        match error {
            LinkError::NotFound(_) => self.schedule.absent(Endpoint::Operation, now),
            LinkError::Refused { status: 403, .. } => self.schedule.refused(Endpoint::Operation, now),
            LinkError::Busy { .. } => return self.schedule.costly(Endpoint::Operation, now),
            _ => return,
        }
        self.answers.forget(Endpoint::Operation);
    }

    /// What the gateway reports now; kept for the readings as well.
    async fn read_operation(&mut self) -> Result<Operation, LinkError> {
        let session = self.memory.session();
        let answer = self.ask(Endpoint::Operation, session.as_ref()).await;
        let body = answer.inspect_err(|error| self.heed(error))?;
        let operation = Operation::of(&body)
            .map_err(|why| LinkError::Malformed { what: Endpoint::Operation.path().into(), why })?;
        self.take(Endpoint::Operation, body).await?;
        Ok(operation)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::model::{AppPercent, Reserve};

    #[test]
    fn an_operation_that_cannot_be_read_is_not_guessed_at() {
        for junk in [
            "",
            "{}",
            "[]",
            r#"{"real_mode":"backup"}"#,
            r#"{"backup_reserve_percent":24}"#,
            r#"{"real_mode":null,"backup_reserve_percent":24}"#,
            r#"{"real_mode":"backup","backup_reserve_percent":"24"}"#,
            r#"{"real_mode":"scheduler","backup_reserve_percent":24}"#,
        ] {
            assert!(Operation::of(junk.as_bytes()).is_err(), "{junk}");
        }
    }

    proptest! {
        #[test]
        fn a_reserve_is_sent_as_a_raw_number_with_the_mode_there_is(
            percent in 0..=1000_u16, mode in 0..3_usize,
        ) {
            let app = f64::from(percent) / 10.0;
            let reserve = Reserve::new(AppPercent(app)).unwrap();
            let mode = Mode::ALL[mode].word();
            let present = json!({ "real_mode": mode, "backup_reserve_percent": 77, "other": 1 }).to_string();
            let asked = Setpoint { reserve: Some(reserve), ..Setpoint::default() };
            let body = Operation::of(present.as_bytes()).unwrap().with(&asked);
            let sent: Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(sent.as_object().unwrap().len(), 2);
            prop_assert_eq!(sent["real_mode"].as_str(), Some(mode));
            let read = Operation::of(&body).unwrap().present().reserve.unwrap();
            prop_assert!(reserve.is(read) && (read.to_app_reserve().0 - app).abs() < 1e-9);
        }
    }
}
