//! A family of samples with some for each gateway, as an entry of a list: so that a page can be written
//! family by family, and within each gateway by gateway, with a pause anywhere.

use super::Gateway;
use super::exposition::{Family, Kind};

type Put = Box<dyn Fn(&mut Family<'_>, &Gateway<'_>) + Send + Sync>;

/// One family.
pub(super) struct Series {
    pub kind: Kind,
    pub name: &'static str,
    pub help: &'static str,
    /// Writes the samples of one gateway.
    pub put: Put,
}

pub(super) fn series(
    kind: Kind,
    name: &'static str,
    help: &'static str,
    put: impl Fn(&mut Family<'_>, &Gateway<'_>) + Send + Sync + 'static,
) -> Series {
    Series { kind, name, help, put: Box::new(put) }
}

pub(super) fn gauge(
    name: &'static str,
    help: &'static str,
    put: impl Fn(&mut Family<'_>, &Gateway<'_>) + Send + Sync + 'static,
) -> Series {
    series(Kind::Gauge, name, help, put)
}

pub(super) fn counter(
    name: &'static str,
    help: &'static str,
    put: impl Fn(&mut Family<'_>, &Gateway<'_>) + Send + Sync + 'static,
) -> Series {
    series(Kind::Counter, name, help, put)
}
