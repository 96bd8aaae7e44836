//! What to do next, from everything that was found.

use super::{Finding, Outcome};
use crate::link::LinkError;
use crate::link::look::Seen;
use crate::model::LinkKind;
use crate::settings::Ways;

/// The address of every gateway on its own Wi-Fi.
const WIFI_ADDRESS: &str = "192.168.91.1";
const END_OF_STICKER: &str = "unless the owner chose another one, it is the last five characters of the \
    gateway password on the sticker";

const BEARER_REFUSED: &str = "the installer login needs the full gateway password, and works on solar \
    inverters only: with a battery, omit tedapi_auth_mode";

/// The next steps, the most important first.
pub(super) fn of(ways: &Ways, seen: &Result<Seen, LinkError>, findings: &[Finding]) -> Vec<String> {
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) => return vec![unreachable(ways, error)],
    };
    let finding = |link: LinkKind| findings.iter().find(|finding| finding.link == link);
    let works = |link: LinkKind| finding(link).is_some_and(Finding::works);
    let refused = |link: LinkKind| finding(link).is_some_and(Finding::is_refused);
    let mut advice = Vec::new();
    if *seen == Seen::Stranger && !findings.iter().any(Finding::works) {
        advice.push(format!(
            "{} is probably not the gateway's address; `powerwall-server scan` looks for gateways",
            ways.host
        ));
    }
    if refused(LinkKind::Tedapi) {
        advice.push(gateway_password(ways, works(LinkKind::Local)));
    }
    if refused(LinkKind::Bearer) {
        advice.push(BEARER_REFUSED.into());
    }
    if refused(LinkKind::Local) {
        advice.push(customer_password(ways, works(LinkKind::Tedapi)));
    }
    advice.extend(findings.iter().filter_map(waiting));
    advice.push(settings(ways, works));
    advice.retain(|text| !text.is_empty());
    advice
}

fn unreachable(ways: &Ways, error: &LinkError) -> String {
    match error {
        LinkError::Silence { .. } | LinkError::RateLimited { .. } | LinkError::Busy { .. } => {
            "nothing more is asked before then; let nothing else ask this gateway either".into()
        }
        LinkError::Certificate { .. } => {
            "if the gateway or its firmware is new, pin the new fingerprint or forget the old one \
             (PW_CERTIFICATE)"
                .into()
        }
        _ if ways.host == WIFI_ADDRESS => format!(
            "{WIFI_ADDRESS} is reached over the gateway's own Wi-Fi (TEG-…) or a route through it; on the \
             home network the gateway has another address, which `powerwall-server scan` finds"
        ),
        _ => "check the address and that both are in the same network; `powerwall-server scan` looks for \
            gateways. The wired port of a Powerwall 3 usually has an address in 10.42.1.x or 10.45.1.x, and \
            needs a DHCP server"
            .into(),
    }
}

fn gateway_password(ways: &Ways, customer_works: bool) -> String {
    let route = "or this machine does not reach it over the gateway's own Wi-Fi: firmware since 25.10 \
        refuses routed requests";
    match customer_works && (ways.customer_password_derived || ways.passwords_agree == Some(true)) {
        true => format!(
            "the last five characters of the gateway password are right; either its beginning is mistyped, \
             {route}"
        ),
        false => {
            format!("the gateway password (gw_pwd) is wrong – it is on the gateway's sticker – {route}")
        }
    }
}

fn customer_password(ways: &Ways, tedapi_works: bool) -> String {
    match (ways.customer_password_derived, ways.passwords_agree) {
        (true, _) if tedapi_works => {
            "the gateway password is right, but its last five characters are not the customer password: the \
             owner chose another one; set password (PW_PASSWORD) to it"
                .into()
        }
        (true, _) => {
            "the last five characters of the gateway password are not the customer password: either the \
             gateway password is mistyped, or the owner chose another one (password, PW_PASSWORD)"
                .into()
        }
        (false, Some(false)) => format!(
            "the customer password (password) is wrong; it is not the end of the gateway password that is \
             given: {END_OF_STICKER}"
        ),
        (false, Some(true)) if tedapi_works => {
            "the gateway password is right, but its last five characters are no longer the customer \
             password: the owner chose another one"
                .into()
        }
        _ => format!("the customer password (password) is wrong; {END_OF_STICKER}"),
    }
}

/// What only time decides.
fn waiting(finding: &Finding) -> Option<String> {
    match &finding.outcome {
        Outcome::Failed(LinkError::LoginBudget { .. }) => Some(
            "wait, rather than risk that the gateway locks everyone out; stop other programs that log in"
                .into(),
        ),
        Outcome::Failed(LinkError::RateLimited { .. } | LinkError::Busy { .. }) => Some(
            "the gateway asked for a cool-down of at least five minutes; nothing is asked before then".into(),
        ),
        _ => None,
    }
}

fn settings(ways: &Ways, works: impl Fn(LinkKind) -> bool) -> String {
    let configured = super::configured(ways);
    let best = [LinkKind::Tedapi, LinkKind::V1r, LinkKind::Local].into_iter().find(|link| works(*link));
    let keys = |link: LinkKind| match link {
        LinkKind::Tedapi => "host and gw_pwd",
        LinkKind::V1r => "host, rsa_key_path and password",
        LinkKind::Bearer => "host, gw_pwd and tedapi_auth_mode bearer",
        LinkKind::Local if ways.customer_password_derived => {
            "host and password, the last five characters of the gateway password"
        }
        LinkKind::Local => "host and password",
        // Not examined here.
        LinkKind::Cloud | LinkKind::FleetApi | LinkKind::Relay | LinkKind::Broker => "nothing",
    };
    match (configured, best) {
        (Some(link), _) if works(link) => "nothing to do: what is configured works".into(),
        (_, Some(link)) => format!("{} works: configure {}", super::label(link), keys(link)),
        (_, None) => String::new(),
    }
}
