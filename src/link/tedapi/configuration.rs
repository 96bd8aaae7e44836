//! A gateway's configuration as it was read, and with other settings: leaves, replaced in those very bytes.
//!
//! A configuration that is written wrongly can disable a house. Nothing is written that was not read from
//! this gateway a moment ago, whole and with its hash, and nothing but the bytes of the leaves differs.

use bytes::Bytes;

use super::frames::{self, Updated};
use super::leaf::{self, IfMissing, Leaf, LeafError};
use crate::link::order::{Carried, End};
use crate::model::order::ExportRule;
use crate::model::{ErrorNote, Outcome, Present, RawPercent, Setpoint};

/// Where the settings are in `config.json`. Reserve: raw scale.
const RESERVE: [&str; 2] = ["site_info", "backup_reserve_percent"];
const MODE: [&str; 1] = ["default_real_mode"];
/// Inverted: `true` forbids to charge from the grid.
const CHARGING: [&str; 2] = ["site_info", "disallow_charge_from_grid_with_solar_installed"];
const EXPORT: [&str; 2] = ["site_info", "customer_preferred_export_rule"];

/// Codes of `google.rpc.Status`. The file has another hash by now, so that nothing was written:
const CONFLICTS: [i32; 2] = [9, 10];

/// The configuration as it was read, and what its writer must show for having read it.
#[derive(Debug)]
pub(super) struct Read {
    text: String,
    pub hash: Bytes,
}

/// Why what was read must not be written back.
#[derive(Debug, thiserror::Error)]
pub(super) enum Doubt {
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
    pub fn of(blob: Bytes, hash: Bytes, din: &str) -> Result<Self, Doubt> {
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
    pub fn present(&self) -> Result<Present, Doubt> {
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
    pub fn with(&self, asked: &Setpoint) -> Result<Bytes, Doubt> {
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

/// What an answer to a change of the configuration says.
pub(super) fn judge(answer: Updated) -> Carried {
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
        Updated::Error { code, message } if frames::UNCLEAR.contains(&code) => {
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
