//! What a form that asks for tokens travels on, where it may be sent once only. [`super::http2`] is the wire
//! of the service; tests have others.

use futures_util::future::LocalBoxFuture;

use super::error::TeslaError;
use crate::link::https::Answer;

/// A connection on which tokens can be asked for, once.
pub trait TokenWire {
    /// Posts a form.
    fn post(&mut self, path: &'static str, form: String) -> LocalBoxFuture<'_, Result<Answer, NotPosted>>;
}

/// Why there is no answer to a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotPosted {
    /// What it holds has certainly not left this machine, or has not been looked at.
    Unsent(TeslaError),
    /// It has, or may have; why.
    Lost(String),
}
