//! Setting up what takes a Tesla account on the command line: `login`, `register`, `keys` and `sites`. Every
//! step can be repeated; what Tesla gives is written down only after it has said yes.

mod domain;
mod keys;
mod login;
mod names;
mod owners;
mod proof;
mod provider;
mod quiet;
mod register;
mod site;
mod sites;
mod talk;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::files;

use crate::link::tesla::consent::NoCode;
use crate::link::tesla::error::TeslaError;
use crate::link::tesla::region;
use crate::settings::Origin;

pub use keys::{Keys, keys};
pub use login::login;
pub use register::{Register, register};
pub use sites::sites;
pub use talk::Talk;

/// A file larger than this is not one of ours.
const LARGEST: usize = 64 << 10;

/// Where an account belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Region {
    /// North America, Asia and Pacific.
    Na,
    /// Europe, Middle East, Africa.
    Eu,
    /// China.
    Cn,
}

impl Region {
    fn base(self) -> Origin {
        let [na, eu, cn] = region::all();
        match self {
            Self::Na => na,
            Self::Eu => eu,
            Self::Cn => cn,
        }
    }
}

/// Which application it is for.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct Client {
    /// Client id of the application at developer.tesla.com (TESLA_CLIENT_ID); asked for if nothing gives it.
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// File with the client secret, instead of TESLA_CLIENT_SECRET.
    #[arg(long, value_name = "FILE")]
    pub client_secret_file: Option<PathBuf>,
}

/// What `login` is given on the command line.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct Login {
    #[command(flatten)]
    pub client: Client,
    /// One of the redirect addresses that the application allows (TESLA_REDIRECT_URI); nothing need answer
    /// there.
    #[arg(long, value_name = "URL")]
    pub redirect_uri: Option<String>,
    /// Where the account belongs; by default, Tesla's answers decide.
    #[arg(long, value_enum)]
    pub region: Option<Region>,
    /// Ask for permission to read only; no order can be given then.
    #[arg(long)]
    pub read_only: bool,
    /// Take a token of a provider such as https://api.teslemetry.com or https://api.tessie.com instead.
    #[arg(long, value_name = "URL", requires = "token_file")]
    pub provider: Option<String>,
    /// File for the token of the provider.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Log in for the owners API instead, the one of Tesla's app, which Tesla may end any day.
    #[arg(long, conflicts_with_all = ["provider", "client_id", "redirect_uri", "region", "read_only"])]
    pub owners: bool,
    /// With --owners: take a refresh token and an access token that an app has made.
    #[arg(long, requires = "owners")]
    pub paste: bool,
}

/// Why a step of setting up came to nothing, for the person at the command line.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    #[error("{0} was not given; nothing has changed")]
    NotGiven(&'static str),
    #[error(transparent)]
    NoCode(#[from] NoCode),
    #[error(transparent)]
    Tesla(#[from] TeslaError),
    #[error("{} is not a token file; move it away first", .0.display())]
    NotAFile(PathBuf),
    #[error("cannot read {}: {why}", .path.display())]
    Unreadable { path: PathBuf, why: String },
    #[error("cannot write {}: {why}; nothing has changed", .path.display())]
    Unwritable { path: PathBuf, why: String },
    #[error("{0}")]
    Given(String),
    /// v1r: the key waits, and nobody has confirmed it in time.
    #[error(
        "nobody confirmed the key in time. Run this again: it registers the same key once more, and the time \
         begins anew"
    )]
    NotConfirmed,
    /// v1r: the cloud takes the key for confirmed, and no signed question could be asked.
    #[error(
        "Tesla says that the key is confirmed, but that proves nothing. Over the LAN: {lan}. Over Tesla's \
         cloud: {cloud}. Run this again on a machine in the same network, or with --host"
    )]
    Unproven { lan: String, cloud: String },
}

async fn keep(path: &Path, what: &'static str, text: String) -> Result<(), SetUpError> {
    let unwritable = |why: std::io::Error| SetUpError::Unwritable { path: path.into(), why: why.to_string() };
    files::keep(path, what, text).await.map_err(unwritable)
}
