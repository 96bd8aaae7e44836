//! `login --owners`: tokens of the owners API, from a login or pasted, tried before they are put into the
//! file that pypowerwall and this program share.

use std::io::{BufRead, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::sites::{LIMIT, show};
use super::{LARGEST, SetUpError, Talk};
use crate::clock::unix_time;
use crate::files;
use crate::link::tesla::account::Account;
use crate::link::tesla::consent::NoCode;
use crate::link::tesla::owners::consent::{Login, email_of, wrong_with};
use crate::link::tesla::owners::file::OwnersFile;
use crate::link::tesla::owners::{ENDS_ANY_DAY, Issuer, issuer};
use crate::link::tesla::products::Product;
use crate::settings::{House, OWNERS_AUTH, Origin, Secret, TokenSource};

/// How often an address without a code may be pasted.
const TRIES: u32 = 3;

/// Logs in, or takes tokens that somebody has made (`pastes`).
///
/// # Errors
/// With what is wrong; nothing has changed then.
pub(super) async fn log_in<R: BufRead, W: Write>(
    house: &House,
    pastes: bool,
    talk: &mut Talk<R, W>,
) -> Result<(), SetUpError> {
    let TokenSource::Owners { file: path, email } = &house.owners.source else {
        return Err(SetUpError::Given("there is no place for the tokens".into()));
    };
    talk.say(&format!("Mind: {ENDS_ANY_DAY}.\n"));
    // Before anybody logs in for nothing.
    read(path)?;
    let account = Account::new(house.owners.clone());
    let (tokens, issuer) = match pastes {
        true => pasted(talk)?,
        false => logged_in(house, &account, email.as_deref(), talk).await?,
    };
    let access = access_of(&tokens).map(Secret::new);
    let sites = match &access {
        Some(access) => {
            let sites = account.try_token(&account.web(LIMIT), access, issuer).await?;
            Some(site(house.site, sites, talk)?)
        }
        None => {
            talk.say(
                "Without an access token these tokens were not tried, and Tesla may refuse what the refresh \
                 token is renewed to.",
            );
            None
        }
    };
    let email = email.clone().or_else(|| email_of(&tokens)).or_else(|| talk.ask("E-mail of the account"));
    let email =
        email.filter(|email| email.contains('@')).ok_or(SetUpError::NotGiven("the e-mail address"))?;
    write(path, &email, issuer, &tokens).await?;
    talk.say(&format!("The tokens are in {}.", path.display()));
    if let Some(id) = sites.flatten() {
        let unwritable =
            |why: std::io::Error| SetUpError::Unwritable { path: path.into(), why: why.to_string() };
        account.keep_site(id).await.map_err(unwritable)?;
        talk.say(&format!("Site {id} is in .pypowerwall.site beside it."));
    }
    Ok(())
}

fn access_of(tokens: &Value) -> Option<&str> {
    tokens["access_token"].as_str().filter(|token| !token.is_empty())
}

/// The site that is meant, if one is.
fn site<R: BufRead, W: Write>(
    wanted: Option<u64>,
    sites: Vec<Product>,
    talk: &mut Talk<R, W>,
) -> Result<Option<u64>, SetUpError> {
    show(&sites, talk);
    match (wanted, &sites[..]) {
        (Some(id), _) if sites.iter().all(|site| site.id != id) => {
            Err(SetUpError::Given(format!("the account has no site {id} (--siteid); nothing has changed")))
        }
        (Some(id), _) => Ok(Some(id)),
        (None, [only]) => Ok(Some(only.id)),
        (None, _) => Ok(None),
    }
}

async fn logged_in<R: BufRead, W: Write>(
    house: &House,
    account: &Account,
    email: Option<&str>,
    talk: &mut Talk<R, W>,
) -> Result<(Value, Issuer), SetUpError> {
    let login = Login::new()?;
    let auth = &house.owners.auth;
    talk.say(&format!(
        "1. In a browser, open its developer tools (F12), there the page \"Network\", and tick \"Preserve \
         log\".\n2. Open this address and log in to Tesla:\n\n{}\n\n3. The login ends with a request that \
         fails, because no browser opens tesla:. Copy its whole address, which begins with \
         tesla://auth/callback, and paste it here within some minutes.",
        login.address(auth, email)
    ));
    let (code, issuer) = code(&login, talk)?;
    // Somebody who named a server means it.
    let auth = if *auth == Origin::of(OWNERS_AUTH) { issuer.auth() } else { auth.clone() };
    let tokens = login.exchange(account.web(LIMIT).wires(), &auth, &code).await?;
    Ok((tokens, issuer))
}

fn code<R: BufRead, W: Write>(login: &Login, talk: &mut Talk<R, W>) -> Result<(Secret, Issuer), SetUpError> {
    for left in (0..TRIES).rev() {
        let pasted =
            talk.ask_secret("\nAddress (it is not shown)").ok_or(SetUpError::NotGiven("the address"))?;
        match login.code(pasted.expose()) {
            Ok(code) => return Ok(code),
            Err(error @ (NoCode::Absent | NoCode::OtherLogin)) if left > 0 => talk.say(&error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(NoCode::Absent.into())
}

/// Tokens that an app or another program has made: the refresh token, then the access token.
fn pasted<R: BufRead, W: Write>(talk: &mut Talk<R, W>) -> Result<(Value, Issuer), SetUpError> {
    let refresh = talk.ask_secret("Refresh token (it is not shown)");
    let refresh = refresh.ok_or(SetUpError::NotGiven("the refresh token"))?;
    let access = talk.ask_secret("Access token (not shown either; Enter for none)");
    let mut tokens = json!({ "token_type": "Bearer", "refresh_token": refresh.expose() });
    let Some(access) = access else {
        tokens["access_token"] = "".into();
        return Ok((tokens, Issuer::World));
    };
    let now = unix_time();
    if let Some(why) = wrong_with(&access, now) {
        return Err(SetUpError::Given(format!(
            "the access token cannot be used: {why}; nothing has changed"
        )));
    }
    let issuer = issuer(Some(&access), None).map_err(|odd| {
        let odd: String = odd.chars().take(80).collect();
        SetUpError::Given(format!(
            "the access token is from {odd:?}, and not from Tesla; nothing has changed"
        ))
    })?;
    let expires = crate::link::tesla::tokens::Claims::of(&access).expires;
    tokens["access_token"] = access.expose().into();
    tokens["expires_in"] = expires.map_or(0, |end| (end - now).max(0.0) as i64).into();
    Ok((tokens, issuer))
}

/// The file as it is, or an empty one.
fn read(path: &Path) -> Result<OwnersFile, SetUpError> {
    match files::read_text(path, LARGEST) {
        Ok(text) => OwnersFile::parse(&text, None).ok_or_else(|| SetUpError::NotAFile(path.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(OwnersFile::default()),
        Err(error) => Err(SetUpError::Unreadable { path: path.into(), why: error.to_string() }),
    }
}

async fn write(path: &Path, email: &str, issuer: Issuer, tokens: &Value) -> Result<(), SetUpError> {
    let _lock = files::lock(path).await;
    let mut file = read(path)?;
    let lives = tokens["expires_in"].as_f64().unwrap_or(0.0);
    let expires = if access_of(tokens).is_some() { (unix_time() + lives) as i64 } else { 0 };
    file.put(email, &format!("{}/", issuer.auth()), tokens, expires);
    let unwritable = |why: std::io::Error| SetUpError::Unwritable { path: path.into(), why: why.to_string() };
    files::replace(path, &file.text()).map_err(unwritable)
}
