//! What stands at an address, asked without any credentials.

use serde_json::Value;

use super::LinkError;
use super::genuine::is_din;
use super::https::{Answer, Call, Exchange};
use crate::link::{bounds, json};

/// What a gateway says to who may not ask.
const NO_RIGHTS: &str = "User does not have adequate access rights";

/// What answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It identified itself: a Powerwall 2, + or an inverter.
    Gateway { din: Option<String>, firmware: Option<String>, up_time: Option<String>, kind: Option<String> },
    /// It knows no status, and guards its own protocol.
    Powerwall3,
    /// It speaks like a gateway, and reports nothing without a login.
    Guarded,
    /// It speaks HTTPS, but not like a gateway.
    Stranger,
}

impl Seen {
    pub fn is_gateway(&self) -> bool {
        *self != Self::Stranger
    }
}

/// Asks one or two questions that need no login.
///
/// # Errors
/// If nothing answers, or something that wants to be left alone.
pub async fn look(web: &impl Exchange) -> Result<Seen, LinkError> {
    let status = left_alone(web.exchange(Call::get("/api/status")).await?)?;
    match status.status {
        200 => Ok(identified(&status)),
        401 | 403 if is_gateways_refusal(&status) => Ok(Seen::Guarded),
        404 => {
            let din = left_alone(web.exchange(Call::get("/tedapi/din")).await?)?;
            let text = String::from_utf8_lossy(&din.body);
            match din.status {
                200 if is_din(&din.body) => Ok(Seen::Powerwall3),
                _ if text.contains(NO_RIGHTS) => Ok(Seen::Powerwall3),
                _ => Ok(Seen::Stranger),
            }
        }
        _ => Ok(Seen::Stranger),
    }
}

/// The answer, unless it asks for a cool-down.
fn left_alone(answer: Answer) -> Result<Answer, LinkError> {
    match answer.status {
        429 | 503 => Err(answer.ok("/api/status", "").err().unwrap_or(LinkError::Busy { retry_after: None })),
        _ => Ok(answer),
    }
}

fn identified(status: &Answer) -> Seen {
    let document = json::document(&status.body, &bounds::SMALL).unwrap_or_default();
    let text = |key: &str| {
        let text = document.get(key)?.as_str()?;
        // It is printed.
        let plain: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
        (!plain.is_empty()).then_some(plain)
    };
    let (din, firmware) = (text("din"), text("version"));
    if din.is_none() && firmware.is_none() {
        return Seen::Stranger;
    }
    let kind = text("teg_type").filter(|kind| !kind.eq_ignore_ascii_case("unknown"));
    Seen::Gateway { din, firmware, up_time: text("up_time_seconds"), kind }
}

/// Whether a refusal is phrased as gateways do: an object with a code and a word.
fn is_gateways_refusal(answer: &Answer) -> bool {
    let document = json::document(&answer.body, &bounds::SMALL).unwrap_or_default();
    document.get("code").is_some_and(Value::is_number)
        && (document.get("message").is_some() || document.get("error").is_some())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use bytes::Bytes;
    use futures_util::future::LocalBoxFuture;

    use super::*;

    struct Peer(RefCell<Vec<(u16, &'static str)>>);

    impl Exchange for Peer {
        fn exchange(&self, _: Call) -> LocalBoxFuture<'_, Result<Answer, LinkError>> {
            let (status, body) = self.0.borrow_mut().remove(0);
            Box::pin(async move {
                let body = Bytes::from_static(body.as_bytes());
                Ok(Answer { status, body, ..Answer::default() })
            })
        }
    }

    async fn seen(answers: &[(u16, &'static str)]) -> Result<Seen, LinkError> {
        look(&Peer(RefCell::new(answers.to_vec()))).await
    }

    const DENIED: &str = concat!(
        r#"{"code":403,"error":"Unable to GET to resource","#,
        r#""message":"User does not have adequate access rights"}"#,
    );

    #[tokio::test]
    async fn gateways_are_distinguished_from_everything_else() {
        let status = concat!(
            r#"{"din":"1538000-45-D--T1","version":"25.10.1 a","teg_type":"pvinverter","#,
            r#""up_time_seconds":"1h"}"#,
        );
        let Ok(Seen::Gateway { din, kind, .. }) = seen(&[(200, status)]).await else { panic!() };
        assert_eq!((din.as_deref(), kind.as_deref()), (Some("1538000-45-D--T1"), Some("pvinverter")));
        let Ok(Seen::Gateway { kind, .. }) = seen(&[(200, r#"{"version":"1","teg_type":"Unknown"}"#)]).await
        else {
            panic!()
        };
        assert_eq!(kind, None);
        for (answers, expected) in [
            (&[(404, ""), (403, DENIED)][..], Seen::Powerwall3),
            (&[(404, ""), (200, "1707000-11-M--T1\n")], Seen::Powerwall3),
            (&[(404, ""), (404, "")], Seen::Stranger),
            (&[(403, DENIED)], Seen::Guarded),
            (&[(401, r#"{"code":401,"message":"Token Expired"}"#)], Seen::Guarded),
            (&[(401, "<html>")], Seen::Stranger),
            (&[(200, "<html>")], Seen::Stranger),
            (&[(200, "{}")], Seen::Stranger),
            (&[(302, "")], Seen::Stranger),
        ] {
            assert_eq!(seen(answers).await, Ok(expected), "{answers:?}");
        }
        assert_eq!(seen(&[(429, "")]).await.unwrap_err().kind(), "rate_limited");
        assert_eq!(seen(&[(404, ""), (503, "")]).await.unwrap_err().kind(), "busy");
    }
}
