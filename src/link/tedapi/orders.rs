//! Orders over TEDAPI: leaves of the gateway's configuration, replaced in the bytes that were read just
//! before.
//!
//! A configuration that is written wrongly can disable a house. Nothing is written that was not read from
//! this gateway a moment ago, whole and with its hash, and nothing but the bytes of the leaves differs.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::answers::TedapiAnswers;
use super::channel::{Channel, Commands, Question};
use super::frames::{self, Target, Updated};
use super::leaf::{self, IfMissing, Leaf, LeafError};
use super::{CONFIG_EVERY, TedapiLink};
use crate::link::LinkError;
use crate::link::order::{Carried, End, ReadBack};
use crate::model::order::ExportRule;
use crate::model::{
    ErrorNote, Means, Obstacle, Order, OrderKind, Outcome, Present, Proof, RawPercent, Setpoint, Unable,
};

/// Where the settings are in `config.json`. Reserve: raw scale.
const RESERVE: [&str; 2] = ["site_info", "backup_reserve_percent"];
const MODE: [&str; 1] = ["default_real_mode"];
/// Inverted: `true` forbids to charge from the grid.
const CHARGING: [&str; 2] = ["site_info", "disallow_charge_from_grid_with_solar_installed"];
const EXPORT: [&str; 2] = ["site_info", "customer_preferred_export_rule"];
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

    /// The settings in it.
    fn present(&self) -> Result<Present, Doubt> {
        let word = |path: &[&str]| -> Result<Option<String>, Doubt> {
            let text = leaf::find(&self.text, path)?.filter(|text| *text != "null");
            let word = text.map(serde_json::from_str).transpose();
            Ok(word.map_err(|_| LeafError::NoWord(path.join(".")))?)
        };
        let flag = |path: &[&str]| -> Result<bool, Doubt> {
            let text = leaf::find(&self.text, path)?.filter(|text| *text != "null");
            let flag = text.map(serde_json::from_str).transpose();
            Ok(flag.map_err(|_| LeafError::NoFlag(path.join(".")))?.unwrap_or_default())
        };
        let reserve = leaf::find(&self.text, &RESERVE)?.map(|_| leaf::number(&self.text, &RESERVE));
        Ok(Present {
            reserve: reserve.transpose()?.map(RawPercent),
            mode: word(&MODE)?,
            charging: Some(!flag(&CHARGING)?),
            // What gateways leave out is the default.
            export: Some(word(&EXPORT)?.unwrap_or_else(|| ExportRule::BatteryAndSolar.word().into())),
        })
    }

    /// The whole configuration with those settings.
    fn with(&self, asked: &Setpoint) -> Result<Bytes, Doubt> {
        let mut text = self.text.clone();
        let mut set = |path: &[&str], leaf: Leaf, missing: IfMissing| -> Result<(), Doubt> {
            text = leaf::set(&text, path, leaf, missing)?;
            Ok(())
        };
        if let Some(reserve) = asked.reserve {
            set(&RESERVE, Leaf::Number(reserve.raw().0), IfMissing::Refuse)?;
        }
        if let Some(mode) = asked.mode {
            set(&MODE, Leaf::Word(mode.word()), IfMissing::Refuse)?;
        }
        if let Some(allowed) = asked.charging {
            set(&CHARGING, Leaf::Flag(!allowed), IfMissing::Add)?;
        }
        if let Some(rule) = asked.export {
            set(&EXPORT, Leaf::Word(rule.word()), IfMissing::Add)?;
        }
        Ok(text.into())
    }
}

impl<C: Channel> TedapiLink<C> {
    pub(super) fn means(&self, kind: OrderKind) -> Result<Means, Unable> {
        let link = self.channel.takes_orders()?;
        if self.known_din().is_none() {
            return Err(Obstacle::NotReached.because("the gateway has not reported its DIN yet"));
        }
        match kind {
            OrderKind::Islanding | OrderKind::Dispatch | OrderKind::Resume | OrderKind::MaxBackup => {
                Err(unsupported())
            }
            _ if self.payloads.lacks_reserve() => Err(Obstacle::NoBattery.because(
                "the gateway's configuration has no backup reserve: it has no battery, or none is set up",
            )),
            _ => Ok(Means { link, proves: Proof::Stored }),
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
        let Some(asked) = order.setpoint() else { return Carried::unable(unsupported()) };
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
        let prepared = Read::of(blob, hash, &din).and_then(|read| {
            let present = read.present()?;
            Ok((read.with(&asked)?, read.hash, present))
        });
        let (changed, hash, present) = match prepared {
            Ok(prepared) => prepared,
            Err(doubt) => {
                return Carried::not_sent("doubtful", format!("the configuration is left alone: {doubt}"));
            }
        };
        if asked.compare(&present).instead.is_empty() {
            let already = "the configuration had it already; nothing was sent";
            return Carried::outcome(Outcome::Stored(already.into())).after(present);
        }

        let payload = frames::config_update(changed, hash);
        let question = Question { din: &din, target: Target::Gateway { din: &din }, payload, what: WRITE };
        let left = limit.saturating_sub(began.elapsed());
        let answer = timeout(left, commands.write(question)).await.unwrap_or(Err(LinkError::Timeout(left)));
        let carried = match answer {
            Ok(answer) => judge(frames::config_updated(answer)),
            Err(error) => Carried::failed(error),
        };
        carried.after(present)
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
        let read = Read::of(blob.clone(), hash, &din).and_then(|read| read.present());
        if let Err(error) = self.take(blob, READ, TedapiAnswers::accept_config).await {
            return ReadBack::failed(error);
        }
        let now = Instant::now();
        self.config.succeeded_for(CONFIG_EVERY, now);
        self.know_units(now);
        let shows = match read {
            Ok(present) => ReadBack::of(order, present, "the configuration"),
            Err(doubt) => ReadBack {
                instead: Some(format!("the configuration cannot be judged: {doubt}")),
                ..ReadBack::default()
            },
        };
        ReadBack { source: Some(self.source()), ..shows }
    }
}

fn unsupported() -> Unable {
    Obstacle::NoLink.because("this version does not send it over TEDAPI v1r")
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
            Carried { end: End::NotExecuted(note), former: None, problem: None }
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
    use crate::model::order::Mode;
    use crate::model::{AppPercent, Reserve};

    const DIN: &str = "1232100-00-E--TG1";
    const CONFIG: &str = r#"{"vin":"1232100-00-E--TG1","site_info":{"backup_reserve_percent":24}}"#;

    fn read(blob: &'static str, hash: &'static str) -> Result<Read, Doubt> {
        Read::of(Bytes::from_static(blob.as_bytes()), Bytes::from_static(hash.as_bytes()), DIN)
    }

    #[test]
    fn what_is_not_surely_this_gateways_configuration_is_left_alone() {
        assert_eq!(read(CONFIG, "h").unwrap().present().unwrap().reserve, Some(RawPercent(24.0)));
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
        let asked = Setpoint { reserve: Reserve::new(AppPercent(33.0)), ..Setpoint::default() };
        let changed = read(CONFIG, "h").unwrap().with(&asked).unwrap();
        let expected = CONFIG.replace("24", "36.349999999999994");
        assert_eq!(std::str::from_utf8(&changed).unwrap(), expected);
    }

    #[test]
    fn settings_that_gateways_leave_out_are_added_and_read_as_their_default() {
        let before = read(CONFIG, "h").unwrap();
        let present = before.present().unwrap();
        assert_eq!((present.charging, present.export.as_deref()), (Some(true), Some("battery_ok")));
        assert_eq!(present.mode, None);

        let asked =
            Setpoint { charging: Some(false), export: Some(ExportRule::SolarOnly), ..Setpoint::default() };
        let changed = before.with(&asked).unwrap();
        let added = ",\"disallow_charge_from_grid_with_solar_installed\":true,\
            \"customer_preferred_export_rule\":\"pv_only\"";
        let expected = CONFIG.replace("24", &format!("24{added}"));
        assert_eq!(std::str::from_utf8(&changed).unwrap(), expected);

        // A mode that is not there is no default.
        let asked = Setpoint { mode: Some(Mode::Backup), ..Setpoint::default() };
        assert!(matches!(before.with(&asked), Err(Doubt::Leaf(LeafError::Missing(_)))));
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
