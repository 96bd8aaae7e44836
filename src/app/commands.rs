//! What each command of the command line does, from its settings to its exit code.

use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use log::{error, info, warn};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::ordering::{self, Asked};
use super::past;
use super::reload::Reload;
use super::signals::{Order, Orders};
use super::{Service, StartError, logging};
use crate::cli::scan::{self, Network};
use crate::cli::wish::{Typed, Wish};
use crate::cli::{
    Cli, Command, Flags, HistoryCommand, NO_GATEWAYS, check_config, doctor, healthcheck, history_check,
    import,
    tesla::{self, SetUpError, Talk},
};
use crate::clock::unix_time;
use crate::settings::{
    DemoClock, GatewaySettings, House, Inputs, LoggingSettings, Problems, RsaKey, Secret, Settings, reference,
};
use crate::simulator::{Counters, Demo, Fleet, REMOTE};
use crate::store::history::checking::check;
use crate::store::{Restored, backup, restore};
use crate::tls::server_config;

/// A setting is wrong or missing. Also what a mistyped command line exits with.
const MISCONFIGURED: u8 = 2;
/// Two for each connection that the server takes at most, and some for everything else.
const FILES: u64 = 10_000;
/// How often the Supervisor is checked.
const ROUND: Duration = Duration::from_secs(1);
/// Settings that a demo takes over, beside those of MQTT; it brings its own gateways.
const DEMO_VARIABLES: [&str; 10] = [
    "PW_PORT",
    "PW_BIND_ADDRESS",
    "PW_CACHE_EXPIRE",
    "PW_DEBUG",
    "PW_LOG_FORMAT",
    "PROXY_BASE_URL",
    "CORS_ORIGINS",
    "PW_CONNECTIONS_PER_ADDRESS",
    "PW_LIVE_CLIENTS_PER_ADDRESS",
    "PW_TRUSTED_PROXIES",
];

/// Runs the program to its end.
pub fn run(cli: Cli) -> ExitCode {
    let Cli { command, flags } = cli;
    match command.unwrap_or(Command::Serve) {
        Command::Serve => serve(&flags),
        Command::Demo(how) => demo(flags, how.into()),
        Command::Simulate { gateways, rsa_key } => simulate(gateways, rsa_key),
        Command::CheckConfig => with_settings(&inputs(&flags), |settings| {
            println!("{}", check_config::report(&settings));
            if settings.watches_nothing() {
                eprintln!("\n{NO_GATEWAYS}");
                return ExitCode::from(MISCONFIGURED);
            }
            let certificate = settings.http.tls.as_ref();
            match certificate.map(|files| server_config(&files.certificate, &files.key)).transpose() {
                Ok(_) => ExitCode::SUCCESS,
                Err(error) => misconfigured(&error),
            }
        }),
        Command::Settings { word } => match reference::listing(&word) {
            Some(listing) => {
                print!("{listing}");
                ExitCode::SUCCESS
            }
            None => {
                eprintln!("No setting has {word:?} in its name or meaning.");
                ExitCode::FAILURE
            }
        },
        Command::Login(wish) => set_up(&flags, async |house, talk| tesla::login(house, &wish, talk).await),
        Command::Register(wish) => {
            set_up(&flags, async |house, talk| tesla::register(house, &wish, talk).await)
        }
        Command::Keys(wish) => set_up(&flags, async |house, talk| tesla::keys(house, &wish, talk).await),
        Command::Sites => {
            set_up(&flags, async |house, talk| tesla::sites(&house.account, talk).await.map(drop))
        }
        Command::Doctor { gateway } => diagnose(&flags, gateway.as_deref()),
        Command::Scan { networks, gateway_port, patience, public, json } => {
            look_around(&networks, public, gateway_port, Duration::from_secs(patience), json)
        }
        Command::Get { at, json } => {
            with_settings(&inputs(&flags), |settings| ordering::run(settings, &at, &Asked::Control { json }))
        }
        Command::Set { order, value, mode, lasts, confirm, wait, at } => {
            match Wish::read(order, &Typed { value, mode, lasts, is_confirmed: confirm }) {
                Ok(wish) => with_settings(&inputs(&flags), |settings| {
                    ordering::run(settings, &at, &Asked::Order { wish, wait })
                }),
                Err(why) => {
                    eprintln!("{why}");
                    ExitCode::from(MISCONFIGURED)
                }
            }
        }
        Command::Backup { to } => {
            with_settings(&inputs(&flags), |settings| back_up(settings.store.as_deref(), &to))
        }
        Command::Restore { from } => {
            with_settings(&inputs(&flags), |settings| put_back(&from, settings.store.as_deref()))
        }
        Command::History { about: HistoryCommand::Check { file: Some(file) } } => examine(&file),
        Command::History { about: HistoryCommand::Check { file: None } } => {
            with_settings(&inputs(&flags), |settings| match settings.store.as_deref() {
                Some(file) => examine(file),
                None => misconfigured(&NoFile("examine")),
            })
        }
        Command::Import(import) => {
            let password = environment().find(|(name, _)| name == "PW_IMPORT_PASSWORD");
            let password = password.map(|(_, text)| Secret::new(text));
            with_settings(&inputs(&flags), |settings| import::run(&settings, &import, password))
        }
        Command::Healthcheck { url: Some(url) } => check_health(&url),
        Command::Healthcheck { url: None } => with_settings(&flags.inputs(environment()), |settings| {
            check_health(&healthcheck::url(&settings.http))
        }),
    }
}

/// Nothing is kept, so there is nothing to do this with.
#[derive(Debug, thiserror::Error)]
#[error("There is no file to {0}: PW_TIMESERIES_PATH says where it is.")]
struct NoFile(&'static str);

fn put_back(from: &Path, to: Option<&Path>) -> ExitCode {
    let Some(to) = to else { return misconfigured(&NoFile("replace")) };
    match restore(from, to) {
        Ok(Restored { bytes, kept }) => {
            println!("Restored {} from {}, {bytes} bytes", to.display(), from.display());
            if let Some(kept) = kept {
                println!("The former file is kept as {}", kept.display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn examine(file: &Path) -> ExitCode {
    if !file.exists() {
        eprintln!("{} is not there", file.display());
        return ExitCode::from(MISCONFIGURED);
    }
    match check(file, unix_time()) {
        Ok(findings) => {
            print!("{}", history_check::report(&findings));
            if findings.flaws.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn back_up(from: Option<&Path>, to: &Path) -> ExitCode {
    let Some(from) = from else { return misconfigured(&NoFile("copy")) };
    match backup(from, to) {
        Ok(bytes) => {
            println!("{} is copied to {}, {bytes} bytes", from.display(), to.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A conversation about the Tesla account.
fn set_up(
    flags: &Flags,
    step: impl AsyncFnOnce(&House, &mut Conversation) -> Result<(), SetUpError>,
) -> ExitCode {
    let house = match Settings::house(&inputs(flags)) {
        Ok(house) => house,
        Err(problems) => return misconfigured(&problems),
    };
    let is_terminal = io::stdin().is_terminal();
    let (from, to) = (io::stdin().lock(), io::stdout());
    let mut talk = Talk { from, to, environment: environment().collect(), is_terminal };
    match actix::System::new().block_on(step(&house, &mut talk)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

type Conversation = Talk<io::StdinLock<'static>, io::Stdout>;

/// Examines one gateway after the other: a person is waiting, and each is to be read by itself.
fn diagnose(flags: &Flags, only: Option<&str>) -> ExitCode {
    // Who names a host means that host, whatever else is configured.
    let listed = ["PW_CONFIG", "PW_GATEWAYS"];
    let counts = |name: &str| flags.host.is_none() || !listed.contains(&name);
    let inputs = flags.inputs(environment().filter(|(name, _)| counts(name)));
    let ways = match Settings::ways(&inputs) {
        Ok(ways) => ways,
        Err(problems) => return misconfigured(&problems),
    };
    // What is wrong with settings is reported above, or concerns no gateway.
    let (all, broker) = match Settings::load(&inputs) {
        Ok(settings) => (settings.gateways, settings.broker.filter(|_| only.is_none())),
        Err(_) => (Vec::new(), None),
    };
    let is_over_cloud = |gateway: &&GatewaySettings| {
        let links = std::iter::once(*gateway).chain(&gateway.standby);
        links.into_iter().any(|link| link.link.fleet().is_some())
    };
    let over_cloud: Vec<_> = all.iter().filter(is_over_cloud).collect();
    let is_local =
        |id: &str| all.iter().all(|gateway| gateway.facts.id != id || gateway.link.fleet().is_none());
    let is_chosen = |id: &str| only.is_none_or(|only| only == id);
    let chosen: Vec<_> = ways.iter().filter(|way| is_chosen(&way.id) && is_local(&way.id)).collect();
    let clouds: Vec<_> = over_cloud.iter().filter(|gateway| is_chosen(&gateway.facts.id)).collect();
    if chosen.is_empty() && clouds.is_empty() && broker.is_none() {
        let of_cloud = over_cloud.iter().map(|gateway| gateway.facts.id.as_str());
        let known: Vec<&str> = ways.iter().map(|way| way.id.as_str()).chain(of_cloud).collect();
        match only {
            Some(id) if !known.is_empty() => {
                eprintln!("no gateway {id} is configured; there are {}", known.join(", "));
            }
            _ => eprintln!("There is no gateway with a host to examine.\n\n{NO_GATEWAYS}"),
        }
        return ExitCode::from(MISCONFIGURED);
    }
    actix::System::new().block_on(async {
        let mut healthy = true;
        for ways in chosen {
            let diagnosis = doctor::examine(ways).await;
            println!("{}", diagnosis.report);
            healthy &= diagnosis.healthy;
        }
        for gateway in clouds {
            let Some(diagnosis) = doctor::cloud::examine(gateway).await else { continue };
            println!("{}", diagnosis.report);
            healthy &= diagnosis.healthy;
        }
        #[cfg(feature = "broker")]
        if let Some(broker) = &broker {
            let diagnosis = doctor::broker::examine(broker).await;
            println!("{}", diagnosis.report);
            healthy &= diagnosis.healthy;
        }
        if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    })
}

fn look_around(networks: &[String], public: bool, port: u16, patience: Duration, json: bool) -> ExitCode {
    let networks = match networks {
        [] => scan::usual_networks(),
        named => named.iter().map(|text| Network::parse(text, public)).collect(),
    };
    let networks = match networks {
        Ok(networks) => networks,
        Err(error) => return misconfigured(&error),
    };
    let found = actix::System::new().block_on(scan::scan(&networks, port, patience));
    match json {
        true => println!("{:#}", scan::document(&found)),
        false => print!("{}", scan::report(&found, port)),
    }
    if found.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A variable that is not text cannot be one of ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text)
}

fn with_settings(inputs: &Inputs, act: impl FnOnce(Settings) -> ExitCode) -> ExitCode {
    match Settings::load(inputs) {
        Ok(settings) => act(settings),
        Err(problems) => {
            eprintln!("{problems}");
            ExitCode::from(MISCONFIGURED)
        }
    }
}

/// What `serve` takes its settings from.
fn inputs(flags: &Flags) -> Inputs {
    flags.inputs(environment()).with_store_in(Path::new("/data"), Path::new("data"))
}

fn serve(flags: &Flags) -> ExitCode {
    let inputs = inputs(flags);
    with_settings(&inputs, |settings| {
        if settings.watches_nothing() {
            eprintln!("{NO_GATEWAYS}");
            return ExitCode::from(MISCONFIGURED);
        }
        logging::start(settings.logging);
        keep_running(&inputs, settings, |_| {})
    })
}

/// Signs in to the simulated account, and has the site that only Tesla reaches read over it. The variables
/// that lead there.
fn through_cloud(fleet: &Fleet, folder: &Path, gateways: &mut Value) -> io::Result<Vec<(String, String)>> {
    let Some(tesla) = fleet.cloud() else { return Ok(Vec::new()) };
    std::fs::create_dir_all(folder)?;
    tesla.sign_in(folder)?;
    for gateway in gateways.as_array_mut().into_iter().flatten().filter(|gateway| gateway["id"] == REMOTE) {
        let name = gateway["name"].take();
        *gateway = json!({ "id": REMOTE, "name": name, "fleetapi": true });
    }
    Ok(tesla.environment(folder))
}

/// The demo and the simulated gateways live in one process; the fleet ends with it.
fn demo(flags: Flags, how: Demo) -> ExitCode {
    let sites = how.sites();
    let fleet = match Fleet::with_cloud(sites.clone(), REMOTE) {
        Ok(fleet) => Arc::new(fleet),
        Err(error) => return failed("cannot simulate gateways", &error),
    };
    let flags = Flags {
        port: flags.port,
        bind_address: flags.bind_address,
        cache_expire: flags.cache_expire,
        debug: flags.debug,
        ..Flags::default()
    };
    let taken_over = environment()
        .filter(|(name, _)| DEMO_VARIABLES.contains(&name.as_str()) || name.starts_with("MQTT_"));
    // Their sessions are worth nothing once it ends.
    let folder = std::env::temp_dir().join(format!("powerwall-server-demo-{}", std::process::id()));
    let mut gateways = fleet.settings();
    for gateway in gateways.as_array_mut().into_iter().flatten() {
        gateway["authpath"] = folder.to_string_lossy().into();
    }
    let through_cloud = match through_cloud(&fleet, &folder, &mut gateways) {
        Ok(variables) => variables,
        Err(error) => return failed("cannot simulate an account", &error),
    };
    let of_the_demo = [
        ("PW_GATEWAYS".to_owned(), gateways.to_string()),
        ("PW_TIMESERIES_PATH".to_owned(), folder.join("history.db").to_string_lossy().into_owned()),
    ];
    let inputs = flags.inputs(taken_over.chain(of_the_demo).chain(through_cloud));
    let ended = with_settings(&inputs, |mut settings| {
        settings.demo = Some(DemoClock { hour: how.hour, speed: how.speed });
        logging::start(settings.logging);
        let base_path = settings.http.base_path.clone();
        keep_running(&inputs, settings, |service| {
            let number = sites.len();
            actix::spawn(past::write(service.history.clone(), sites));
            let playing = fleet.clone();
            actix::spawn(async move { how.play(&playing).await });
            let addr = service.addr;
            let host = if addr.ip().is_unspecified() { "localhost".into() } else { host_of(addr.ip()) };
            println!(
                "{number} simulated sites; a second here is {pace} there.\n\n  \
                 Open  http://{host}:{port}{base_path}/\n  \
                 Try   curl http://{host}:{port}{base_path}/aggregates\n\n\
                 Ctrl-C ends it.",
                port = addr.port(),
                pace = pace(how.speed),
            );
        })
    });
    let _ = std::fs::remove_dir_all(folder);
    ended
}

/// What a second lasts in a demo.
fn pace(speed: f64) -> String {
    if speed < 60.0 { format!("{speed} s") } else { format!("{:.1} minutes", speed / 60.0) }
}

fn host_of(ip: IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

/// Until it is asked to stop, when it says how much it was asked.
fn simulate(gateways: u32, rsa_key: Option<String>) -> ExitCode {
    logging::start(LoggingSettings::default());
    let fleet = match rsa_key {
        None => Fleet::of(gateways),
        Some(file) => match RsaKey::read(file.as_ref()) {
            Ok(key) => Fleet::with_lan(gateways, key, &file),
            Err(problem) => {
                eprintln!("--rsa-key: {problem}");
                return ExitCode::from(MISCONFIGURED);
            }
        },
    };
    let fleet = match fleet {
        Ok(fleet) => fleet,
        Err(error) => return failed("cannot simulate gateways", &error),
    };
    println!("PW_GATEWAYS='{}'", fleet.settings());
    let stopped = actix::System::new().block_on(async {
        let mut orders = Orders::listen()?;
        while orders.next().await != Order::Stop {}
        io::Result::Ok(())
    });
    if let Err(error) = stopped {
        return failed("cannot listen for signals", &error);
    }
    let requests: u64 = fleet.counters().map(Counters::all_requests).sum();
    let connections: u64 = fleet.counters().map(Counters::connections).sum();
    println!("{requests} requests over {connections} connections");
    ExitCode::SUCCESS
}

fn check_health(url: &str) -> ExitCode {
    match actix::System::new().block_on(healthcheck::check(url)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn failed(what: &str, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{what}: {error}");
    ExitCode::FAILURE
}

fn misconfigured(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(MISCONFIGURED)
}

fn keep_running(inputs: &Inputs, settings: Settings, announce: impl FnOnce(&Service)) -> ExitCode {
    raise_file_limit();
    actix::System::new().block_on(async {
        let mut orders = match Orders::listen() {
            Ok(orders) => orders,
            Err(error) => return failed("cannot listen for signals", &error),
        };
        for warning in &settings.warnings {
            warn!(event = "configuration"; "{warning}");
        }
        let service = match Service::start(&settings, rand::random()) {
            Ok(service) => service,
            Err(error @ (StartError::Tls(_) | StartError::InUse(_))) => return misconfigured(&error),
            Err(error) => return failed("powerwall-server", &error),
        };
        let (version, gateways) = (env!("CARGO_PKG_VERSION"), settings.gateways.len());
        info!(
            event = "started", version = version, gateways = gateways;
            "powerwall-server {version} listens on {} and watches {}", service.addr, counted(gateways),
        );
        announce(&service);
        let code = obey(&mut orders, inputs, &service).await;
        service.stop().await;
        code
    })
}

fn counted(gateways: usize) -> String {
    if gateways == 1 { "1 gateway".into() } else { format!("{gateways} gateways") }
}

/// Many systems allow a program 1,024 files unless it asks for more, and every client needs two.
fn raise_file_limit() {
    if let Err(error) = rlimit::increase_nofile_limit(FILES) {
        warn!(event = "file_limit"; "the number of open files cannot be raised: {error}");
    }
}

/// Until the end, and how it ends.
async fn obey(orders: &mut Orders, inputs: &Inputs, service: &Service) -> ExitCode {
    let inputs = inputs.clone();
    let mut reload = Reload::new(move || Settings::load(&inputs));
    let mut round = interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            order = orders.next() => match order {
                Order::Stop => return ExitCode::SUCCESS,
                Order::Reload => reload.ask(),
            },
            loaded = reload.next() => apply(loaded, service).await,
            _ = round.tick() => {
                if !service.is_supervised() {
                    error!(event = "unsupervised"; "the gateways are no longer supervised; exiting to be \
                        restarted");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
}

/// Applies what was read again; a mistake changes nothing.
async fn apply(loaded: Result<Settings, Problems>, service: &Service) {
    match loaded {
        Ok(settings) if settings.watches_nothing() => {
            error!(event = "not_reloaded"; "no gateway is configured any more; keeping the previous \
                settings");
        }
        Ok(settings) => {
            let gateways = settings.gateways.len();
            info!(event = "reloaded", gateways = gateways; "reloading the settings: {}", counted(gateways));
            for warning in &settings.warnings {
                warn!(event = "configuration"; "{warning}");
            }
            service.apply(settings).await;
        }
        Err(problems) => error!(event = "not_reloaded"; "keeping the previous settings: {problems}"),
    }
}
