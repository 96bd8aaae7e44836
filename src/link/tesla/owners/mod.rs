//! The owners API, the other cloud of Tesla: which servers it has, and what its files hold. What is done with
//! tokens is left to the account, and what a site reports to the link, both of which serve FleetAPI as well.

pub mod consent;
pub mod file;
pub mod spent;

use crate::settings::{OWNERS_AUTH, Origin, Secret};

use super::tokens::Claims;

/// Where people in China log in.
const CHINA_AUTH: &str = "auth.tesla.cn";
const API: &str = "owner-api.teslamotors.com";
const CHINA_API: &str = "owner-api.vn.cloud.tesla.cn";
/// What the application of Tesla's own app is called.
pub const CLIENT: &str = "ownerapi";
/// What requests to the owners API name as the app they are from; it has no other.
pub(super) const APP: &str = "TeslaApp/4.10.0";

/// Requests for a live status are counted from 1 to this, and on from 1.
pub(super) const LARGEST_COUNTER: u32 = 64;
/// What everybody who relies on it must know.
pub const ENDS_ANY_DAY: &str = "Tesla may end it any day; FleetAPI (powerwall-server login) and links on the \
    local network do not depend on it";

/// Who gave the tokens of an account. There are two, and tokens are sent to nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issuer {
    World,
    China,
}

impl Issuer {
    /// By an address such as `https://auth.tesla.cn/oauth2/v3`; `None`: it is neither.
    pub fn of(address: &str) -> Option<Self> {
        let rest = address.strip_prefix("https://")?;
        match rest.split(['/', '?', '#']).next()? {
            OWNERS_AUTH => Some(Self::World),
            CHINA_AUTH => Some(Self::China),
            _ => None,
        }
    }

    /// Where tokens are given.
    pub fn auth(self) -> Origin {
        Origin::of(match self {
            Self::World => OWNERS_AUTH,
            Self::China => CHINA_AUTH,
        })
    }

    /// Where sites are asked about.
    pub fn api(self) -> Origin {
        Origin::of(match self {
            Self::World => API,
            Self::China => CHINA_API,
        })
    }
}

/// Who gave the tokens: an access token says it itself, and pypowerwall notes the same address for
/// everybody, so that the token counts more than what the file has noted (`url`).
///
/// # Errors
/// With whoever it was, if it is neither of the two.
pub fn issuer(access: Option<&Secret>, url: Option<&str>) -> Result<Issuer, String> {
    let claimed = access.and_then(|token| Claims::of(token).issuer);
    let named = claimed.as_deref().or(url);
    named.map_or(Ok(Issuer::World), |address| Issuer::of(address).ok_or_else(|| address.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_go_to_the_two_issuers_and_to_nobody_else() {
        assert_eq!(Issuer::of("https://auth.tesla.com/"), Some(Issuer::World));
        assert_eq!(Issuer::of("https://auth.tesla.cn/oauth2/v3"), Some(Issuer::China));
        for odd in [
            "http://auth.tesla.com",
            "https://auth.tesla.com.evil.example",
            "https://auth.tesla.com@evil.example",
            "https://fleet-auth.tesla.com",
            "auth.tesla.com",
            "",
        ] {
            assert_eq!(Issuer::of(odd), None, "{odd}");
        }
        assert_eq!(issuer(None, None), Ok(Issuer::World));
        assert_eq!(issuer(None, Some("https://auth.tesla.cn/")), Ok(Issuer::China));
        assert_eq!(issuer(None, Some("https://evil.example")), Err("https://evil.example".into()));
        assert_eq!(Issuer::China.api().host, "owner-api.vn.cloud.tesla.cn");
    }
}
