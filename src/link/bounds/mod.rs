//! How large an answer of a gateway may be, checked over its bytes before anything is built of it in memory.
//!
//! Each bound is at least four times what the largest site sends. That site is worked out from the recorded
//! gateways and the simulated ones, which have two batteries: ten Powerwall 2, or four Powerwall 3 with three
//! expansions each. What an answer costs is not its length: a value of three bytes can take five hundred in
//! memory, so the tree that would be built is counted, and [`Bounds::memory`] is what it may take.

mod json;
pub mod protobuf;

/// The longest answer to any question, as it is on the wire and as it is inflated: the longest document, and
/// what TEDAPI puts around it.
pub const LONGEST_ANSWER: usize = CONFIG.bytes + (8 << 10);
/// Batteries of one site, expansions included. Sixteen is what Tesla sells.
pub const MOST_BATTERIES: usize = 64;
/// Powerwall 3 units of one site, each with an answer of its own. Four is what Tesla sells.
pub const MOST_POWERWALL3: usize = 16;
/// A DIN has some thirty characters, and the name of a site is as long as its owner likes.
pub const LONGEST_NAME: usize = 256;

/// How large one document may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Length of the document.
    pub bytes: usize,
    /// What its tree takes in memory, estimated from above.
    pub memory: usize,
    /// Length of the longest text or key, as it is written.
    pub text: usize,
}

/// Levels of the deepest document; recorded ones have up to 8.
pub const DEPTH: usize = 32;
/// Entries of the longest list or object; recorded ones have up to 65.
pub const ENTRIES: usize = 512;

/// An answer of a few fields; recorded ones have up to 490 bytes and take 3.6 kB.
pub const SMALL: Bounds = Bounds { bytes: 16 << 10, memory: 64 << 10, text: 1 << 10 };
/// The answer to a login, which may hold a long token.
pub const LOGIN: Bounds = Bounds { text: 8 << 10, ..SMALL };
/// Meters of the customer API: 2.4 kB and 19 kB in memory, with four meters of the eight that exist.
pub const METERS: Bounds = Bounds { bytes: 32 << 10, memory: 256 << 10, text: 1 << 10 };
/// Battery blocks of the customer API: with ten of them, 7 kB and 60 kB in memory.
pub const SYSTEM_STATUS: Bounds = Bounds { bytes: 64 << 10, memory: 512 << 10, text: 1 << 10 };
/// The solar inverter of the customer API: 4.8 kB and 50 kB in memory.
pub const SOLAR: Bounds = Bounds { bytes: 32 << 10, memory: 512 << 10, text: 1 << 10 };
/// `config.json`. The recorded ones have 1 kB; a tariff, which is not in them, has up to 64 kB.
pub const CONFIG: Bounds = Bounds { bytes: 256 << 10, memory: 3 << 19, text: 16 << 10 };
/// The controller of TEDAPI, basic and full: with ten Powerwall 2, 43 kB and 450 kB in memory.
pub const CONTROLLER: Bounds = Bounds { bytes: 192 << 10, memory: 2 << 20, text: 4 << 10 };
/// The components of one Powerwall 3: with three expansions, 25 kB and 310 kB in memory.
const COMPONENTS: Bounds = Bounds { bytes: 112 << 10, memory: 5 << 18, text: 4 << 10 };
/// The components of all units of a site take no more than this in memory.
const ALL_COMPONENTS: usize = 5 << 20;

/// Of the components of each of `units` units: they share what a site may take.
pub fn components(units: usize) -> Bounds {
    Bounds { memory: COMPONENTS.memory.min(ALL_COMPONENTS / units.max(1)), ..COMPONENTS }
}

/// What is too large about an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    #[error("it has more than {most} bytes")]
    Bytes { most: usize },
    #[error("it would take more than {} kB of memory", .most >> 10)]
    Memory { most: usize },
    #[error("it nests deeper than {DEPTH} levels")]
    Depth,
    #[error("a list or an object in it has more than {ENTRIES} entries")]
    Entries,
    #[error("a text in it is longer than {most} bytes")]
    Text { most: usize },
    #[error("it lists more than {most} {what}")]
    Count { what: &'static str, most: usize },
}

impl Bounds {
    /// Whether the document is small enough to be read. Whether it is JSON at all, its reader finds out.
    ///
    /// # Errors
    /// What is too large about it.
    pub fn check(&self, json: &[u8]) -> Result<(), Excess> {
        length(json.len(), self.bytes)?;
        json::weigh(json, self).map(|_| ())
    }
}

/// Holds a length against its bound.
///
/// # Errors
/// If `found` is more than `most`.
pub fn length(found: usize, most: usize) -> Result<(), Excess> {
    if found > most { Err(Excess::Bytes { most }) } else { Ok(()) }
}

/// Holds the length of a name that is shown everywhere against its bound.
///
/// # Errors
/// If it is longer than [`LONGEST_NAME`] bytes.
pub fn name(name: &str) -> Result<(), Excess> {
    if name.len() > LONGEST_NAME { Err(Excess::Text { most: LONGEST_NAME }) } else { Ok(()) }
}

/// Holds a number of `what` against its bound.
///
/// # Errors
/// If there are more than `most`.
pub fn count(found: usize, most: usize, what: &'static str) -> Result<(), Excess> {
    if found > most { Err(Excess::Count { what, most }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;

    /// The margin over what was recorded.
    const MARGIN: usize = 4;

    /// The documents of a file of the corpus, which the simulator wrote.
    fn documents(name: &str) -> Vec<String> {
        let path = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let bytes = fs::read(path).unwrap();
        String::from_utf8_lossy(&bytes).split("\n--\u{fffd}--\n").map(str::to_owned).collect()
    }

    fn recorded() -> Value {
        serde_json::from_str(include_str!("../../../tests/fixtures/tedapi/golden.json")).unwrap()
    }

    /// Whether four of it would be read as one.
    fn fits(json: &str, bounds: Bounds) {
        let quarter = Bounds {
            bytes: bounds.bytes / MARGIN,
            memory: bounds.memory / MARGIN,
            text: bounds.text / MARGIN,
        };
        assert_eq!(quarter.check(json.as_bytes()), Ok(()), "{bounds:?}: {}", &json[..json.len().min(200)]);
    }

    #[test]
    fn whatever_was_recorded_or_simulated_is_a_quarter_of_what_is_read_at_most() {
        for site in ["powerwall2", "powerwall3", "inverter"] {
            let tedapi = documents(&format!("tedapi_documents/{site}"));
            fits(&tedapi[0], CONFIG);
            fits(&tedapi[1], CONTROLLER);
            let (status, units) = tedapi[2..].split_last().unwrap();
            fits(status, CONTROLLER);
            units.iter().for_each(|unit| fits(unit, components(4)));
            let customer = documents(&format!("customer_documents/{site}"));
            let bounds = [METERS, SMALL, SMALL, SYSTEM_STATUS, SMALL, SMALL, SMALL, SMALL];
            customer.iter().zip(bounds).for_each(|(document, bounds)| fits(document, bounds));
            fits(&customer[9], SOLAR);
        }
        for (_, site) in recorded().as_object().unwrap() {
            let input = &site["input"];
            fits(&input["config"].to_string(), CONFIG);
            fits(&input["status"].to_string(), CONTROLLER);
            fits(&input["device_controller"].to_string(), CONTROLLER);
            for unit in input["components_by_din"].as_object().into_iter().flatten() {
                fits(&unit.1.to_string(), components(4));
            }
            fits(&input["native_meters_aggregates"].to_string(), METERS);
        }
    }

    #[test]
    fn ten_times_the_units_that_were_recorded_are_read() {
        // The recorded site has two Powerwall 2: twenty of them, twice the most that Tesla sells.
        let recorded = recorded();
        let controller = recorded["pw2_two_units_tepod"]["input"]["device_controller"].to_string();
        let ten = format!("[{}]", vec![controller; 10].join(","));
        assert_eq!(CONTROLLER.check(ten.as_bytes()), Ok(()));
    }
}
