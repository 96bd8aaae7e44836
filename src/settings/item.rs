//! One object of a list in the file, while it is read: what tokens and notifications have in common.

use std::path::Path;

use serde_json::{Map, Value};

use super::Secret;
use super::load::read_file;
use super::problem::{Problems, nearest};
use super::values::{self, Refusal};

/// One entry in the making. What is missing or wrong stands in `problems`.
pub(super) struct Item<'a> {
    pub object: &'a Map<String, Value>,
    pub place: &'a str,
    pub problems: &'a mut Problems,
}

impl Item<'_> {
    pub fn problem(&mut self, key: &str, what: impl Into<String>) {
        self.problems.add(format!("{}.{key}", self.place), what);
    }

    pub fn refuse_unknown_keys(&mut self, known: &[&'static str]) {
        for key in self.object.keys().filter(|key| !known.contains(&key.as_str())) {
            let hint = nearest(key, known.iter().copied()).map(|name| format!("; did you mean {name}?"));
            let all = || format!("; known keys: {}", known.join(", "));
            self.problem(key, format!("unknown key{}", hint.unwrap_or_else(all)));
        }
    }

    /// A text that is not empty; `None` if there is none, or something else.
    pub fn text(&mut self, key: &str) -> Option<String> {
        match self.object.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            _ => {
                self.problem(key, "expected a text in quotes");
                None
            }
        }
    }

    pub fn name(&mut self) -> Option<String> {
        let Some(name) = self.text("name") else {
            if !self.object.contains_key("name") {
                self.problem("name", "missing");
            }
            return None;
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.len() > 64 || !name.chars().all(plain) {
            self.problem("name", format!("{name:?} is not 1 to 64 of the characters A-Z a-z 0-9 _ - ."));
            return None;
        }
        Some(name)
    }

    /// `None` if it is wrong; `Some(None)`: all of them.
    pub fn gateways(&mut self, ids: Option<&[&str]>) -> Option<Option<Vec<String>>> {
        let list = match self.object.get("gateways") {
            None | Some(Value::Null) => return Some(None),
            Some(Value::Array(list)) if !list.is_empty() => list,
            Some(_) => {
                self.problem("gateways", "expected a list of ids of gateways, or nothing for all of them");
                return None;
            }
        };
        let mut gateways = Vec::new();
        for id in list {
            match id.as_str().filter(|id| ids.is_none_or(|ids| ids.contains(id))) {
                Some(id) => gateways.push(id.to_owned()),
                None => {
                    let known = ids.map_or_else(String::new, |ids| format!(": {}", ids.join(", ")));
                    self.problem("gateways", format!("{id} is not the id of a gateway{known}"));
                }
            }
        }
        (gateways.len() == list.len()).then_some(Some(gateways))
    }

    /// From the one of three places that is named: `key`, `key_file`, or `key_env` with the name of a
    /// variable that begins with `prefix`; which variables were named goes into `used`. `check` is asked what
    /// it may be.
    pub fn secret(
        &mut self,
        [key, file, variable]: [&str; 3],
        (prefix, secrets, used): (&str, &[(String, Secret)], &mut Vec<String>),
        check: fn(&Secret) -> Result<(), Refusal>,
    ) -> Option<Secret> {
        let places = [key, file, variable].map(|key| (key, self.text(key)));
        let mut given = places.into_iter().filter_map(|(key, text)| Some((key, text?)));
        let (Some((place, text)), None) = (given.next(), given.next()) else {
            self.problem(key, format!("expected exactly one of {file}, {variable} and {key}"));
            return None;
        };
        let secret = if place == file {
            match read_file(Path::new(&text)) {
                Ok(content) => match values::secret(&content) {
                    Ok(secret) => secret.map(Secret::new).ok_or("it is empty".into()),
                    Err(refusal) => Err(format!("{text:?} {refusal}")),
                },
                Err(error) => Err(format!("{text:?} cannot be read: {error}")),
            }
        } else if place == variable {
            used.push(text.clone());
            let found = secrets.iter().find(|(name, _)| *name == text);
            // What does not begin like a name may be the secret itself.
            found.map(|(_, secret)| secret.clone()).ok_or_else(|| match text.starts_with(prefix) {
                true => format!("{text} is not set, or empty"),
                false => format!("expected the name of a variable that begins with {prefix}"),
            })
        } else {
            match values::secret(&text) {
                Ok(secret) => secret.map(Secret::new).ok_or("it is empty".into()),
                Err(refusal) => Err(refusal),
            }
        };
        let secret = secret.and_then(|secret| check(&secret).map(|()| secret));
        secret.map_err(|refusal: Refusal| self.problem(place, refusal)).ok()
    }
}
