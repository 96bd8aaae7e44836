//! The one table that decides how a gateway is reached, from what its entry gives.
//!
//! [`TABLE`] is read from top to bottom; the first row that fits counts. `docs/connecting.md` shows the same rows, and a
//! test keeps the two alike.

use std::fmt;

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
    /// `PW_TEDAPI_AUTH_MODE=bearer`
    Bearer,
}

use Fact::{
    Bearer, CloudMode, CustomerPassword, Email, FleetApi, GatewayPassword, Host, RsaKey, WifiAddress,
    WifiHost,
};

impl Fact {
    pub const ALL: [Self; 10] = [
        Host,
        WifiAddress,
        GatewayPassword,
        CustomerPassword,
        RsaKey,
        WifiHost,
        Email,
        CloudMode,
        FleetApi,
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

/// How a gateway is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// TEDAPI with the gateway password, over the gateway's own Wi-Fi.
    Tedapi,
    /// TEDAPI with an installer login.
    Bearer,
    /// Signed TEDAPI over the wired LAN.
    V1r,
    /// As `V1r`, with TEDAPI over Wi-Fi for followers and to stand in.
    V1rWithWifi,
    /// The customer API of a Powerwall 2, or the three endpoints that a Powerwall 3 has over its wired LAN.
    Local,
    Cloud,
    FleetApi,
}

impl Mode {
    /// A stable word for bodies and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tedapi => "tedapi",
            Self::Bearer => "bearer",
            Self::V1r => "v1r",
            Self::V1rWithWifi => "v1r+wifi",
            Self::Local => "local",
            Self::Cloud => "cloud",
            Self::FleetApi => "fleetapi",
        }
    }

    /// Whether the gateway's own protocol is spoken, in any of its forms.
    pub fn is_tedapi(self) -> bool {
        matches!(self, Self::Tedapi | Self::Bearer | Self::V1r | Self::V1rWithWifi)
    }
}

/// What a row decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Use(Mode),
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

const fn row(with: &'static [Fact], without: &'static [Fact], mode: Mode, why: &'static str) -> Row {
    Row { with, without, verdict: Verdict::Use(mode), why }
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
    row(&[FleetApi], &[], Mode::FleetApi, "fleetapi is set"),
    mistake(&[CloudMode], &[Email], "email", "missing: cloud_mode needs email"),
    row(&[CloudMode], &[], Mode::Cloud, "cloud_mode is set"),
    row(&[Email], &[Host], Mode::Cloud, "there is an email and no host"),
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
        Mode::V1rWithWifi,
        "there is a key for the wired LAN, and wifi_host with gw_pwd for followers and to stand in",
    ),
    row(&[RsaKey, GatewayPassword], &[], Mode::V1r, "there is a key for the wired LAN, and no wifi_host"),
    row(
        &[RsaKey, CustomerPassword],
        &[],
        Mode::V1r,
        "there is a key for the wired LAN, and no gw_pwd for the gateway's Wi-Fi",
    ),
    mistake(
        &[RsaKey],
        &[],
        "gw_pwd",
        "missing: rsa_key_path (v1r) needs gw_pwd as well, or password, its last five characters",
    ),
    row(&[Bearer, GatewayPassword], &[], Mode::Bearer, "tedapi_auth_mode is bearer"),
    mistake(&[Bearer], &[], "gw_pwd", "missing: tedapi_auth_mode bearer needs gw_pwd"),
    row(&[GatewayPassword], &[CustomerPassword], Mode::Tedapi, "there is gw_pwd, and no password"),
    row(
        &[GatewayPassword, WifiAddress],
        &[],
        Mode::Tedapi,
        "there is gw_pwd, and host is the gateway's own Wi-Fi address",
    ),
    row(
        &[GatewayPassword],
        &[],
        Mode::Local,
        "there is password, and host is not 192.168.91.1, where gw_pwd would count",
    ),
    row(&[CustomerPassword], &[], Mode::Local, "there is password, and no gw_pwd"),
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

/// What the operator gave and `mode` does not use, or misses.
pub fn remarks(given: Given, mode: Mode) -> Vec<&'static str> {
    let uses_wifi_host = mode == Mode::V1rWithWifi;
    let all = [
        (
            given.has(WifiHost) && !uses_wifi_host && mode == Mode::V1r,
            "wifi_host has no effect without gw_pwd",
        ),
        (
            given.has(WifiHost) && !uses_wifi_host && mode != Mode::V1r,
            "wifi_host has no effect without rsa_key_path",
        ),
        (
            mode == Mode::V1r && !given.has(WifiHost),
            "without wifi_host and gw_pwd, the other units of a site with several Powerwall 3 stay unseen",
        ),
        (
            mode == Mode::Tedapi && given.has(CustomerPassword),
            "password is not used: gw_pwd reaches more than the customer API does",
        ),
        (
            mode == Mode::Local && given.has(GatewayPassword),
            "gw_pwd is not used: beside password it counts at 192.168.91.1 only; remove password to use it here",
        ),
        (matches!(mode, Mode::Cloud | Mode::FleetApi) && given.has(Host), "host is not used in this mode"),
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
            Verdict::Use(mode) => format!("`{}`", mode.name()),
            Verdict::Invalid { .. } => "a mistake".to_owned(),
        };
        write!(f, "| {} | {} | {verdict} | {} |", names(self.with), names(self.without), self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(facts: &[Fact]) -> Result<Mode, &'static str> {
        match decide(Given::of(facts.iter().copied())).verdict {
            Verdict::Use(mode) => Ok(mode),
            Verdict::Invalid { key } => Err(key),
        }
    }

    #[test]
    fn every_combination_that_a_house_has_gets_its_mode() {
        let cases: [(&[Fact], Result<Mode, &str>); 24] = [
            (&[], Err("host")),
            (&[GatewayPassword], Err("host")),
            (&[RsaKey, GatewayPassword], Err("host")),
            (&[Host], Err("gw_pwd")),
            (&[Host, Email], Err("gw_pwd")),
            (&[Host, GatewayPassword], Ok(Mode::Tedapi)),
            (&[Host, WifiAddress, GatewayPassword], Ok(Mode::Tedapi)),
            (&[Host, GatewayPassword, Email], Ok(Mode::Tedapi)),
            (&[Host, WifiAddress, GatewayPassword, CustomerPassword], Ok(Mode::Tedapi)),
            (&[Host, GatewayPassword, CustomerPassword], Ok(Mode::Local)),
            (&[Host, CustomerPassword], Ok(Mode::Local)),
            (&[Host, CustomerPassword, Email], Ok(Mode::Local)),
            (&[Host, GatewayPassword, Bearer], Ok(Mode::Bearer)),
            (&[Host, Bearer], Err("gw_pwd")),
            (&[Host, RsaKey], Err("gw_pwd")),
            (&[Host, RsaKey, WifiHost], Err("gw_pwd")),
            (&[Host, RsaKey, CustomerPassword], Ok(Mode::V1r)),
            (&[Host, RsaKey, CustomerPassword, WifiHost], Ok(Mode::V1r)),
            (&[Host, RsaKey, GatewayPassword], Ok(Mode::V1r)),
            (&[Host, RsaKey, GatewayPassword, WifiHost], Ok(Mode::V1rWithWifi)),
            (&[Host, RsaKey, GatewayPassword, CustomerPassword, WifiHost], Ok(Mode::V1rWithWifi)),
            (&[Host, RsaKey, GatewayPassword, Bearer], Err("tedapi_auth_mode")),
            (&[Host, GatewayPassword, Email, CloudMode], Ok(Mode::Cloud)),
            (&[Host, GatewayPassword, FleetApi], Ok(Mode::FleetApi)),
        ];
        for (facts, expected) in cases {
            assert_eq!(mode(facts), expected, "{facts:?}");
        }
        assert_eq!(mode(&[Email]), Ok(Mode::Cloud));
        assert_eq!(mode(&[CloudMode]), Err("email"));
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
            let Verdict::Use(mode) = row.verdict else { continue };
            // A mode never lacks what it needs.
            let given = Given(bits);
            let has = |facts: &[Fact]| facts.iter().all(|fact| given.has(*fact));
            assert!(match mode {
                Mode::Tedapi | Mode::Bearer => has(&[Host, GatewayPassword]),
                Mode::V1r => has(&[Host, RsaKey]) && (has(&[GatewayPassword]) || has(&[CustomerPassword])),
                Mode::V1rWithWifi => has(&[Host, RsaKey, GatewayPassword, WifiHost]),
                Mode::Local => has(&[Host, CustomerPassword]),
                Mode::Cloud => has(&[Email]),
                Mode::FleetApi => has(&[FleetApi]),
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
            let Verdict::Use(mode) = decide(given).verdict else { panic!("{facts:?}") };
            remarks(given, mode).join(" / ")
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
