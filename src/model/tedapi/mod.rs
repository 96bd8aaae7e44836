//! What the gateway's own protocol (TEDAPI) tells, and the customer documents derived from it.

use bytes::Bytes;

use super::{Adjustments, Documents, Readings};

/// What a gateway sent, as received. `None` until the first good answer.
#[derive(Clone, Debug, Default)]
pub struct Payloads {
    /// `host[:port]` as configured, for the VITALS block.
    pub host: String,
    /// DIN of the gateway or leader.
    pub din: Option<String>,
    /// `config.json`.
    pub config: Option<Bytes>,
    /// Answer of the basic device-controller query (or the full one, which contains it).
    pub status: Option<Bytes>,
    /// Answer of the full device-controller query.
    pub controller: Option<Bytes>,
    /// Answers of the components query, by unit DIN, leader first.
    pub components: Vec<(String, Bytes)>,
}

impl Payloads {
    pub fn readings(&self, _adjustments: &Adjustments) -> Readings {
        Readings::default()
    }

    pub fn documents(&self, _adjustments: &Adjustments) -> Documents {
        Documents::default()
    }
}
