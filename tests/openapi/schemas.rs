//! The schemas of a document as a validator reads them that nobody here wrote.

use std::collections::HashMap;

use jsonschema::Validator;
use serde_json::{Value, json};

/// Validators by the text of their schema, made once for each.
pub struct Schemas {
    components: Value,
    known: HashMap<String, Validator>,
}

impl Schemas {
    pub fn new(document: &Value) -> Self {
        let mut components = document["components"].clone();
        close(&mut components["schemas"]);
        Self { components, known: HashMap::new() }
    }

    /// Why `body` does not fit `schema`, and where.
    pub fn misfits(&mut self, schema: &Value, body: &Value) -> Vec<String> {
        let validator = self.known.entry(schema.to_string()).or_insert_with(|| {
            let mut whole = schema.clone();
            close(&mut whole);
            let whole = whole.as_object_mut().expect("an object");
            whole.insert("components".into(), self.components.clone());
            jsonschema::draft202012::new(&json!(whole)).unwrap_or_else(|error| panic!("{schema}: {error}"))
        });
        let errors = validator.iter_errors(body);
        errors.map(|error| format!("{}: {error:.200}", error.instance_path())).take(5).collect()
    }
}

/// An object that lists its keys lists all of them. Clients must take new ones, so the document does not say
/// so; here a key that nobody described is a mistake.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_object = match &fields.get("type") {
                Some(Value::String(one)) => one == "object",
                Some(Value::Array(several)) => several.contains(&json!("object")),
                _ => false,
            };
            if is_object {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            fields.iter_mut().filter(|(key, _)| *key != "const").for_each(|(_, field)| close(field));
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[test]
fn a_wrong_type_a_missing_key_and_a_key_that_nobody_described_are_misfits() {
    let watts = json!({ "type": ["number", "null"] });
    let power = json!({ "type": "object", "required": ["site"], "properties": { "site": {
        "$ref": "#/components/schemas/Watts",
    } } });
    let document = json!({ "components": { "schemas": { "Watts": watts, "Power": power } } });
    let mut schemas = Schemas::new(&document);
    let mut misfits = |body: Value| schemas.misfits(&json!({ "$ref": "#/components/schemas/Power" }), &body);
    assert!(misfits(json!({ "site": 1.5 })).is_empty() && misfits(json!({ "site": null })).is_empty());
    for wrong in [json!({ "site": "1" }), json!({}), json!({ "site": 1, "load": 2 }), json!(null)] {
        assert!(!misfits(wrong.clone()).is_empty(), "{wrong}");
    }
}
