//! What stands behind the question mark, and what is said when it is not right: as the server before words
//! it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::super::plumbing::json_value;

/// Parameters of a request, decoded. One that is given twice counts as it is given last.
pub(in crate::web) struct Asked(Vec<(String, String)>);

/// What is wrong with one of them.
#[derive(Debug, PartialEq)]
pub(in crate::web) struct Wrong(Value);

impl Wrong {
    /// The answer with it.
    pub fn answer(self) -> HttpResponse {
        json_value(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "detail": [self.0] }))
    }

    /// `name` contradicts something else.
    pub fn value(name: &str, why: &str) -> Self {
        Self(json!({ "loc": ["query", name], "msg": why, "type": "value_error" }))
    }

    fn input(kind: &str, name: &str, why: &str, input: &str) -> Self {
        Self(json!({ "type": kind, "loc": ["query", name], "msg": why, "input": input }))
    }

    /// `name` is none of the words `expected`.
    pub fn literal(name: &str, input: &str, expected: &str) -> Self {
        let Self(mut wrong) =
            Self::input("literal_error", name, &format!("Input should be {expected}"), input);
        wrong["ctx"] = json!({ "expected": expected });
        Self(wrong)
    }

    fn bound(name: &str, input: &str, kind: &str, (key, bound): (&str, Value)) -> Self {
        let words = if key == "ge" { "greater" } else { "less" };
        let shown = bound.as_f64().unwrap_or_default();
        let why = format!("Input should be {words} than or equal to {shown}");
        let Self(mut wrong) = Self::input(kind, name, &why, input);
        wrong["ctx"] = json!({ key: bound });
        Self(wrong)
    }
}

impl Asked {
    pub fn of(request: &HttpRequest) -> Self {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        Self(pairs.map(web::Query::into_inner).unwrap_or_default())
    }

    /// As it was given; empty is a value.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A list with commas, without its blank items; `None`: all.
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        let items = self.text(name)?.split(',').map(str::trim).filter(|item| !item.is_empty());
        let items: Vec<String> = items.map(str::to_owned).collect();
        (!items.is_empty()).then_some(items)
    }

    pub fn integer(&self, name: &str, (least, most): (i64, i64), usual: i64) -> Result<i64, Wrong> {
        let Some(text) = self.text(name) else { return Ok(usual) };
        let unparsed = "Input should be a valid integer, unable to parse string as an integer";
        let number: i64 =
            text.trim().parse().map_err(|_| Wrong::input("int_parsing", name, unparsed, text))?;
        if number < least {
            return Err(Wrong::bound(name, text, "greater_than_equal", ("ge", least.into())));
        }
        if number > most {
            return Err(Wrong::bound(name, text, "less_than_equal", ("le", most.into())));
        }
        Ok(number)
    }

    pub fn number(&self, name: &str) -> Result<Option<f64>, Wrong> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let unparsed = "Input should be a valid number, unable to parse string as a number";
        let number: f64 =
            text.trim().parse().map_err(|_| Wrong::input("float_parsing", name, unparsed, text))?;
        Ok(Some(number))
    }

    pub fn finite(&self, name: &str) -> Result<Option<f64>, Wrong> {
        match self.number(name)? {
            Some(number) if !number.is_finite() => {
                let text = self.text(name).unwrap_or_default();
                Err(Wrong::input("finite_number", name, "Input should be a finite number", text))
            }
            number => Ok(number),
        }
    }

    pub fn within(&self, name: &str, (least, most): (f64, f64)) -> Result<Option<f64>, Wrong> {
        let Some(number) = self.finite(name)? else { return Ok(None) };
        let text = self.text(name).unwrap_or_default();
        if number < least {
            return Err(Wrong::bound(name, text, "greater_than_equal", ("ge", least.into())));
        }
        if number > most {
            return Err(Wrong::bound(name, text, "less_than_equal", ("le", most.into())));
        }
        Ok(Some(number))
    }

    pub fn boolean(&self, name: &str) -> Result<bool, Wrong> {
        let Some(text) = self.text(name) else { return Ok(false) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "y" | "t" => Ok(true),
            "false" | "0" | "no" | "off" | "n" | "f" => Ok(false),
            _ => {
                let why = "Input should be a valid boolean, unable to interpret input";
                Err(Wrong::input("bool_parsing", name, why, text))
            }
        }
    }

    /// A date of the calendar, written `2026-11-25`.
    pub fn date(&self, name: &str) -> Result<Option<String>, Wrong> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let shape = |byte: (usize, u8)| match byte.0 {
            4 | 7 => byte.1 == b'-',
            _ => byte.1.is_ascii_digit(),
        };
        let is_date = text.len() == 10
            && text.bytes().enumerate().all(shape)
            && text.parse::<jiff::civil::Date>().is_ok();
        match is_date {
            true => Ok(Some(text.to_owned())),
            false => Err(Wrong::value(name, "must be a date such as 2026-11-25")),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn asked(query: &str) -> Asked {
        Asked::of(&TestRequest::with_uri(&format!("/?{query}")).to_http_request())
    }

    #[test]
    fn what_is_wrong_is_said_as_the_server_before_says_it() {
        let wrong = |wrong: Wrong| wrong.0;
        assert_eq!(
            asked("days=0").integer("days", (1, 366), 7).map_err(wrong),
            Err(json!({
                "type": "greater_than_equal", "loc": ["query", "days"],
                "msg": "Input should be greater than or equal to 1", "input": "0", "ctx": { "ge": 1 },
            }))
        );
        assert_eq!(
            asked("start=nan").finite("start").map_err(wrong),
            Err(json!({
                "type": "finite_number", "loc": ["query", "start"],
                "msg": "Input should be a finite number", "input": "nan",
            }))
        );
        for text in ["2026-02-30", "2026-2-3", "20260203", "+2026-02-3", ""] {
            assert!(asked(&format!("start={text}")).date("start").is_err(), "{text}");
        }
        assert_eq!(asked("start=2028-02-29").date("start"), Ok(Some("2028-02-29".into())));
        assert_eq!(asked("days=3&days=5").integer("days", (1, 366), 7), Ok(5), "the last one counts");
        assert_eq!(asked("gateway=a%20b").text("gateway"), Some("a b"));
        assert_eq!(asked("metrics=a,,b,").list("metrics"), Some(vec!["a".into(), "b".into()]));
    }
}
