//! Which of Tesla's servers an account belongs to.

use serde_json::Value;

use super::tokens::Claims;
use crate::link::json::Look;
use crate::settings::{Origin, Secret};

const NORTH_AMERICA: &str = "fleet-api.prd.na.vn.cloud.tesla.com";
const EUROPE: &str = "fleet-api.prd.eu.vn.cloud.tesla.com";
const CHINA: &str = "fleet-api.prd.cn.vn.cloud.tesla.cn";

/// Every region.
pub fn all() -> [Origin; 3] {
    [NORTH_AMERICA, EUROPE, CHINA].map(Origin::of)
}

fn of(word: &str) -> Option<Origin> {
    let host = match word {
        "NA" => NORTH_AMERICA,
        "EU" => EUROPE,
        "CN" => CHINA,
        _ => return None,
    };
    Some(Origin::of(host))
}

/// What tokens say of it: the access token, else the first letters of the refresh token.
pub fn of_tokens(access: Option<&Secret>, refresh: Option<&Secret>) -> Option<Origin> {
    let claimed = access.and_then(|token| of(Claims::of(token).region.as_deref()?));
    claimed.or_else(|| of(refresh?.expose().split_once('_')?.0))
}

/// What `users/region`, asked at `asked`, says of it. The token is sent to Tesla's own servers and to the
/// machine that was asked, and to nobody else.
pub fn of_answer(answer: &Value, asked: &Origin) -> Option<Origin> {
    let base = Origin::parse(answer.at(&["response", "fleet_api_base_url"]).name()?).ok()?;
    let is_tesla = base.host.ends_with(".tesla.com") || base.host.ends_with(".tesla.cn");
    (is_tesla || base.host == asked.host).then_some(base)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_say_where_they_belong() {
        let refresh = |text: &str| of_tokens(None, Some(&Secret::new(text))).map(|base| base.host);
        assert_eq!(refresh("EU_abc").as_deref(), Some(EUROPE));
        assert_eq!(refresh("NA_abc").as_deref(), Some(NORTH_AMERICA));
        assert_eq!(refresh("abc"), None);
    }

    #[test]
    fn a_token_is_not_sent_wherever_an_answer_says() {
        let asked = Origin::parse("https://127.0.0.1:8000").unwrap();
        let base = |url: &str| of_answer(&json!({"response": {"fleet_api_base_url": url}}), &asked);
        assert!(base("https://fleet-api.prd.eu.vn.cloud.tesla.com").is_some());
        assert!(base("https://127.0.0.1:8001").is_some());
        for odd in ["https://evil.example", "http://x.tesla.com", "https://eviltesla.com"] {
            assert_eq!(base(odd), None, "{odd}");
        }
    }
}
