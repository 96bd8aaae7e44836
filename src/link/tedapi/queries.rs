//! The signed questions a gateway answers. Text and signature are Tesla's and must not change by a byte; the
//! variables are not signed.

use prost::Message;
use prost::bytes::Bytes;

use super::wire::{SignedQuery, StringValue};
use crate::settings::QuerySet;

/// One signed question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// Part of what is signed: 1 for the older, 2 for the newer texts.
    pub version: u32,
    pub text: &'static [u8],
    /// ECDSA over P-521 and SHA-256, ASN.1 DER.
    pub signature: &'static [u8],
    /// JSON
    pub variables: &'static str,
}

/// Power, charge, grid state: what changes by the second.
const STATUS_2024: Query = Query {
    version: 1,
    text: include_bytes!("queries/status-2024.graphql"),
    signature: include_bytes!("queries/status-2024.der"),
    variables: "{}",
};

/// All of the status and the signals of every device behind it.
const CONTROLLER_2024: Query = Query {
    version: 1,
    text: include_bytes!("queries/controller-2024.graphql"),
    signature: include_bytes!("queries/controller-2024.der"),
    variables: include_str!("queries/controller-2024.variables.json"),
};

/// The inside of one Powerwall 3 and its expansions.
const COMPONENTS_2024: Query = Query {
    version: 1,
    text: include_bytes!("queries/components-2024.graphql"),
    signature: include_bytes!("queries/components-2024.der"),
    variables: include_str!("queries/components-2024.variables.json"),
};

const CONTROLLER_2026: Query = Query {
    version: 2,
    text: include_bytes!("queries/controller-2026.graphql"),
    signature: include_bytes!("queries/controller-2026.der"),
    variables: "{}",
};

const COMPONENTS_2026: Query = Query {
    version: 2,
    text: include_bytes!("queries/components-2026.graphql"),
    signature: include_bytes!("queries/components-2026.der"),
    variables: "{}",
};

/// Every query of this program, with a name for messages.
pub const ALL: [(&str, Query); 5] = [
    ("status-2024", STATUS_2024),
    ("controller-2024", CONTROLLER_2024),
    ("components-2024", COMPONENTS_2024),
    ("controller-2026", CONTROLLER_2026),
    ("components-2026", COMPONENTS_2026),
];

/// The queries of `set` for its three purposes.
#[derive(Clone, Copy, Debug)]
pub struct Queries {
    pub status: Query,
    /// The same as `status` in the newer set: one question serves both purposes.
    pub controller: Query,
    pub components: Query,
}

impl Queries {
    pub fn of(set: QuerySet) -> Self {
        match set {
            QuerySet::V2024_06 => {
                Self { status: STATUS_2024, controller: CONTROLLER_2024, components: COMPONENTS_2024 }
            }
            QuerySet::V2026_06 => {
                Self { status: CONTROLLER_2026, controller: CONTROLLER_2026, components: COMPONENTS_2026 }
            }
        }
    }
}

impl Query {
    /// The bytes the signature covers.
    pub fn signed_bytes(&self) -> Bytes {
        SignedQuery { version: self.version, text: self.text.to_vec() }.encode_to_vec().into()
    }

    pub(super) fn variables(&self) -> StringValue {
        StringValue { value: self.variables.to_owned() }
    }
}

/// The key that verifies every signature here, as an uncompressed P-521 point (SEC 1).
pub const TESLA_PUBLIC_KEY: &[u8] = include_bytes!("queries/public-key.sec1");

#[cfg(test)]
mod tests {
    use p521::ecdsa::signature::hazmat::PrehashVerifier;
    use p521::ecdsa::{DerSignature, VerifyingKey};
    use ring::digest::{SHA256, digest};

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn texts_and_variables_are_what_was_captured() {
        let expected = [
            ("status-2024", 6959, "c15389e90c791eb4432247eca2e91a047fac65bee337306adc3bfee44569d1c9", 2),
            (
                "controller-2024",
                4591,
                "41ce45103a1e877f492fd76d2dd31573e862e68d3c3d7c0fa90bd407adca7c25",
                972,
            ),
            (
                "components-2024",
                1846,
                "c5af5b305598141debeef8bfc7d69163a457d7be662dc46f5b9f3f33b9c5640a",
                2248,
            ),
            ("controller-2026", 4316, "e52eb9a81889e724fa57b7f97abdb75fda2e9263a7d2cfbb165e2a1bf3b23117", 2),
            ("components-2026", 2056, "be21c77426effaa93bf13b12b5aa0e1c4b5bfbdf618d3fe6387c98893c15f46b", 2),
        ];
        for ((name, query), (expected_name, length, sha256, variables)) in ALL.iter().zip(expected) {
            assert_eq!(*name, expected_name);
            assert_eq!((query.text.len(), query.variables.len()), (length, variables), "{name}");
            assert_eq!(hex(digest(&SHA256, query.text).as_ref()), sha256, "{name}");
        }
        let variables = |query: Query| hex(digest(&SHA256, query.variables.as_bytes()).as_ref());
        assert!(variables(CONTROLLER_2024).starts_with("c06415342331e68c"));
        assert!(variables(COMPONENTS_2024).starts_with("9e996366ae4e4833"));
    }

    #[test]
    fn every_signature_verifies_and_a_changed_text_does_not() {
        let key = VerifyingKey::from_sec1_bytes(TESLA_PUBLIC_KEY).unwrap();
        let verify = |query: &Query, bytes: &[u8]| {
            // The digest is shorter than the curve's field; the crate wants it at full length.
            let mut prehash = [0; 66];
            prehash[34..].copy_from_slice(digest(&SHA256, bytes).as_ref());
            let signature = DerSignature::from_bytes(query.signature).unwrap();
            key.verify_prehash(&prehash, &signature).is_ok()
        };
        for (name, query) in ALL {
            let mut bytes = query.signed_bytes().to_vec();
            assert!(verify(&query, &bytes), "{name}");
            *bytes.last_mut().unwrap() ^= 1;
            assert!(!verify(&query, &bytes), "{name}");
        }
    }
}
