//! Schemas of bodies: gathered from bodies, and checked against bodies. As much of JSON Schema as that needs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// An object with more keys than this, by name, is told by what its values are.
const MOST_KEYS: usize = 60;

/// What all the bodies of a route have in common.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    types: BTreeSet<&'static str>,
    /// How many objects there were.
    objects: usize,
    /// By key; with how many objects had it.
    properties: BTreeMap<String, (usize, Shape)>,
    /// Of the values of objects whose keys are names of something.
    by_name: Option<Box<Shape>>,
    items: Option<Box<Shape>>,
}

/// Whether a key is the name of a thing at hand: a device, a gateway, a string, a route, a serial.
fn is_name(key: &str) -> bool {
    let serial = |key: &str| {
        key.len() >= 10 && key.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let numbered = |prefix: &str| {
        key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let string = key.len() <= 2 && key.starts_with(|c: char| ('A'..='F').contains(&c));
    key.contains("--")
        || key.starts_with('/')
        || super::IDS.contains(&key)
        || serial(key)
        || string
        || numbered("PW")
        || numbered("FAN")
        || key.starts_with("ISLAND_")
}

impl Shape {
    /// Widens the shape so that `value` fits.
    pub fn take(&mut self, value: &Value, keys_are_names: bool) {
        match value {
            Value::Null => _ = self.types.insert("null"),
            Value::Bool(_) => _ = self.types.insert("boolean"),
            Value::Number(_) => _ = self.types.insert("number"),
            Value::String(_) => _ = self.types.insert("string"),
            Value::Array(items) => {
                self.types.insert("array");
                let shape = self.items.get_or_insert_default();
                items.iter().for_each(|item| shape.take(item, false));
            }
            Value::Object(object) => {
                self.types.insert("object");
                self.objects += 1;
                if keys_are_names || object.keys().any(|key| is_name(key)) {
                    let shape = self.by_name.get_or_insert_default();
                    object.values().for_each(|value| shape.take(value, false));
                } else {
                    for (key, value) in object {
                        let (count, shape) = self.properties.entry(key.clone()).or_default();
                        *count += 1;
                        shape.take(value, false);
                    }
                }
            }
        }
    }

    /// Whether it has so many keys that they are as good as names.
    fn is_crowd(&self) -> bool {
        self.properties.len() > MOST_KEYS
    }

    pub fn schema(&self) -> Value {
        self.told(true)
    }

    /// Below the root anything may be unknown, also where no body at hand shows it.
    fn told(&self, is_root: bool) -> Value {
        let mut types = self.types.clone();
        if types.iter().all(|kind| *kind == "null") {
            return json!({});
        }
        if !is_root {
            types.insert("null");
        }
        let types: Vec<&str> = types.into_iter().collect();
        let mut schema = Map::new();
        schema.insert("type".into(), if let [kind] = types[..] { kind.into() } else { types.into() });
        if let Some(items) = &self.items {
            schema.insert("items".into(), items.told(false));
        }
        match &self.by_name {
            Some(values) => {
                let mut all = Shape::clone(values);
                self.properties.values().for_each(|(_, shape)| all.join(shape));
                schema.insert("additionalProperties".into(), all.told(false));
            }
            None if self.is_crowd() => {
                let mut all = Shape::default();
                self.properties.values().for_each(|(_, shape)| all.join(shape));
                schema.insert("additionalProperties".into(), all.told(false));
            }
            None => {
                let always = self.properties.iter().filter(|(_, (count, _))| *count == self.objects);
                let required: Vec<&String> = always.map(|(key, _)| key).collect();
                if !required.is_empty() {
                    schema.insert("required".into(), json!(required));
                }
                let properties = self.properties.iter();
                let properties: Map<_, _> =
                    properties.map(|(key, (_, shape))| (key.clone(), shape.told(false))).collect();
                if !properties.is_empty() {
                    schema.insert("properties".into(), properties.into());
                }
            }
        }
        schema.into()
    }

    /// Widens the shape by another one.
    fn join(&mut self, other: &Self) {
        self.types.extend(&other.types);
        self.objects += other.objects;
        for (key, (count, shape)) in &other.properties {
            let (own, known) = self.properties.entry(key.clone()).or_default();
            *own += count;
            known.join(shape);
        }
        for (own, more) in [(&mut self.by_name, &other.by_name), (&mut self.items, &other.items)] {
            if let Some(more) = more {
                own.get_or_insert_default().join(more);
            }
        }
    }

    /// An example with few of many alike; it still fits.
    pub fn example(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => {
                let shape = self.items.as_deref().cloned().unwrap_or_default();
                items.iter().take(2).map(|item| shape.example(item)).collect()
            }
            Value::Object(object) => {
                let most = match &self.by_name {
                    Some(_) => 2,
                    None if self.is_crowd() => 8,
                    None => usize::MAX,
                };
                let nothing = Shape::default();
                let few = object.iter().take(most);
                few.map(|(key, value)| {
                    let known = self.properties.get(key).map(|(_, shape)| shape);
                    let shape = known.or(self.by_name.as_deref()).unwrap_or(&nothing);
                    (key.clone(), shape.example(value))
                })
                .collect::<Map<_, _>>()
                .into()
            }
            plain => plain.clone(),
        }
    }
}

/// Why `value` does not fit `schema`, and where.
pub fn misfit(schema: &Value, value: &Value, place: &str) -> Option<String> {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::String(one) => one == kind,
        several => several.as_array().unwrap().iter().any(|one| one == kind),
    };
    if !fits {
        return Some(format!("{place} is {kind}, not {}", schema["type"]));
    }
    match value {
        Value::Array(items) => {
            items.iter().find_map(|item| misfit(&schema["items"], item, &format!("{place}[]")))
        }
        Value::Object(object) => {
            let mut required = schema["required"].as_array().into_iter().flatten();
            if let Some(missing) = required.find(|key| !object.contains_key(key.as_str().unwrap())) {
                return Some(format!("{place} has no {missing}"));
            }
            object.iter().find_map(|(key, value)| {
                let known = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
                misfit(known, value, &format!("{place}.{key}"))
            })
        }
        _ => None,
    }
}
