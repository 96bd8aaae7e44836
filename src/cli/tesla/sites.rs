//! `sites`: the energy sites of the account, and whether it may give orders.

use std::io::{BufRead, Write};
use std::time::Duration;

use super::{SetUpError, Talk};
use crate::link::tesla::account::Account;
use crate::link::tesla::products::Product;
use crate::settings::AccountConfig;

/// Tesla takes its time.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Prints them.
///
/// # Errors
/// With what Tesla has against it.
pub async fn sites<R: BufRead, W: Write>(
    config: &AccountConfig,
    talk: &mut Talk<R, W>,
) -> Result<Vec<Product>, SetUpError> {
    let account = Account::new(config.clone());
    let sites = account.sites(&account.web(LIMIT), true).await?;
    show(&sites, talk);
    talk.say(match account.may_control() {
        true => "The consent covers readings and orders.",
        false => "The consent covers readings only; log in again without --read-only for orders.",
    });
    Ok(sites.to_vec())
}

/// Prints which sites there are.
pub(super) fn show<R: BufRead, W: Write>(sites: &[Product], talk: &mut Talk<R, W>) {
    match sites.len() {
        0 => talk.say("The account has no energy site."),
        1 => talk.say("The account has one energy site:"),
        several => talk.say(&format!("The account has {several} energy sites; siteid says which is meant:")),
    }
    for site in sites.iter() {
        let name = site.name.as_deref().unwrap_or("without a name");
        let din = site.din.as_deref().map(|din| format!(", gateway {din}")).unwrap_or_default();
        talk.say(&format!("  siteid {}: {name}{din}", site.id));
    }
}
