//! `login --provider`: a token that somebody else hands out, tried and put into a file.

use std::io::{BufRead, Write};
use std::path::Path;

use super::{SetUpError, Talk, sites};
use crate::files;
use crate::settings::{AccountConfig, Origin, TokenSource};

/// Takes the token, tries it, and writes it down only if it works.
pub(super) async fn log_in<R: BufRead, W: Write>(
    config: &AccountConfig,
    (provider, file): (&str, &Path),
    talk: &mut Talk<R, W>,
) -> Result<(), SetUpError> {
    let base = Origin::parse(provider).map_err(SetUpError::Given)?;
    let token = talk.ask_secret("Token of the provider");
    let token = token.ok_or(SetUpError::NotGiven("the token"))?;
    let tried = AccountConfig {
        source: TokenSource::Pasted(token.clone()),
        base: Some(base.clone()),
        ledger: None,
        ..config.clone()
    };
    sites(&tried, talk).await?;
    let unwritable = |why: std::io::Error| SetUpError::Unwritable { path: file.into(), why: why.to_string() };
    files::keep(file, "the token", format!("{}\n", token.expose())).await.map_err(unwritable)?;
    talk.say(&format!(
        "The token works and is in {}. Set\n  PW_FLEET_BASE={base}\n  PW_FLEET_TOKEN_FILE={}",
        file.display(),
        file.display()
    ));
    Ok(())
}
