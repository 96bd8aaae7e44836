//! The one table that decides over which links a gateway is reached, from what its entry gives.
//!
//! [`TABLE`] is read from top to bottom; the first row that fits counts. `docs/connecting.md` shows the same
//! rows, and a test keeps the two alike.

use std::fmt;

use crate::model::{LinkKind, mode_name};

/// Something an entry gives, or the shared variables give for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    Host,
    /// The host is 192.168.91.1, the address of every gateway on its own Wi-Fi.
    WifiAddress,
    GatewayPassword,
    CustomerPassword,
    RsaKey,
    WifiHost,
    Email,
    CloudMode,
    FleetApi,
    Relay,
    /// `PW_TEDAPI_AUTH_MODE=bearer`
    Bearer,
}

use Fact::{
    Bearer, CloudMode, CustomerPassword, Email, FleetApi, GatewayPassword, Host, Relay, RsaKey, WifiAddress,
    WifiHost,
};

impl Fact {
    pub const ALL: [Self; 11] = [
        Host,
        WifiAddress,
        GatewayPassword,
        CustomerPassword,
        RsaKey,
        WifiHost,
        Email,
        CloudMode,
        FleetApi,
        Relay,
        Bearer,
    ];

    /// As it is written in an entry.
    pub fn name(self) -> &'static str {
        match self {
            Host => "host",
            WifiAddress => "host 192.168.91.1",
            GatewayPassword => "gw_pwd",
            CustomerPassword => "password",
            RsaKey => "rsa_key_path",
            WifiHost => "wifi_host",
            Email => "email",
            CloudMode => "cloud_mode",
            FleetApi => "fleetapi",
            Relay => "relay",
            Bearer => "tedapi_auth_mode bearer",
        }
    }
}

/// What an entry gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given(u16);

impl Given {
    pub fn of(facts: impl IntoIterator<Item = Fact>) -> Self {
        Self(facts.into_iter().fold(0, |bits, fact| bits | 1 << fact as u16))
    }

    pub fn has(self, fact: Fact) -> bool {
        self.0 & 1 << fact as u16 != 0
    }
}

/// The links of a gateway, the preferred one first.
pub type Links = &'static [LinkKind];

const TEDAPI: Links = &[LinkKind::Tedapi];
const BEARER: Links = &[LinkKind::Bearer];
const V1R: Links = &[LinkKind::V1r];
/// Signed over the wired LAN, with TEDAPI over Wi-Fi for followers and as standby.
const V1R_AND_WIFI: Links = &[LinkKind::V1r, LinkKind::Tedapi];
const LOCAL: Links = &[LinkKind::Local];
const CLOUD: Links = &[LinkKind::Cloud];
const FLEET: Links = &[LinkKind::FleetApi];
const RELAY: Links = &[LinkKind::Relay];

/// What a row decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Use(Links),
    /// A mistake, to be reported at `key`.
    Invalid {
        key: &'static str,
    },
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// All of these are given …
    pub with: &'static [Fact],
    /// … and none of these; whatever is in neither list does not matter.
    pub without: &'static [Fact],
    pub verdict: Verdict,
    /// Why, or what is wrong.
    pub why: &'static str,
}

const fn row(with: &'static [Fact], without: &'static [Fact], links: Links, why: &'static str) -> Row {
    Row { with, without, verdict: Verdict::Use(links), why }
}

const fn mistake(
    with: &'static [Fact],
    without: &'static [Fact],
    key: &'static str,
    why: &'static str,
) -> Row {
    Row { with, without, verdict: Verdict::Invalid { key }, why }
}

pub static TABLE: &[Row] = &[
    row(&[Relay, RsaKey], &[], RELAY, "relay is set, and there is a registered key"),
    mistake(
        &[Relay],
        &[],
        "rsa_key_path",
        "missing: relay needs the key that the gateway accepts (rsa_key_path)",
    ),
    row(&[FleetApi], &[], FLEET, "fleetapi is set"),
    mistake(&[CloudMode], &[Email], "email", "missing: cloud_mode needs email"),
    row(&[CloudMode], &[], CLOUD, "cloud_mode is set"),
    row(&[Email], &[Host], CLOUD, "there is an email and no host"),
    mistake(&[], &[Host], "host", "missing: a gateway needs host and gw_pwd (TEDAPI), or email (cloud)"),
    mistake(
        &[RsaKey, Bearer],
        &[],
        "tedapi_auth_mode",
        "bearer and rsa_key_path exclude each other: signed requests take no token",
    ),
    row(
        &[RsaKey, GatewayPassword, WifiHost],
        &[],
        V1R_AND_WIFI,
        "there is a key for the wired LAN, and wifi_host with gw_pwd for followers and as standby",
    ),
    row(&[RsaKey, GatewayPassword], &[], V1R, "there is a key for the wired LAN, and no wifi_host"),
    row(
        &[RsaKey, CustomerPassword],
        &[],
        V1R,
        "there is a key for the wired LAN, and no gw_pwd for the gateway's Wi-Fi",
    ),
    mistake(
        &[RsaKey],
        &[],
        "gw_pwd",
        "missing: rsa_key_path (v1r) needs gw_pwd as well, or password, its last five characters",
    ),
    row(&[Bearer, GatewayPassword], &[], BEARER, "tedapi_auth_mode is bearer"),
    mistake(&[Bearer], &[], "gw_pwd", "missing: tedapi_auth_mode bearer needs gw_pwd"),
    row(&[GatewayPassword], &[CustomerPassword], TEDAPI, "there is gw_pwd, and no password"),
    row(
        &[GatewayPassword, WifiAddress],
        &[],
        TEDAPI,
        "there is gw_pwd, and host is the gateway's own Wi-Fi address",
    ),
    row(
        &[GatewayPassword],
        &[],
        LOCAL,
        "there is password, and host is not 192.168.91.1, where gw_pwd would count",
    ),
    row(&[CustomerPassword], &[], LOCAL, "there is password, and no gw_pwd"),
    mistake(
        &[],
        &[],
        "gw_pwd",
        "missing: host needs gw_pwd (TEDAPI), rsa_key_path (v1r) or password (local)",
    ),
];

/// The row that counts for `given`.
pub fn decide(given: Given) -> &'static Row {
    let fits = |row: &&Row| {
        row.with.iter().all(|fact| given.has(*fact)) && !row.without.iter().any(|fact| given.has(*fact))
    };
    // The last row asks for nothing.
    TABLE.iter().find(fits).unwrap_or(&TABLE[TABLE.len() - 1])
}

/// What the operator gave and `links` do not use, or miss.
pub fn remarks(given: Given, links: Links) -> Vec<&'static str> {
    let uses_wifi_host = links == V1R_AND_WIFI;
    let all = [
        (given.has(WifiHost) && !uses_wifi_host && links == V1R, "wifi_host has no effect without gw_pwd"),
        (
            given.has(WifiHost) && !uses_wifi_host && links != V1R,
            "wifi_host has no effect without rsa_key_path",
        ),
        (
            links == V1R && !given.has(WifiHost),
            "without wifi_host and gw_pwd, the other units of a site with several Powerwall 3 stay unseen",
        ),
        (
            links == TEDAPI && given.has(CustomerPassword),
            "password is not used: gw_pwd reaches more than the customer API does",
        ),
        (
            links == LOCAL && given.has(GatewayPassword),
            "gw_pwd is not used: beside password it counts at 192.168.91.1 only; remove password to use it \
             here",
        ),
        (
            (links == CLOUD || links == FLEET || links == RELAY) && given.has(Host),
            "host is not used in this mode",
        ),
    ];
    all.into_iter().filter(|(applies, _)| *applies).map(|(_, remark)| remark).collect()
}

impl fmt::Display for Row {
    /// As a row of the table in the documentation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |facts: &[Fact]| match facts {
            [] => "–".to_owned(),
            facts => facts.iter().map(|fact| format!("`{}`", fact.name())).collect::<Vec<_>>().join(", "),
        };
        let verdict = match self.verdict {
            Verdict::Use(links) => format!("`{}`", mode_name(links)),
            Verdict::Invalid { .. } => "a mistake".to_owned(),
        };
        write!(f, "| {} | {} | {verdict} | {} |", names(self.with), names(self.without), self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(facts: &[Fact]) -> Result<Links, &'static str> {
        match decide(Given::of(facts.iter().copied())).verdict {
            Verdict::Use(links) => Ok(links),
            Verdict::Invalid { key } => Err(key),
        }
    }

    #[test]
    fn every_combination_that_a_house_has_gets_its_mode() {
        let cases: [(&[Fact], Result<Links, &str>); 26] = [
            (&[], Err("host")),
            (&[GatewayPassword], Err("host")),
            (&[RsaKey, GatewayPassword], Err("host")),
            (&[Host], Err("gw_pwd")),
            (&[Host, Email], Err("gw_pwd")),
            (&[Host, GatewayPassword], Ok(TEDAPI)),
            (&[Host, WifiAddress, GatewayPassword], Ok(TEDAPI)),
            (&[Host, GatewayPassword, Email], Ok(TEDAPI)),
            (&[Host, WifiAddress, GatewayPassword, CustomerPassword], Ok(TEDAPI)),
            (&[Host, GatewayPassword, CustomerPassword], Ok(LOCAL)),
            (&[Host, CustomerPassword], Ok(LOCAL)),
            (&[Host, CustomerPassword, Email], Ok(LOCAL)),
            (&[Host, GatewayPassword, Bearer], Ok(BEARER)),
            (&[Host, Bearer], Err("gw_pwd")),
            (&[Host, RsaKey], Err("gw_pwd")),
            (&[Host, RsaKey, WifiHost], Err("gw_pwd")),
            (&[Host, RsaKey, CustomerPassword], Ok(V1R)),
            (&[Host, RsaKey, CustomerPassword, WifiHost], Ok(V1R)),
            (&[Host, RsaKey, GatewayPassword], Ok(V1R)),
            (&[Host, RsaKey, GatewayPassword, WifiHost], Ok(V1R_AND_WIFI)),
            (&[Host, RsaKey, GatewayPassword, CustomerPassword, WifiHost], Ok(V1R_AND_WIFI)),
            (&[Host, RsaKey, GatewayPassword, Bearer], Err("tedapi_auth_mode")),
            (&[Host, GatewayPassword, Email, CloudMode], Ok(CLOUD)),
            (&[Host, GatewayPassword, FleetApi], Ok(FLEET)),
            (&[RsaKey, FleetApi, Relay], Ok(RELAY)),
            (&[Host, GatewayPassword, Relay], Err("rsa_key_path")),
        ];
        for (facts, expected) in cases {
            assert_eq!(links(facts), expected, "{facts:?}");
        }
        assert_eq!(links(&[Email]), Ok(CLOUD));
        assert_eq!(links(&[CloudMode]), Err("email"));
    }

    #[test]
    fn every_row_is_reached_and_every_combination_has_a_reason() {
        let mut reached = vec![0; TABLE.len()];
        for bits in 0..1 << Fact::ALL.len() {
            let row = decide(Given(bits));
            let index = TABLE.iter().position(|known| std::ptr::eq(known, row)).unwrap();
            reached[index] += 1;
            assert!(!row.why.is_empty());
            if let Verdict::Invalid { .. } = row.verdict {
                continue;
            }
            let Verdict::Use(links) = row.verdict else { continue };
            // A link never lacks what it needs.
            let given = Given(bits);
            let has = |facts: &[Fact]| facts.iter().all(|fact| given.has(*fact));
            assert!(match links {
                TEDAPI | BEARER => has(&[Host, GatewayPassword]),
                V1R => has(&[Host, RsaKey]) && (has(&[GatewayPassword]) || has(&[CustomerPassword])),
                V1R_AND_WIFI => has(&[Host, RsaKey, GatewayPassword, WifiHost]),
                LOCAL => has(&[Host, CustomerPassword]),
                CLOUD => has(&[Email]),
                FLEET => has(&[FleetApi]),
                RELAY => has(&[Relay, RsaKey]),
                _ => false,
            });
        }
        for (row, count) in TABLE.iter().zip(reached) {
            assert!(count > 0, "never reached: {row}");
        }
    }

    #[test]
    fn the_documentation_shows_the_table_as_it_is() {
        let page = include_str!("../../docs/connecting.md");
        let shown: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).skip(2).collect();
        let rows: Vec<String> = TABLE.iter().map(Row::to_string).collect();
        assert!(shown.len() >= rows.len(), "rows are missing; the table is:\n{}", rows.join("\n"));
        for (shown, row) in shown.iter().zip(&rows) {
            assert_eq!(shown, row, "the table is:\n{}", rows.join("\n"));
        }
    }

    #[test]
    fn what_is_given_in_vain_is_said() {
        let remarks = |facts: &[Fact]| {
            let given = Given::of(facts.iter().copied());
            let Verdict::Use(links) = decide(given).verdict else { panic!("{facts:?}") };
            remarks(given, links).join(" / ")
        };
        assert!(remarks(&[Host, GatewayPassword, WifiHost]).contains("without rsa_key_path"));
        assert!(remarks(&[Host, RsaKey, CustomerPassword, WifiHost]).contains("without gw_pwd"));
        assert!(remarks(&[Host, RsaKey, GatewayPassword]).contains("stay unseen"));
        assert!(remarks(&[Host, GatewayPassword, CustomerPassword]).contains("gw_pwd is not used"));
        assert!(remarks(&[Host, WifiAddress, GatewayPassword, CustomerPassword]).contains("password is not"));
        assert!(remarks(&[Host, CloudMode, Email]).contains("host is not used"));
        assert_eq!(remarks(&[Host, GatewayPassword]), "");
        assert_eq!(remarks(&[Host, RsaKey, GatewayPassword, WifiHost]), "");
    }
}
