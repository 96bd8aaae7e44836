//! What sites are made of, counted, and as a table with a line for each.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use serde_json::{Value, json};

use super::{sum, tenths, whole};
use crate::model::LinkKind;
use crate::pieces::Render;
use crate::views::sites::Roll;
use crate::views::sites::asked::Asked;
use crate::views::sites::batteries::Batteries;
use crate::views::sites::inventory::{Firmware, Inventory};
use crate::views::sites::row::Row;

const HEAD: &[u8] =
    b"id,name,site_name,group,tags,link,firmware,din,model,batteries,capacity_wh,charge_percent,\
    reserve_percent,mode,freshness,age_seconds,alerts\r\n";
/// Between several values in one field.
const AND: &str = "; ";

pub(super) fn document(roll: &Roll, asked: &Asked) -> Value {
    let inventory = Inventory::of(roll.matching(asked).map(|row| &**row));
    let firmware = |firmware: &Firmware| {
        let Firmware { version, sites, is_old } = firmware;
        json!({ "version": version, "sites": sites, "old": is_old })
    };
    let models = inventory.batteries.each();
    let models = models.map(|(model, count)| json!({ "model": model.name(), "batteries": count }));
    json!({
        "sites": inventory.sites,
        "firmware": inventory.firmware.iter().map(firmware).collect::<Vec<_>>(),
        "capacity": sum(inventory.capacity),
        "models": models.collect::<Vec<_>>(),
    })
}

/// A table that is written as fast as its reader takes it.
pub(super) struct Table {
    rows: std::vec::IntoIter<Arc<Row>>,
    /// When the rows were like this, Unix seconds.
    at: f64,
    is_begun: bool,
}

impl Table {
    pub fn of(rows: Vec<Arc<Row>>, at: f64) -> Self {
        Self { rows: rows.into_iter(), at, is_begun: false }
    }

    /// Lines that are still to be written, without the head.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Render for Table {
    fn part(&mut self, out: &mut BytesMut) -> bool {
        if !std::mem::replace(&mut self.is_begun, true) {
            out.put_slice(HEAD);
            return true;
        }
        let Some(row) = self.rows.next() else { return false };
        out.put_slice(line(&row, self.at).as_bytes());
        true
    }
}

fn line(row: &Row, at: f64) -> String {
    let (facts, labels) = (&row.facts, &row.facts.labels);
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let age = row.taken_at.map(|taken| whole((at - taken).max(0.0)));
    let freshness = serde_json::to_value(row.freshness).unwrap_or_default();
    let fields = [
        text(Some(&facts.id)),
        text(Some(&facts.name)),
        text(row.site_name.as_deref()),
        text(labels.group.as_deref()),
        text(Some(&labels.tags.join(AND))),
        text(row.link.map(LinkKind::word)),
        text(row.firmware.as_deref()),
        text(row.din.as_deref()),
        text(row.batteries.as_ref().map(models).as_deref()),
        row.batteries.map(|all| all.count().to_string()).unwrap_or_default(),
        number(row.capacity.map(whole)),
        number(row.charge.map(tenths)),
        number(row.reserve.map(tenths)),
        text(row.mode.as_deref()),
        text(freshness.as_str()),
        number(age),
        text(Some(&row.alerts.join(AND))),
    ];
    fields.join(",") + "\r\n"
}

fn models(batteries: &Batteries) -> String {
    let names = batteries.each().filter_map(|(model, _)| model.name());
    names.collect::<Vec<_>>().join(AND)
}

/// A field (RFC 4180). A spreadsheet shows it and takes it for no formula, and no separator of any country
/// ends it.
fn text(value: Option<&str>) -> String {
    let value = value.unwrap_or_default();
    let is_formula = value.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
        || value.starts_with(['\t', '\r', '\n']);
    let value = if is_formula { format!("'{value}") } else { value.to_owned() };
    match value.contains([',', ';', '"', '\t', '\r', '\n']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_formula_or_more_than_one_field() {
        for (value, field) in [
            ("", ""),
            ("Lake house", "Lake house"),
            ("1232100-00-E--TG1", "1232100-00-E--TG1"),
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-2", "'-2"),
            (" @SUM(A1)", "' @SUM(A1)"),
            ("＝1", "'＝1"),
            ("\t=1", "\"'\t=1\""),
            ("=HYPERLINK(\"x\",1)", "\"'=HYPERLINK(\"\"x\"\",1)\""),
            ("a;=1", "\"a;=1\""),
            ("two\r\nlines", "\"two\r\nlines\""),
        ] {
            assert_eq!(text(Some(value)), field, "{value:?}");
        }
        assert_eq!(text(None), "");
    }
}
