//! The command line: what may be typed, and the commands that need no service.

pub mod check_config;
pub mod demo;
pub mod doctor;
pub mod healthcheck;
pub mod history_check;
pub mod import;
pub mod scan;
pub mod service;
pub mod tesla;
pub mod wish;

use std::time::Duration;

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::model::OrderKind;
use crate::settings::Inputs;

/// Reads any number of Tesla Powerwalls and serves them over REST, WebSocket, MQTT and web pages.
#[derive(Debug, Parser)]
#[command(name = "powerwall-server", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub flags: Flags,
}

impl Cli {
    /// Reads the command line; ends the program if it is none, or asks for help.
    pub fn read() -> Self {
        let matches = command().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// The command line, with the help of each command about what counts there.
fn command() -> clap::Command {
    let mut command = Cli::command();
    // Only then do the commands have the flags that are taken everywhere.
    command.build();
    for (name, counting) in [
        ("demo", &DEMO_FLAGS[..]),
        ("simulate", &[]),
        ("scan", &[]),
        ("login", &["authpath", "email", "siteid"]),
        ("sites", &["authpath"]),
        ("register", &HOUSE_FLAGS[..]),
        ("keys", &HOUSE_FLAGS[..]),
        ("help", &[]),
        ("settings", &[]),
        ("backup", &[]),
        ("restore", &[]),
        ("import", &["config"]),
        ("history", &[]),
        ("doctor", &DOCTOR_FLAGS[..]),
        ("get", &PLACE_FLAGS[..]),
        ("set", &PLACE_FLAGS[..]),
        ("healthcheck", &PLACE_FLAGS[..]),
    ] {
        command = command.mut_subcommand(name, |command| showing(command, counting));
    }
    command
}

/// A command whose help, and that of those below it, lists no flags for settings but those that are
/// `counting`.
fn showing(command: clap::Command, counting: &[&str]) -> clap::Command {
    let shown = command.mut_args(|flag| {
        let is_setting = flag.get_help().is_some_and(|help| help.to_string().contains("(PW_"));
        let counts = !is_setting || counting.contains(&flag.get_id().as_str());
        flag.hide(!counts)
    });
    shown.mut_subcommands(|below| showing(below, counting))
}

/// Those that say where a service is, and what it uses.
const PLACE_FLAGS: [&str; 4] = ["config", "authpath", "port", "bind_address"];
/// Those that say which house it is.
const HOUSE_FLAGS: [&str; 5] = ["authpath", "host", "siteid", "password", "gw_pwd"];
/// Those that say how a gateway is reached.
const DOCTOR_FLAGS: [&str; 8] =
    ["host", "gw_pwd", "email", "password", "authpath", "siteid", "timeout", "config"];
/// The flags for settings that a demo takes.
const DEMO_FLAGS: [&str; 4] = ["port", "bind_address", "cache_expire", "debug"];

#[derive(Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Watch the configured gateways and serve them (the default).
    Serve,
    /// Serve simulated sites; needs no Powerwall.
    Demo(demo::DemoArgs),
    /// Simulate gateways on loopback and print how to reach them, for load tests.
    Simulate {
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=2000))]
        gateways: u32,
        /// Also put them on the wired LAN (v1r), with the key in this PEM file registered and confirmed.
        #[arg(long, value_name = "FILE")]
        rsa_key: Option<String>,
    },
    /// Log in to a Tesla account, for FleetAPI; no browser is needed on this machine.
    ///
    /// Prints an address to open on any device, and asks for the address that the login ends at. Reads the
    /// application from the flags, TESLA_CLIENT_ID, TESLA_CLIENT_SECRET, TESLA_REDIRECT_URI, or an earlier
    /// token file, and asks for what is missing. Exit code 0 or 1.
    Login(tesla::Login),
    /// Register a key for signed requests over the LAN (v1r) at a gateway; with --domain, the domain of an
    /// application at Tesla.
    ///
    /// Makes the key if there is none, registers it over the Tesla account, says which switch confirms it and
    /// how long there is, and is done when the gateway answers a signed question over the LAN. With --domain:
    /// prints the public key that the domain must show and where, and compares what Tesla has fetched, once
    /// for each region. May be repeated at any time. Exit code 0 or 1.
    Register(tesla::Register),
    /// List the keys that may sign for a gateway, name them, or remove one; exit code 0 or 1.
    Keys(tesla::Keys),
    /// List the energy sites of the Tesla account; exit code 0 or 1.
    Sites,
    /// Print the effective settings and where each comes from; exit code 2 if something is wrong.
    CheckConfig,
    /// List every setting with its meaning, an example and its default.
    Settings {
        /// Only those whose name or meaning contains this.
        #[arg(value_name = "WORD", default_value = "", hide_default_value = true)]
        word: String,
    },
    /// Try every way to the configured gateways, or to --host, and report which ones work and what to do;
    /// exit code 0 or 1.
    Doctor {
        /// Examine this gateway only.
        #[arg(long, value_name = "ID")]
        gateway: Option<String>,
    },
    /// Find gateways on the local network; exit code 1 if there are none.
    Scan {
        /// Networks such as 192.168.1.0/24, or addresses; by default the network of this machine.
        #[arg(value_name = "CIDR")]
        networks: Vec<String>,
        /// Port that gateways listen on.
        #[arg(long, default_value_t = 443)]
        gateway_port: u16,
        /// Seconds to wait for an address to answer.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10))]
        patience: u64,
        /// Allow networks that are not private.
        #[arg(long)]
        public: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the settings of a gateway and what it can be ordered to do.
    Get {
        #[command(flatten)]
        at: At,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give an order to a gateway and report the outcome.
    ///
    /// For example: set reserve 20 --for 2h; set mode backup; set grid_charging off; set grid_export pv_only;
    /// set max_backup 4h; set storm_watch on; set vehicle_reserve 30; set tariff FILE.json;
    /// set islanding off_grid --confirm; set dispatch 3000 --for 30m; set resume.
    ///
    /// Exit code 0: stored or in effect; 3: accepted or still under way; 1: it failed; 2: it is not valid.
    Set {
        /// reserve, reserve_hold, mode, grid_charging, grid_export, max_backup, storm_watch, vehicle_reserve,
        /// tariff, islanding, dispatch, resume
        #[arg(value_name = "ORDER", value_parser = wish::order)]
        order: OrderKind,
        /// Percent, a mode, on or off, watts, a duration …
        #[arg(value_name = "VALUE", allow_negative_numbers = true)]
        value: Option<String>,
        /// With a reserve: the mode, in the same order.
        #[arg(long)]
        mode: Option<String>,
        /// For how long, for example 90s, 30m, 2h or 1d; then the former state is restored.
        #[arg(long = "for", value_name = "DURATION", value_parser = wish::duration)]
        lasts: Option<Duration>,
        /// Confirm an order that can be dangerous, such as islanding.
        #[arg(long)]
        confirm: bool,
        /// Seconds to wait for the outcome.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=60))]
        wait: u64,
        #[command(flatten)]
        at: At,
    },
    /// Copy journal and history into FILE, whether the service runs or not; exit code 0 or 1.
    Backup {
        /// A new file; nothing is overwritten.
        #[arg(value_name = "FILE")]
        to: PathBuf,
    },
    /// Replace journal and history by a copy; the former file is kept under another name. The service must
    /// not run. Exit code 0 or 1.
    Restore {
        /// What `backup` made, or a file of pypowerwall-server 0.13.
        #[arg(value_name = "FILE")]
        from: PathBuf,
    },
    /// Examine the history.
    History {
        #[command(subcommand)]
        about: HistoryCommand,
    },
    /// Import into the history what other programs recorded, whether the service runs or not.
    ///
    /// Fills gaps and changes nothing that was measured here; a second run changes nothing. See
    /// docs/history.md. Exit code 0 or 1.
    Import(import::Import),
    /// Ask the running service whether it is alive; exit code 0 or 1.
    Healthcheck {
        /// Address to ask, instead of the one in the settings.
        #[arg(long)]
        url: Option<String>,
    },
}

#[derive(Debug, PartialEq, Subcommand)]
pub enum HistoryCommand {
    /// Report what is wrong in the file and where its gaps are, whether the service runs or not; exit code 0:
    /// nothing is wrong, 1: something is, 2: there is no file.
    Check {
        /// Another file than that of the settings, such as a copy.
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// Which gateway, and how the service is asked.
#[derive(Args, Debug, Default, PartialEq)]
pub struct At {
    /// Which gateway; may be left out if there is one only.
    #[arg(long, value_name = "ID")]
    pub gateway: Option<String>,
    /// Address of the service, instead of the one in the settings.
    #[arg(long)]
    pub url: Option<String>,
    /// File with a token, instead of PW_CONTROL_SECRET.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<String>,
}

/// Flags for the common settings; each stands for a variable and wins over it.
#[derive(Args, Debug, Default)]
pub struct Flags {
    /// Address of the gateway (PW_HOST)
    #[arg(long, global = true)]
    pub host: Option<String>,
    /// Gateway password, printed on the sticker (PW_GW_PWD; visible in the process list; prefer
    /// PW_GW_PWD_FILE)
    #[arg(long, global = true)]
    pub gw_pwd: Option<String>,
    /// E-mail of the Tesla account (PW_EMAIL)
    #[arg(long, global = true)]
    pub email: Option<String>,
    /// Customer password (PW_PASSWORD; visible in the process list; prefer PW_PASSWORD_FILE)
    #[arg(long, global = true)]
    pub password: Option<String>,
    /// Folder for credentials and remembered certificates (PW_AUTH_PATH)
    #[arg(long, global = true)]
    pub authpath: Option<String>,
    /// Look of the power-flow page (PW_STYLE)
    #[arg(long, global = true)]
    pub style: Option<String>,
    /// Site of the Tesla account (PW_SITEID)
    #[arg(long, global = true)]
    pub siteid: Option<String>,
    /// Seconds between polls (PW_CACHE_EXPIRE)
    #[arg(long, global = true)]
    pub cache_expire: Option<String>,
    /// Seconds to wait for an answer from a gateway (PW_TIMEOUT)
    #[arg(long, global = true)]
    pub timeout: Option<String>,
    /// Port to listen on (PW_PORT)
    #[arg(long, global = true)]
    pub port: Option<String>,
    /// Address to listen on (PW_BIND_ADDRESS)
    #[arg(long, global = true)]
    pub bind_address: Option<String>,
    /// Log more (PW_DEBUG)
    #[arg(long, global = true)]
    pub debug: bool,
    /// YAML or JSON file with server and gateways (PW_CONFIG)
    #[arg(long, global = true)]
    pub config: Option<String>,
    /// Limit the requests of each client (PW_RATE_LIMIT_ENABLED)
    #[arg(long, global = true)]
    pub rate_limit: bool,
    /// Requests of one client within the window (PW_RATE_LIMIT_MAX_REQUESTS)
    #[arg(long, global = true)]
    pub rate_limit_max_requests: Option<String>,
    /// Length of the window in seconds (PW_RATE_LIMIT_WINDOW_SECONDS)
    #[arg(long, global = true)]
    pub rate_limit_window: Option<String>,
}

impl Flags {
    /// The flags that were given, beside `environment`.
    pub fn inputs(&self, environment: impl IntoIterator<Item = (String, String)>) -> Inputs {
        let flags = [
            ("PW_HOST", &self.host, "--host"),
            ("PW_GW_PWD", &self.gw_pwd, "--gw-pwd"),
            ("PW_EMAIL", &self.email, "--email"),
            ("PW_PASSWORD", &self.password, "--password"),
            ("PW_AUTH_PATH", &self.authpath, "--authpath"),
            ("PW_STYLE", &self.style, "--style"),
            ("PW_SITEID", &self.siteid, "--siteid"),
            ("PW_CACHE_EXPIRE", &self.cache_expire, "--cache-expire"),
            ("PW_TIMEOUT", &self.timeout, "--timeout"),
            ("PW_PORT", &self.port, "--port"),
            ("PW_BIND_ADDRESS", &self.bind_address, "--bind-address"),
            ("PW_CONFIG", &self.config, "--config"),
            ("PW_RATE_LIMIT_MAX_REQUESTS", &self.rate_limit_max_requests, "--rate-limit-max-requests"),
            ("PW_RATE_LIMIT_WINDOW_SECONDS", &self.rate_limit_window, "--rate-limit-window"),
        ];
        let given = flags.into_iter().filter_map(|(name, text, flag)| Some((name, text.clone()?, flag)));
        let debug = self.debug.then(|| ("PW_DEBUG", "yes".to_owned(), "--debug"));
        let limit = self.rate_limit.then(|| ("PW_RATE_LIMIT_ENABLED", "yes".to_owned(), "--rate-limit"));
        Inputs {
            environment: environment.into_iter().collect(),
            flags: given.chain(debug).chain(limit).collect(),
        }
    }
}

/// What `serve` says when there is nothing to watch.
pub const NO_GATEWAYS: &str = "\
No gateway is configured. Set one of

  PW_HOST=192.168.91.1 and PW_GW_PWD=<the password on the gateway's sticker>    for one gateway
  PW_GATEWAYS='[{\"id\":\"home\",\"host\":\"192.168.91.1\",\"gw_pwd\":\"…\"}, …]'         for several
  PW_CONFIG=gateways.yaml (see config/gateways.example.yaml)                   for several, in a file

or try it without a Powerwall:

  powerwall-server demo";
