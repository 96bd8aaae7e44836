//! Orders: what may be asked of a gateway, what it can take, and what came of it.
//!
//! An outcome is claimed no further than its evidence goes: a gateway that acknowledges has accepted, a
//! configuration that reads back as asked is stored, and only what the gateway is seen to do is in effect.

mod capability;
mod evidence;
mod lease;
mod mark;
mod outcome;
mod presence;
mod record;
mod request;
mod setpoint;
mod tariff;
mod values;

use std::fmt;

pub use capability::{Capability, Means, Obstacle, Proof, Unable};
pub use lease::{Lease, LeaseEnd, LeaseState};
pub use mark::{Mark, Whole};
pub use outcome::{Outcome, Standing};
pub use request::{Misread, Request};
pub use setpoint::{Comparison, Present, Setpoint, Stands};
pub use tariff::NewTariff;
use values::words;
pub use values::{BackupWindow, Dispatch, ExportRule, Islanding, MaxBackup, Mode, Reserve};

/// Identifies one order for ever: 128 random bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderId(u128);

impl OrderId {
    /// `bits`: random ones.
    pub fn new(bits: u128) -> Self {
        Self(bits)
    }

    pub fn bits(self) -> u128 {
        self.0
    }

    /// Reads what [`fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_plain.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A change somebody asks of a gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// How much of the battery is kept for an outage.
    Reserve(Reserve),
    /// The present charge becomes the reserve. The gateway's actor makes it an [`Order::Reserve`].
    ReserveHold,
    Mode(Mode),
    /// Several settings, in one order.
    Operation(Setpoint),
    /// Whether the battery may charge from the grid.
    Charging(bool),
    Export(ExportRule),
    MaxBackup(MaxBackup),
    /// Whether the battery is filled when a storm is expected, as Tesla decides.
    StormWatch(bool),
    /// The charge below which cars get nothing from the battery during an outage.
    VehicleReserve(Reserve),
    Tariff(NewTariff),
    Islanding(Islanding),
    Dispatch(Dispatch),
    /// Ends a dispatch before its time.
    Resume,
}

impl Order {
    /// The order that changes these settings: one of its own for one of them.
    pub fn of_setpoint(setpoint: Setpoint) -> Self {
        match setpoint {
            Setpoint { reserve: Some(reserve), mode: None, charging: None, export: None } => {
                Self::Reserve(reserve)
            }
            Setpoint { reserve: None, mode: Some(mode), charging: None, export: None } => Self::Mode(mode),
            Setpoint { reserve: None, mode: None, charging: Some(allowed), export: None } => {
                Self::Charging(allowed)
            }
            Setpoint { reserve: None, mode: None, charging: None, export: Some(rule) } => Self::Export(rule),
            several => Self::Operation(several),
        }
    }

    pub fn kind(&self) -> OrderKind {
        match self {
            Self::Reserve(_) => OrderKind::Reserve,
            Self::ReserveHold => OrderKind::ReserveHold,
            Self::Mode(_) => OrderKind::Mode,
            Self::Operation(_) => OrderKind::Operation,
            Self::Charging(_) => OrderKind::Charging,
            Self::Export(_) => OrderKind::Export,
            Self::MaxBackup(_) => OrderKind::MaxBackup,
            Self::StormWatch(_) => OrderKind::StormWatch,
            Self::VehicleReserve(_) => OrderKind::VehicleReserve,
            Self::Tariff(_) => OrderKind::Tariff,
            Self::Islanding(_) => OrderKind::Islanding,
            Self::Dispatch(_) => OrderKind::Dispatch,
            Self::Resume => OrderKind::Resume,
        }
    }

    /// The settings that it changes, if it changes settings.
    pub fn setpoint(&self) -> Option<Setpoint> {
        let none = Setpoint::default();
        Some(match self {
            Self::Reserve(reserve) => Setpoint { reserve: Some(*reserve), ..none },
            Self::Mode(mode) => Setpoint { mode: Some(*mode), ..none },
            Self::Charging(allowed) => Setpoint { charging: Some(*allowed), ..none },
            Self::Export(rule) => Setpoint { export: Some(*rule), ..none },
            Self::Operation(setpoint) => *setpoint,
            Self::ReserveHold
            | Self::MaxBackup(_)
            | Self::StormWatch(_)
            | Self::VehicleReserve(_)
            | Self::Tariff(_)
            | Self::Islanding(_)
            | Self::Dispatch(_)
            | Self::Resume => return None,
        })
    }

    /// Whether what `other` has brought about is replaced by this.
    pub fn replaces(&self, other: &Self) -> bool {
        match (self.setpoint(), other.setpoint()) {
            (Some(this), Some(other)) => !other.within(&this).is_empty(),
            (None, None) => self.kind().subject() == other.kind().subject(),
            _ => false,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(setpoint) = self.setpoint() {
            return setpoint.fmt(f);
        }
        match self {
            Self::ReserveHold => f.write_str("backup reserve at the present charge"),
            Self::MaxBackup(MaxBackup::Cancel) => f.write_str("cancel max backup"),
            Self::MaxBackup(MaxBackup::Schedule(window)) => {
                write!(f, "max backup for {} s", window.seconds())?;
                window.start().map_or(Ok(()), |start| write!(f, " from Unix time {start} on"))
            }
            Self::StormWatch(true) => f.write_str("storm watch on"),
            Self::StormWatch(false) => f.write_str("storm watch off"),
            Self::VehicleReserve(reserve) => write!(f, "off-grid vehicle reserve {reserve}"),
            Self::Tariff(tariff) => {
                f.write_str("tariff")?;
                tariff.name().map_or(Ok(()), |name| write!(f, " {name:?}"))
            }
            Self::Islanding(Islanding::OffGrid) => f.write_str("disconnect from the grid"),
            Self::Islanding(Islanding::OnGrid) => f.write_str("reconnect to the grid"),
            Self::Dispatch(dispatch) => {
                write!(f, "battery at {} W for {} s", dispatch.watts(), dispatch.seconds())
            }
            _ => f.write_str("resume normal operation of the battery"),
        }
    }
}

words! {
    /// What an order is about, without its value. The words are those of routes, topics and the journal.
    OrderKind {
        Reserve = "reserve",
        ReserveHold = "reserve_hold",
        Mode = "mode",
        Operation = "operation",
        Charging = "grid_charging",
        Export = "grid_export",
        MaxBackup = "max_backup",
        StormWatch = "storm_watch",
        VehicleReserve = "vehicle_reserve",
        Tariff = "tariff",
        Islanding = "islanding",
        Dispatch = "dispatch",
        Resume = "resume",
    }
}

impl OrderKind {
    /// Whether an order of this kind may hold for a time, and be undone after it.
    pub fn takes_lease(self) -> bool {
        match self {
            Self::Reserve
            | Self::ReserveHold
            | Self::Mode
            | Self::Operation
            | Self::Charging
            | Self::Export => true,
            Self::MaxBackup
            | Self::StormWatch
            | Self::VehicleReserve
            | Self::Tariff
            | Self::Islanding
            | Self::Dispatch
            | Self::Resume => false,
        }
    }

    /// Orders about the same subject replace each other.
    fn subject(self) -> Self {
        match self {
            Self::Resume => Self::Dispatch,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::AppPercent;

    #[test]
    fn an_order_replaces_what_is_about_the_same() {
        let reserve = Order::Reserve(Reserve::new(AppPercent(20.0)).unwrap());
        let mode = Order::Mode(Mode::Backup);
        let both = Order::of_setpoint(Setpoint { mode: Some(Mode::Backup), ..reserve.setpoint().unwrap() });
        assert!(both.replaces(&reserve) && both.replaces(&mode) && mode.replaces(&both));
        assert!(!reserve.replaces(&mode) && !reserve.replaces(&Order::Resume));
        let dispatch = Order::Dispatch(Dispatch::new(0.0, 60).unwrap());
        assert!(Order::Resume.replaces(&dispatch) && dispatch.replaces(&Order::Resume));
        assert!(!Order::Islanding(Islanding::OnGrid).replaces(&dispatch));
    }

    #[test]
    fn one_setting_is_an_order_of_its_own_kind() {
        for order in [
            Order::Reserve(Reserve::new(AppPercent(20.0)).unwrap()),
            Order::Mode(Mode::Autonomous),
            Order::Charging(false),
            Order::Export(ExportRule::Nothing),
        ] {
            assert_eq!(Order::of_setpoint(order.setpoint().unwrap()), order);
        }
    }

    proptest! {
        #[test]
        fn an_id_reads_back(bits: u128) {
            let id = OrderId::new(bits);
            prop_assert_eq!(OrderId::parse(&id.to_string()), Some(id));
        }

        #[test]
        fn other_text_is_no_id(text in "[0-9a-g+]{0,40}") {
            if let Some(id) = OrderId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
