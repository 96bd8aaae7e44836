//! `login`: asks the owner for consent, takes the code out of the address that comes back, and puts the
//! tokens into the file that pypowerwall and this program share.

use std::io::{BufRead, Write};
use std::path::Path;
use std::rc::Rc;

use super::sites::LIMIT;
use super::{Client, LARGEST, Login, SetUpError, Talk, owners, provider, sites};
use crate::files;
use crate::link::tesla::account::Renewed;
use crate::link::tesla::consent::{Application, Consent, NoCode, base_of};
use crate::link::tesla::region;
use crate::link::tesla::tokens::{Claims, TokenFile};
use crate::link::tesla::web::{Authorities, Web};
use crate::settings::{AccountConfig, House, Origin, Secret, TokenSource};

/// How often an address without a code may be pasted.
const TRIES: u32 = 3;

/// Logs in.
///
/// # Errors
/// With what is wrong; nothing has changed then, unless it says so.
pub async fn login<R: BufRead, W: Write>(
    house: &House,
    wish: &Login,
    talk: &mut Talk<R, W>,
) -> Result<(), SetUpError> {
    if wish.owners {
        return owners::log_in(house, wish.paste, talk).await;
    }
    let config = &house.account;
    if let (Some(provider), Some(file)) = (&wish.provider, &wish.token_file) {
        return provider::log_in(config, (provider, file), talk).await;
    }
    let TokenSource::File(path) = &config.source else {
        let why = "PW_FLEET_TOKEN is set, and a provider's token needs no login here; `sites` tries it";
        return Err(SetUpError::Given(why.into()));
    };
    let mut file = existing(path)?;
    let application = application(wish, &file, talk)?;
    let consent = Consent::new(!wish.read_only)?;
    talk.say(&format!(
        "Open this address in a browser, on any device, and log in to Tesla:\n\n{}\n\nAfterwards the browser \
         shows a page of {} or an error; either is right. Copy its whole address and paste it here.",
        consent.address(&application, &config.auth),
        application.redirect
    ));
    let code = code(&consent, talk)?;
    let base = base(config, wish, &file).or_else(|| base_of(&code));
    let base = base.unwrap_or_else(|| region::all()[0].clone());
    let web = Rc::new(Web::new(Authorities::new(config.authorities.clone()).into(), LIMIT));
    let tokens = consent.exchange(&*web, &config.auth, &base, (&application, &code)).await?;
    let named = region::of_tokens(Some(&tokens.access), None);
    let audience = self::base(config, wish, &file).or(named).unwrap_or(base);
    fill(&mut file, &application, &tokens, &audience)?;
    let unwritable =
        |why: std::io::Error| SetUpError::Unwritable { path: path.clone(), why: why.to_string() };
    files::keep(path, "the tokens for FleetAPI", file.text()).await.map_err(unwritable)?;
    talk.say(&format!("Logged in; the tokens are in {}.", path.display()));
    if !wish.read_only && !Claims::of(&tokens.access).may_control() {
        talk.say("The owner has not allowed orders (energy_cmds); readings work.");
    }
    sites(config, talk).await?;
    Ok(())
}

/// The file as it is, or an empty one.
pub(super) fn existing(path: &Path) -> Result<TokenFile, SetUpError> {
    match files::read_text(path, LARGEST) {
        Ok(text) => TokenFile::parse(&text).ok_or_else(|| SetUpError::NotAFile(path.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(TokenFile::default()),
        Err(error) => Err(SetUpError::Unreadable { path: path.into(), why: error.to_string() }),
    }
}

/// The application: from the command line, the environment, the file, or the person, in this order.
fn application<R: BufRead, W: Write>(
    wish: &Login,
    file: &TokenFile,
    talk: &mut Talk<R, W>,
) -> Result<Application, SetUpError> {
    let (client_id, secret) = credentials(&wish.client, file, talk)?;
    let [_, _, redirect] = file.application().map(|text| text.map(str::to_owned));
    let of_domain = || file.domain().map(|domain| format!("https://{domain}/access"));
    let redirect = wish.redirect_uri.clone().or_else(|| talk.variable("TESLA_REDIRECT_URI")).or(redirect);
    let redirect = redirect.or_else(of_domain).or_else(|| talk.ask("One of its allowed redirect addresses"));
    let redirect = redirect.ok_or(SetUpError::NotGiven("the redirect address"))?;
    Ok(Application { client_id, secret, redirect })
}

/// Client id and secret: as given (the id, and a file with the secret), else from the environment, the token
/// file, or the person.
pub(super) fn credentials<R: BufRead, W: Write>(
    given: &Client,
    file: &TokenFile,
    talk: &mut Talk<R, W>,
) -> Result<(String, Secret), SetUpError> {
    let [known, kept, _] = file.application().map(|text| text.map(str::to_owned));
    let client_id = given.client_id.clone().or_else(|| talk.variable("TESLA_CLIENT_ID")).or(known);
    let client_id = client_id.or_else(|| talk.ask("Client id of your application at developer.tesla.com"));
    let client_id = client_id.ok_or(SetUpError::NotGiven("the client id"))?;

    let in_file = given.client_secret_file.as_deref().map(secret_in).transpose()?;
    let secret = in_file.or_else(|| talk.variable("TESLA_CLIENT_SECRET")).or(kept).map(Secret::new);
    let secret = secret.or_else(|| talk.ask_secret("Its client secret"));
    Ok((client_id, secret.ok_or(SetUpError::NotGiven("the client secret"))?))
}

fn secret_in(path: &Path) -> Result<String, SetUpError> {
    let unreadable = |why: std::io::Error| SetUpError::Unreadable { path: path.into(), why: why.to_string() };
    let text = files::read_text(path, LARGEST).map_err(unreadable)?;
    Ok(text.trim().to_owned())
}

fn code<R: BufRead, W: Write>(consent: &Consent, talk: &mut Talk<R, W>) -> Result<Secret, SetUpError> {
    for left in (0..TRIES).rev() {
        let pasted = talk.ask("\nAddress").ok_or(SetUpError::NotGiven("the address"))?;
        match consent.code(&pasted) {
            Ok(code) => return Ok(code),
            Err(error @ (NoCode::Absent | NoCode::OtherLogin)) if left > 0 => talk.say(&error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(NoCode::Absent.into())
}

/// The API, where somebody has said it.
fn base(config: &AccountConfig, wish: &Login, file: &TokenFile) -> Option<Origin> {
    wish.region.map(super::Region::base).or_else(|| config.base.clone()).or_else(|| file.audience())
}

/// Puts everything into the file, in the order of pypowerwall where it is new.
fn fill(
    file: &mut TokenFile,
    application: &Application,
    tokens: &Renewed,
    audience: &Origin,
) -> Result<(), SetUpError> {
    let Some(refresh) = &tokens.refresh else {
        let why = "Tesla gave no refresh token; let the application have the scope offline_access";
        return Err(SetUpError::Given(why.into()));
    };
    let domain = file.domain().map(str::to_owned).or_else(|| host_of(&application.redirect));
    file.set("CLIENT_ID", application.client_id.as_str());
    file.set("CLIENT_SECRET", application.secret.expose());
    file.set("DOMAIN", domain);
    file.set("REDIRECT_URI", application.redirect.as_str());
    file.set_audience(audience);
    file.renew(&tokens.access, refresh);
    Ok(())
}

fn host_of(address: &str) -> Option<String> {
    let rest = address.strip_prefix("https://")?;
    rest.split(['/', ':', '?']).next().filter(|host| !host.is_empty()).map(str::to_owned)
}
