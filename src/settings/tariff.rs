//! `tariff:` of the file: what energy costs, by the clock of the site.

use serde_json::{Map, Value};

use super::GatewaySettings;
use super::item::Item;
use super::load::Reader;
use super::notify::minute;
use super::problem::Problems;
use crate::model::tariff::{Period, Tariff, Tariffs};

const KEYS: [&str; 4] = ["gateways", "currency", "buy", "sell"];
const PERIOD_KEYS: [&str; 5] = ["price", "from", "to", "days", "months"];
/// More than any supplier has.
const MOST_PERIODS: usize = 200;
/// Per kWh; enough for every currency.
const MOST: f64 = 1_000_000.0;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

impl Reader {
    /// The prices; `gateways`: if they are all known.
    pub(super) fn tariffs(&mut self, gateways: Option<&[GatewaySettings]>) -> Tariffs {
        let Some((given, place)) = self.tariff_in_file.take() else { return Tariffs::default() };
        let ids = gateways.map(|known| known.iter().map(|one| one.facts.id.as_str()).collect::<Vec<_>>());
        read(&given, &place, ids.as_deref(), &mut self.problems)
    }
}

/// One for all gateways, or a list of those of some.
fn read(given: &Value, place: &str, ids: Option<&[&str]>, problems: &mut Problems) -> Tariffs {
    let entries: Vec<(String, &Value)> = match given {
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, entry)| (format!("{place}[{index}]"), entry)).collect()
        }
        one => vec![(place.to_owned(), one)],
    };
    let mut tariffs = Vec::new();
    for (place, entry) in entries {
        let Some(object) = entry.as_object() else {
            problems.add(place, "expected an object with buy, sell and currency");
            continue;
        };
        let mut item = Item { object, place: &place, problems };
        item.refuse_unknown_keys(&KEYS);
        let (gateways, currency) = (item.gateways(ids), currency(&mut item));
        let [buy, sell] = ["buy", "sell"].map(|key| prices(&mut item, key));
        if object.get("buy").is_none() {
            item.problem("buy", "missing: the price of a kWh from the grid, or a list of prices by time");
        }
        if let (Some(gateways), Some(buy), Some(sell)) = (gateways, buy, sell) {
            tariffs.push((gateways, Tariff { currency, buy, sell }));
        }
    }
    Tariffs(tariffs)
}

fn currency(item: &mut Item<'_>) -> Option<String> {
    let code = item.text("currency")?.to_ascii_uppercase();
    if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        item.problem("currency", format!("{code:?} is not a code of three letters, such as EUR or USD"));
        return None;
    }
    Some(code)
}

/// `None` if something is wrong; empty if nothing is said.
fn prices(item: &mut Item<'_>, key: &str) -> Option<Vec<Period>> {
    let whole = Period::ALWAYS;
    let list = match item.object.get(key) {
        None | Some(Value::Null) => return Some(Vec::new()),
        Some(Value::Array(list)) if (1..=MOST_PERIODS).contains(&list.len()) => list,
        Some(number) => {
            let price = price(item, key, number)?;
            return Some(vec![Period { price, ..whole }]);
        }
    };
    let periods: Vec<Period> = list
        .iter()
        .enumerate()
        .filter_map(|(index, entry)| {
            let key = format!("{key}[{index}]");
            let Some(object) = entry.as_object() else {
                item.problem(
                    &key,
                    "expected an object with price, and from, to, days, months if it is not always",
                );
                return None;
            };
            period(item, &key, object)
        })
        .collect();
    (periods.len() == list.len()).then_some(periods)
}

fn price(item: &mut Item<'_>, key: &str, number: &Value) -> Option<f64> {
    let price = number.as_f64().filter(|price| price.abs() <= MOST);
    if price.is_none() {
        item.problem(key, "expected a price per kWh, such as 0.32, or a list of prices by time");
    }
    price
}

fn period(item: &mut Item<'_>, key: &str, object: &Map<String, Value>) -> Option<Period> {
    for unknown in object.keys().filter(|name| !PERIOD_KEYS.contains(&name.as_str())) {
        item.problem(key, format!("unknown key {unknown}; known keys: {}", PERIOD_KEYS.join(", ")));
    }
    let price = price(item, &format!("{key}.price"), object.get("price").unwrap_or(&Value::Null));
    let minutes = minutes(item, key, object);
    let days = set(item, key, object.get("days"), ("days", &DAYS));
    let months = set(item, key, object.get("months"), ("months", &MONTHS));
    Some(Period { price: price?, minutes: minutes?, days: days? as u8, months: months?, season: None })
}

/// `None` if it is wrong; `Some(None)`: the whole day. Prices change at quarters of an hour.
fn minutes(item: &mut Item<'_>, key: &str, object: &Map<String, Value>) -> Option<Option<(u16, u16)>> {
    let mut time = |name: &str| match object.get(name).filter(|value| !value.is_null()) {
        None => Some(None),
        Some(value) => {
            let text = value.as_str();
            let found = match text {
                Some("24:00") => Some(0),
                text => text.and_then(minute).filter(|minute| minute % 15 == 0),
            };
            if found.is_none() {
                let what = "is a quarter of an hour in quotes, such as \"16:00\" or \"16:30\"";
                item.problem(&format!("{key}.{name}"), what);
            }
            found.map(Some)
        }
    };
    match (time("from")?, time("to")?) {
        (None, None) => Some(None),
        (Some(from), Some(to)) if from != to => Some(Some((from, to))),
        (Some(_), Some(_)) => Some(None),
        _ => {
            item.problem(key, "from and to belong together");
            None
        }
    }
}

/// Bits of words such as `mon-fri` or `jun, jul`; of all, if nothing is said.
fn set(item: &mut Item<'_>, key: &str, given: Option<&Value>, (name, words): (&str, &[&str])) -> Option<u16> {
    let all = (1_u16 << words.len()) - 1;
    let texts: Vec<&str> = match given {
        None | Some(Value::Null) => return Some(all),
        Some(Value::String(text)) => text.split(',').collect(),
        Some(Value::Array(list)) => list.iter().map(|word| word.as_str().unwrap_or_default()).collect(),
        Some(_) => vec![""],
    };
    let place = |word: &str| {
        let word = word.trim().to_ascii_lowercase();
        words.iter().position(|known| *known == word)
    };
    let bits = texts.iter().try_fold(0_u16, |bits, text| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (mut at, last) = (place(first)?, place(last)?);
        let mut bits = bits | 1 << at;
        while at != last {
            at = (at + 1) % words.len();
            bits |= 1 << at;
        }
        Some(bits)
    });
    if bits.is_none() {
        let example = format!("{}-{}", words[0], words[4]);
        let all = words.join(", ");
        item.problem(
            &format!("{key}.{name}"),
            format!("expected a list of {all}, or a range such as {example}"),
        );
    }
    bits
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use serde_json::json;

    use super::*;

    fn tariffs(given: &Value) -> Result<Tariffs, String> {
        let mut problems = Problems::default();
        let read = read(given, "f: tariff", Some(&["home", "barn"]), &mut problems);
        if problems.is_empty() { Ok(read) } else { Err(problems.to_string()) }
    }

    #[test]
    fn prices_are_what_the_file_says() {
        let given = json!([
            { "gateways": ["barn"], "buy": 0.3, "sell": -0.01 },
            { "currency": "eur", "sell": 0.08, "buy": [
                { "price": 0.45, "from": "16:00", "to": "21:00", "days": "mon-fri",
                    "months": ["jun", "jul-sep"] },
                { "price": 0.22, "from": "21:00", "to": "24:00", "days": "sat, sun" },
                { "price": 0.3 },
            ] },
        ]);
        let tariffs = tariffs(&given).unwrap();
        let (barn, home) = (tariffs.of("barn").unwrap(), tariffs.of("home").unwrap());
        assert_eq!((home.currency.as_deref(), barn.currency.as_deref()), (Some("EUR"), None));
        // 2026-07-03 is a Friday.
        let at = |month, day, hour| date(2026, month, day).at(hour, 45, 0, 0);
        assert_eq!(barn.price(at(7, 3, 16)).sell, Some(-0.01));
        let buy = |month, day, hour| home.price(at(month, day, hour)).buy.unwrap();
        assert_eq!([buy(7, 3, 16), buy(7, 4, 16), buy(5, 1, 16), buy(9, 30, 20)], [0.45, 0.3, 0.3, 0.45]);
        assert_eq!([buy(7, 4, 23), buy(7, 5, 0), buy(7, 5, 21)], [0.22, 0.3, 0.22]);
    }

    #[test]
    fn what_is_wrong_names_the_key_and_what_it_takes() {
        let period = |period: Value| json!({ "buy": [period] });
        for (given, words) in [
            (json!(0.3), "expected an object with buy"),
            (json!({ "sell": 0.1 }), "tariff.buy: missing"),
            (json!({ "buy": "0.3 EUR" }), "tariff.buy: expected a price per kWh"),
            (json!({ "buy": 1, "currency": "euro" }), "\"EURO\" is not a code of three letters"),
            (json!({ "buy": 1, "gateways": ["loft"] }), "not the id of a gateway: home, barn"),
            (json!({ "buy": 1, "price": 1 }), "price: unknown key"),
            (period(json!({ "from": "16:00", "to": "21:00" })), "buy[0].price: expected a price"),
            (period(json!({ "price": 1, "from": "16:05", "to": "21:00" })), "buy[0].from: is a quarter"),
            (period(json!({ "price": 1, "from": "16:00" })), "from and to belong together"),
            (period(json!({ "price": 1, "days": "mon-fry" })), "range such as mon-fri"),
            (period(json!({ "price": 1, "months": 7 })), "range such as jan-may"),
        ] {
            let problem = tariffs(&given).unwrap_err();
            assert!(problem.contains(words), "{given}: {problem}");
        }
    }
}
