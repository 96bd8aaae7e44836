//! Which site a step is about: the one that was named, the only one, or the one that the person picks.

use std::io::{BufRead, Write};
use std::sync::Arc;

use super::sites::LIMIT;
use super::{SetUpError, Talk};
use crate::link::tesla::account::{Account, Renewer};
use crate::link::tesla::products::Product;
use crate::settings::House;

/// A site with a gateway.
pub(super) struct Chosen {
    pub id: u64,
    name: Option<String>,
    /// The whole DIN of its gateway, which signatures cover.
    pub din: String,
    pub web: Renewer,
}

impl Chosen {
    pub(super) fn name(&self) -> String {
        match &self.name {
            Some(name) => format!("{} ({name})", self.id),
            None => self.id.to_string(),
        }
    }
}

/// Chooses among the sites of the account; of several, never by itself.
pub(super) async fn choose<R: BufRead, W: Write>(
    account: &Arc<Account>,
    house: &House,
    talk: &mut Talk<R, W>,
) -> Result<Chosen, SetUpError> {
    let web = account.web(LIMIT);
    let sites = account.sites(&web, true).await?;
    let named = house.site.or_else(|| account.site_of_file());
    let site = match (named, sites.as_ref()) {
        (None, [only]) => only.clone(),
        (Some(id), _) => pick(&sites, id)?,
        (None, []) => return Err(SetUpError::Given("the Tesla account has no energy site".into())),
        (None, several) => {
            talk.say("The account has several energy sites:");
            for site in several {
                talk.say(&format!("  {}", site.shown()));
            }
            let answer = talk.ask("Number of the one that is meant (--siteid)");
            let id = answer.and_then(|text| text.parse().ok());
            pick(&sites, id.ok_or(SetUpError::NotGiven("the number of a site"))?)?
        }
    };
    let din = site.din.clone().filter(|din| din.contains("--"));
    let din = din.ok_or_else(|| {
        let why = format!("Tesla lists no gateway for site {}, so no key can be registered", site.shown());
        SetUpError::Given(why)
    })?;
    Ok(Chosen { id: site.id, name: site.name, din, web })
}

fn pick(sites: &[Product], id: u64) -> Result<Product, SetUpError> {
    let found = sites.iter().find(|site| site.id == id).cloned();
    found.ok_or_else(|| {
        let known = sites.iter().map(Product::shown).collect::<Vec<_>>().join(", ");
        SetUpError::Given(format!("the Tesla account has no site {id}; it has {known}"))
    })
}
