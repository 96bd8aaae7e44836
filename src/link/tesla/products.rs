//! The sites of an account, and which of them a gateway is.

use bytes::Bytes;
use serde_json::Value;

use super::error::TeslaError;
use crate::link::bounds::CONFIG;
use crate::link::json::{Look, document};

/// One energy site.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Tesla's number, which may change.
    pub id: u64,
    /// DIN of the gateway; sites of solar alone have none.
    pub din: Option<String>,
    pub name: Option<String>,
}

impl Product {
    /// For a list.
    pub fn shown(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({name})", self.id),
            None => self.id.to_string(),
        }
    }
}

/// The energy sites in an answer; vehicles and wall connectors are passed over.
///
/// # Errors
/// If it is no list.
pub fn products(body: &Bytes) -> Result<Vec<Product>, TeslaError> {
    let answer = document(body, &CONFIG).map_err(|why| TeslaError::Malformed(why.to_string()))?;
    let Value::Array(list) = answer.at(&["response"]) else {
        return Err(TeslaError::Malformed("it is not a list of sites".into()));
    };
    let has_energy = |entry: &&Value| {
        let parts = ["battery", "solar", "wall_connectors"];
        let Value::Object(components) = entry.at(&["components"]) else { return true };
        parts.iter().any(|part| components.get(*part).is_some_and(|part| part.is_true() || part.is_array()))
    };
    let site = |entry: &Value| {
        let text = |key: &str| entry.at(&[key]).name().map(str::to_owned);
        let id = entry.at(&["energy_site_id"]);
        let id = id.as_u64().or_else(|| id.as_str()?.trim().parse().ok())?;
        Some(Product { id, din: text("gateway_id"), name: text("site_name") })
    };
    Ok(list.iter().filter(has_energy).filter_map(site).collect())
}

/// The site that a gateway is: the one with this DIN, the one of this number, or the only one.
///
/// # Errors
/// If that is nobody, or anybody; names the sites that there are.
pub fn choose(sites: &[Product], din: Option<&str>, id: Option<u64>) -> Result<Product, TeslaError> {
    let of_din = din.and_then(|din| sites.iter().find(|site| site.din.as_deref() == Some(din)));
    let of_id = id.and_then(|id| sites.iter().find(|site| site.id == id));
    match (din, id, of_din, of_id, sites) {
        (_, Some(id), Some(found), _, _) if found.id != id => Err(TeslaError::Site(format!(
            "siteid is {id}, but this gateway is site {} in the Tesla account; nothing is taken from another \
             site",
            found.shown()
        ))),
        (_, _, Some(found), _, _) => Ok(found.clone()),
        (Some(_), _, None, Some(other), _) if other.din.is_some() => Err(TeslaError::Site(format!(
            "site {} in the Tesla account is another gateway; nothing is taken from it",
            other.shown()
        ))),
        (_, Some(_), None, Some(found), _) => Ok(found.clone()),
        (Some(_), None, None, _, _) => Err(TeslaError::Site(format!(
            "this gateway is not in the Tesla account, which has {}",
            list(sites)
        ))),
        (None, None, _, _, [only]) => Ok(only.clone()),
        (_, Some(id), _, _, _) => {
            Err(TeslaError::Site(format!("the Tesla account has no site {id}; it has {}", list(sites))))
        }
        (None, None, _, _, _) => Err(TeslaError::Site(format!(
            "siteid (PW_SITEID) must say which site this is: the Tesla account has {}",
            list(sites)
        ))),
    }
}

/// The site that took the place of `former`, which Tesla no longer knows: with the same gateway, else the
/// only one of that name, else the only one there is.
pub fn successor(sites: &[Product], former: &Product) -> Option<Product> {
    let only = |matches: Vec<&Product>| match matches[..] {
        [only] => Some(only.clone()),
        _ => None,
    };
    let same_din = sites.iter().find(|site| site.din.is_some() && site.din == former.din).cloned();
    let named =
        || only(sites.iter().filter(|site| site.name.is_some() && site.name == former.name).collect());
    same_din.or_else(named).or_else(|| only(sites.iter().collect()))
}

fn list(sites: &[Product]) -> String {
    match sites {
        [] => "no site".to_owned(),
        sites => sites.iter().take(20).map(Product::shown).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn site(id: u64, din: Option<&str>, name: &str) -> Product {
        Product { id, din: din.map(str::to_owned), name: Some(name.to_owned()) }
    }

    #[test]
    fn vehicles_and_things_without_a_site_are_passed_over() {
        let body = json!({ "response": [
            { "vehicle_id": 3, "vin": "x" },
            { "energy_site_id": 1, "resource_type": "battery", "site_name": "Home", "gateway_id": "p--A" },
            { "energy_site_id": "2", "resource_type": "solar" },
            { "energy_site_id": 4, "components": { "battery": false, "solar": false } },
            { "resource_type": "wall_connector" },
        ], "count": 5 });
        let found = products(&body.to_string().into()).unwrap();
        let unnamed = Product { id: 2, din: None, name: None };
        assert_eq!(found, [site(1, Some("p--A"), "Home"), unnamed]);
        assert!(products(&Bytes::from_static(br#"{"response":null}"#)).is_err());
    }

    #[test]
    fn a_gateway_is_one_site_and_never_another_ones() {
        let sites = [site(1, Some("p--A"), "Home"), site(2, Some("p--B"), "Cabin"), site(3, None, "Sun")];
        let chosen = |din, id| choose(&sites, din, id).map(|site| site.id).map_err(|why| why.to_string());
        assert_eq!(chosen(Some("p--B"), None), Ok(2));
        assert_eq!(chosen(None, Some(1)), Ok(1));
        assert_eq!(chosen(Some("p--A"), Some(1)), Ok(1));
        assert!(chosen(Some("p--A"), Some(3)).unwrap_err().contains("is site 1"));
        assert!(chosen(Some("p--C"), Some(1)).unwrap_err().contains("another gateway"));
        assert!(chosen(Some("p--C"), None).unwrap_err().contains("not in the Tesla account"));
        assert!(chosen(None, None).unwrap_err().contains("1 (Home), 2 (Cabin), 3 (Sun)"));
        assert!(chosen(None, Some(9)).unwrap_err().contains("no site 9"));
        assert_eq!(choose(&sites[..1], None, None).unwrap().id, 1);
    }

    #[test]
    fn a_site_that_was_renumbered_is_found_again() {
        let former = site(1, Some("p--A"), "Home");
        let next = |sites: &[Product]| successor(sites, &former).map(|site| site.id);
        assert_eq!(next(&[site(7, Some("p--B"), "Home"), site(8, Some("p--A"), "x")]), Some(8));
        assert_eq!(next(&[site(7, None, "Home"), site(8, None, "x")]), Some(7));
        assert_eq!(next(&[site(7, None, "x")]), Some(7));
        assert_eq!(next(&[site(7, None, "x"), site(8, None, "y")]), None);
    }
}
