//! `get` and `set`: through the running service, or through one that lives for this order only while no other
//! may.

use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::lone::Lone;
use super::{Service, StartError};
use crate::cli::At;
use crate::cli::healthcheck;
use crate::cli::service::{AskError, Came, Running, outcome, report};
use crate::cli::wish::Wish;
use crate::files;
use crate::settings::{Access, MqttSettings, Secret, Settings};

/// Exit code of an order that is not known to have come about yet.
const UNDERWAY: u8 = 3;
/// A token is a line.
const LARGEST_TOKEN: usize = 4 << 10;
/// A gateway that has not answered by then will not take an order.
const FIRST_ANSWER: Duration = Duration::from_secs(40);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What is asked.
pub(super) enum Asked {
    Control { json: bool },
    Order { wish: Wish, wait: u64 },
}

/// Why it could not be asked.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("--token-file {0}: {1}")]
    Token(String, std::io::Error),
    #[error("{absent}, and no order is given past it: {why}")]
    NotAlone { absent: AskError, why: String },
    #[error("cannot start: {0}")]
    Start(#[from] StartError),
}

pub(super) fn run(settings: Settings, at: &At, asked: &Asked) -> ExitCode {
    match actix::System::new().block_on(ask(settings, at, asked)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(settings: Settings, at: &At, asked: &Asked) -> Result<ExitCode, Failed> {
    let base = at.url.clone().unwrap_or_else(|| healthcheck::base(&settings.http));
    let running = Running::at(&base, token(&settings, at)?).await;
    match perform(&running, at.gateway.as_deref(), asked).await {
        Err(absent @ AskError::Absent { .. }) if at.url.is_none() => alone(settings, at, asked, absent).await,
        outcome => Ok(outcome?),
    }
}

/// The token that orders are given with: that of an owner, unless a file has another.
fn token(settings: &Settings, at: &At) -> Result<Option<Secret>, Failed> {
    let Some(file) = &at.token_file else {
        let owners = settings.access.tokens.iter().filter(|token| token.gateways.is_none());
        return Ok(owners.max_by_key(|token| token.role).map(|token| token.secret.clone()));
    };
    let text = files::read_text(file.as_ref(), LARGEST_TOKEN);
    let text = text.map_err(|error| Failed::Token(file.clone(), error))?;
    Ok(Some(Secret::new(text.trim())))
}

async fn perform(running: &Running, gateway: Option<&str>, asked: &Asked) -> Result<ExitCode, AskError> {
    let gateway = match gateway {
        Some(gateway) => gateway.to_owned(),
        None => running.only_gateway().await?,
    };
    match asked {
        Asked::Control { json } => {
            let control = running.control(&gateway).await?;
            match json {
                true => println!("{control:#}"),
                false => print!("{}", report(&control)),
            }
            Ok(ExitCode::SUCCESS)
        }
        Asked::Order { wish, wait } => {
            let (came, text) = outcome(&running.order(&gateway, wish, *wait).await?);
            match came {
                Came::ToNothing => eprintln!("{text}"),
                Came::About | Came::Underway => println!("{text}"),
            }
            Ok(match came {
                Came::About => ExitCode::SUCCESS,
                Came::Underway => ExitCode::from(UNDERWAY),
                Came::ToNothing => ExitCode::FAILURE,
            })
        }
    }
}

/// Without a service: this program is one for as long as it takes, of this gateway only and for nobody else.
async fn alone(mut settings: Settings, at: &At, asked: &Asked, absent: AskError) -> Result<ExitCode, Failed> {
    let refuse = |absent, why: &str| Err(Failed::NotAlone { absent, why: why.into() });
    if matches!(asked, Asked::Order { wish, .. } if wish.is_lease()) {
        return refuse(absent, "somebody has to be there when --for ends");
    }
    let named = at.gateway.as_deref();
    settings.gateways.retain(|gateway| named.is_none_or(|id| gateway.facts.id == id));
    let [gateway] = &settings.gateways[..] else {
        return refuse(
            absent,
            "say which gateway is meant, with --gateway and the id of one that is configured",
        );
    };
    let id = gateway.facts.id.clone();
    match Lone::take(&settings) {
        Ok(lone) if lone.keeps_others_away() => {}
        Ok(_) => {
            return refuse(absent, "without PW_AUTH_PATH or PW_TIMESERIES_PATH nothing keeps others away");
        }
        Err(error) => return refuse(absent, &error.to_string()),
    }
    eprintln!("No service is running; the gateway is asked from here.");
    let token = Secret::new(format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()));
    (settings.http.bind, settings.http.port) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    (settings.http.tls, settings.http.base_path, settings.http.hosts) = (None, String::new(), None);
    settings.access = Access::owned_by(token.clone());
    settings.mqtt = MqttSettings::default();
    let service = Service::start(&settings, rand::random())?;
    let running = Running::at(&format!("http://{}", service.addr), Some(token)).await;
    let performed = match known(&running, &id).await {
        Ok(()) => perform(&running, Some(&id), asked).await,
        Err(error) => Err(error),
    };
    service.stop().await;
    Ok(performed?)
}

/// Waits until the gateway has answered, or did not.
async fn known(running: &Running, gateway: &str) -> Result<(), AskError> {
    let end = Instant::now() + FIRST_ANSWER;
    while Instant::now() < end {
        let control = running.control(gateway).await?;
        if control["orders"].as_array().is_some_and(|orders| !orders.is_empty()) {
            break;
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
