//! The accounts of the whole program: one for each source of tokens.

use std::sync::{Arc, Mutex, PoisonError};

use super::account::{Account, Usage};
use crate::settings::AccountConfig;

/// Each with what it was made from.
type Known = Vec<(AccountConfig, Arc<Account>)>;

/// Shared by everything that may ask Tesla, or shows what was asked. Grows with the settings, and no
/// further.
#[derive(Clone, Default)]
pub struct Accounts(Arc<Mutex<Known>>);

impl Accounts {
    /// The account of `config`: the same one for the same source of tokens. Changed settings make a new one,
    /// which goes on with the ledger of the old one.
    pub fn of(&self, config: &AccountConfig) -> Arc<Account> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = accounts.iter().find(|(known, _)| known == config) {
            return known.clone();
        }
        accounts.retain(|(known, _)| known.source != config.source);
        let account = Account::new(config.clone());
        accounts.push((config.clone(), account.clone()));
        account
    }

    /// Writes down what has been counted, before the program ends.
    pub async fn settle(&self) {
        let accounts: Vec<Arc<Account>> = {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.iter().map(|(_, account)| account.clone()).collect()
        };
        for account in accounts {
            account.settle().await;
        }
    }

    /// What each account has asked.
    pub fn usage(&self) -> Vec<Usage> {
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.iter().map(|(_, account)| account.usage()).collect()
    }
}
