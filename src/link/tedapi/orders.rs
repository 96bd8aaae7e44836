//! Orders over TEDAPI: one leaf of the gateway's configuration, replaced in the bytes that were read just
//! before.
//!
//! A configuration that is written wrongly can disable a house. Nothing is written that was not read from
//! this gateway a moment ago, whole and with its hash, and nothing but the bytes of the leaf differs.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::answers::TedapiAnswers;
use super::channel::{Channel, Commands, Question};
use super::frames::{self, Target, Updated};
use super::leaf::{self, LeafError};
use super::{CONFIG_EVERY, TedapiLink};
use crate::link::LinkError;
use crate::link::order::{Carried, End, ReadBack};
use crate::model::{
    ErrorNote, Means, Obstacle, Order, OrderKind, Outcome, Proof, RawPercent, Reserve, Unable,
};

/// Where the backup reserve is in `config.json`.
const RESERVE: [&str; 2] = ["site_info", "backup_reserve_percent"];
const READ: &str = "the configuration read";
const WRITE: &str = "the change of the configuration";

/// Codes of `google.rpc.Status`. The file has another hash by now, so that nothing was written:
const CONFLICTS: [i32; 2] = [9, 10];
/// … and those that do not say whether anything was done: cancelled, unknown, deadline exceeded, internal,
/// unavailable, data loss.
const UNCLEAR: [i32; 6] = [1, 2, 4, 13, 14, 15];

/// The configuration as it was read, and what its writer must show for having read it.
#[derive(Debug)]
struct Read {
    text: String,
    hash: Bytes,
}

/// Why what was read must not be written back.
#[derive(Debug, thiserror::Error)]
enum Doubt {
    #[error("it is not text")]
    NoText,
    #[error("it has no hash, so that the gateway could not notice that somebody else changes it")]
    NoHash,
    #[error("it is the configuration of another gateway ({0})")]
    OtherGateway(String),
    #[error(transparent)]
    Leaf(#[from] LeafError),
}

impl Read {
    fn of(blob: Bytes, hash: Bytes, din: &str) -> Result<Self, Doubt> {
        if hash.is_empty() {
            return Err(Doubt::NoHash);
        }
        let text = String::from_utf8(blob.into()).map_err(|_| Doubt::NoText)?;
        let vin = leaf::text(&text, &["vin"])?;
        match serde_json::from_str::<String>(vin) {
            Ok(vin) if vin == din => Ok(Self { text, hash }),
            _ => Err(Doubt::OtherGateway(vin.chars().take(64).collect())),
        }
    }

    fn reserve(&self) -> Result<RawPercent, Doubt> {
        Ok(RawPercent(leaf::number(&self.text, &RESERVE)?))
    }

    /// The whole configuration with that reserve.
    fn with_reserve(&self, reserve: Reserve) -> Result<Bytes, Doubt> {
        Ok(leaf::replace(&self.text, &RESERVE, reserve.raw().0)?.into())
    }
}

impl<C: Channel> TedapiLink<C> {
    pub(super) fn means(&self, kind: OrderKind) -> Result<Means, Unable> {
        let link = self.channel.takes_orders()?;
        if self.known_din().is_none() {
            return Err(Obstacle::NotReached.because("the gateway has not reported its DIN yet"));
        }
        match kind {
            OrderKind::Reserve if self.payloads.lacks_reserve() => Err(Obstacle::NoBattery.because(
                "the gateway's configuration has no backup reserve: it has no battery, or none is set up",
            )),
            OrderKind::Reserve => Ok(Means { link, proves: Proof::Stored }),
        }
    }

    /// The DIN, unless another gateway may stand at the address by now.
    fn known_din(&self) -> Option<String> {
        self.payloads.din().filter(|_| self.confirmed).map(|din| din.to_string())
    }

    pub(super) async fn carry_out_once(&mut self, order: &Order, limit: Duration) -> Carried {
        let began = Instant::now();
        if let Err(unable) = self.means(order.kind()) {
            return Carried::unable(unable);
        }
        let Some(din) = self.known_din() else {
            return Carried::not_sent("not_reached", "its DIN is not known");
        };
        let commands = match self.channel.commands() {
            Ok(commands) => commands,
            Err(unable) => return Carried::unable(unable),
        };

        // What is left for the write is at least as much again.
        let read =
            timeout(limit / 2, config(commands, &din)).await.unwrap_or(Err(LinkError::Timeout(limit / 2)));
        let (blob, hash) = match read {
            Ok(read) => read,
            Err(error) => return Carried::unread("the configuration", error),
        };
        let Order::Reserve(reserve) = order;
        let prepared = Read::of(blob, hash, &din).and_then(|read| {
            let is_so_already = reserve.is(read.reserve()?);
            Ok((read.with_reserve(*reserve)?, read.hash, is_so_already))
        });
        let (changed, hash, is_so_already) = match prepared {
            Ok(prepared) => prepared,
            Err(doubt) => {
                return Carried::not_sent("doubtful", format!("the configuration is left alone: {doubt}"));
            }
        };
        if is_so_already {
            return Carried::outcome(Outcome::Stored(
                "the configuration had it already; nothing was sent".into(),
            ));
        }

        let payload = frames::config_update(changed, hash);
        let question = Question { din: &din, target: Target::Gateway { din: &din }, payload, what: WRITE };
        let left = limit.saturating_sub(began.elapsed());
        let answer = timeout(left, commands.write(question)).await.unwrap_or(Err(LinkError::Timeout(left)));
        match answer {
            Ok(answer) => judge(frames::config_updated(answer)),
            Err(error) => Carried::failed(error),
        }
    }

    pub(super) async fn read_back_once(&mut self, order: &Order) -> ReadBack {
        let Some(din) = self.known_din() else { return ReadBack::default() };
        let question = Question {
            din: &din,
            target: Target::Gateway { din: &din },
            payload: frames::config(),
            what: READ,
        };
        let answer = self.channel.ask(question).await.and_then(frames::config_file);
        let (blob, hash) = match answer {
            Ok(answer) => answer,
            Err(error) => return ReadBack::failed(error),
        };
        let read = Read::of(blob.clone(), hash, &din).and_then(|read| read.reserve());
        if let Err(error) = self.take(blob, READ, TedapiAnswers::accept_config).await {
            return ReadBack::failed(error);
        }
        let now = Instant::now();
        self.config.succeeded_for(CONFIG_EVERY, now);
        self.know_units(now);
        let shows = match read {
            Ok(reserve) => ReadBack::of(order, Some(reserve), "the configuration"),
            Err(doubt) => ReadBack {
                instead: Some(format!("the configuration cannot be judged: {doubt}")),
                ..ReadBack::default()
            },
        };
        ReadBack { source: Some(self.source()), ..shows }
    }
}

async fn config(commands: &mut dyn Commands, din: &str) -> Result<(Bytes, Bytes), LinkError> {
    let question = Question { din, target: Target::Gateway { din }, payload: frames::config(), what: READ };
    frames::config_file(commands.read(question).await?)
}

/// What an answer to a change of the configuration says.
fn judge(answer: Updated) -> Carried {
    let refused = |code: i32, message: String| ErrorNote {
        kind: "refused",
        message: format!("the gateway reports: {message} (code {code})"),
    };
    match answer {
        Updated::Acknowledged => Carried::outcome(Outcome::Accepted(
            "the gateway acknowledged the change of its configuration".into(),
        )),
        Updated::Error { code, message } if CONFLICTS.contains(&code) => {
            let note = ErrorNote { kind: "conflict", ..refused(code, message) };
            Carried { end: End::NotExecuted(note), problem: None }
        }
        Updated::Error { code, message } if UNCLEAR.contains(&code) => {
            Carried::outcome(Outcome::Unknown(ErrorNote { kind: "unclear", ..refused(code, message) }))
        }
        Updated::Error { code, message } => Carried::outcome(Outcome::Refused(refused(code, message))),
        Updated::Unclear(why) => {
            let message = format!("the gateway answered, but not as it should: {why}");
            Carried::outcome(Outcome::Unknown(ErrorNote { kind: "unclear", message }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AppPercent;

    const DIN: &str = "1232100-00-E--TG1";
    const CONFIG: &str = r#"{"vin":"1232100-00-E--TG1","site_info":{"backup_reserve_percent":24}}"#;

    fn read(blob: &'static str, hash: &'static str) -> Result<Read, Doubt> {
        Read::of(Bytes::from_static(blob.as_bytes()), Bytes::from_static(hash.as_bytes()), DIN)
    }

    #[test]
    fn what_is_not_surely_this_gateways_configuration_is_left_alone() {
        assert_eq!(read(CONFIG, "h").unwrap().reserve().unwrap(), RawPercent(24.0));
        assert!(matches!(read(CONFIG, ""), Err(Doubt::NoHash)));
        assert!(matches!(read("{}", "h"), Err(Doubt::Leaf(LeafError::Missing(_)))));
        for other in
            [r#"{"vin":null}"#, r#"{"vin":"1232100-00-E--TG2"}"#, r#"{"vin":""}"#, r#"{"vin":["x"]}"#]
        {
            assert!(matches!(read(other, "h"), Err(Doubt::OtherGateway(_))), "{other}");
        }
        let not_text = Read::of(Bytes::from_static(b"\xff"), Bytes::from_static(b"h"), DIN);
        assert!(matches!(not_text, Err(Doubt::NoText)));
    }

    #[test]
    fn the_recorded_write_is_made_byte_for_byte_but_for_its_spaces() {
        let reserve = Reserve::new(AppPercent(33.0)).unwrap();
        let changed = read(CONFIG, "h").unwrap().with_reserve(reserve).unwrap();
        let expected = CONFIG.replace("24", "36.349999999999994");
        assert_eq!(std::str::from_utf8(&changed).unwrap(), expected);
    }

    #[test]
    fn an_answer_proves_what_it_says_and_no_more() {
        let word = |answer: Updated| match judge(answer).end {
            End::Outcome(outcome) => outcome.word(),
            End::NotExecuted(note) | End::NotYet(note) => note.kind,
        };
        let error = |code: i32| Updated::Error { code, message: "no".into() };
        assert_eq!(word(Updated::Acknowledged), "accepted");
        assert_eq!(word(Updated::Unclear("nothing".into())), "unknown");
        assert_eq!(word(error(7)), "refused");
        assert_eq!([word(error(9)), word(error(10))], ["conflict"; 2]);
        assert_eq!([word(error(4)), word(error(13))], ["unknown"; 2]);
    }
}
