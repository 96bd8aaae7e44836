//! Orders over TEDAPI: what is sent for each over a channel that takes orders, and how it is read back.
//!
//! Each is sent once. Settings are leaves of the configuration; islanding, dispatch and max backup are
//! messages of their own, of which the first two show in the readings.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};

use super::TedapiLink;
use super::answers::TedapiAnswers;
use super::channel::{Channel, Commands, Question};
use super::commands;
use super::configuration::{Read, judge};
use super::frames::{self, Target};
use super::wire::{BackupEvent, Backups, Envelope, NamedBackup, SiteMessage};
use crate::clock::unix_time;
use crate::link::LinkError;
use crate::link::order::{Carried, End, ReadBack};
use crate::link::silence;
use crate::model;
use crate::model::order::{BackupWindow, MaxBackup};
use crate::model::{Adjustments, Means, Obstacle, Order, OrderKind, Outcome, Proof, Setpoint, Unable};

const READ: &str = "the configuration read";
const WRITE: &str = "the change of the configuration";
const LIST: &str = "the list of backup events";
/// A gateway drops what is written of the first, and has no place for the others.
const CLOUD_ONLY: &str = "storm watch, the reserve for cars off grid and the tariff are kept in Tesla's \
    cloud: they go over FleetAPI (fleetapi)";
/// A backup event that was to begin at once is this old, in seconds, when it is read back for the last time.
const JUST_BEGUN: i64 = 600;

/// More events than any gateway lists.
const MOST_EVENTS: usize = 50;
/// How long an order that the firmware does not have is not offered again: firmware changes.
const LACKING: Duration = Duration::from_secs(3600);

/// A gateway that takes orders, and when an order to it must have come to an end.
struct Desk<'a> {
    commands: &'a mut dyn Commands,
    din: &'a str,
    ends: Instant,
}

impl Desk<'_> {
    fn question<'a>(din: &'a str, payload: Envelope, what: &'a str) -> Question<'a> {
        Question { din, target: Target::Gateway { din }, payload, what }
    }

    /// Reads what must be known first. What is left of the time for the order itself is at least as much
    /// again.
    async fn read(&mut self, payload: Envelope, what: &str) -> Result<Bytes, LinkError> {
        let half = self.ends.saturating_duration_since(Instant::now()) / 2;
        let read = self.commands.read(Self::question(self.din, payload, what));
        timeout(half, read).await.unwrap_or(Err(LinkError::Timeout(half)))
    }

    /// Sends, once. `part`: of how many that are left to be sent.
    async fn write(&mut self, payload: Envelope, what: &str, part: u32) -> Result<Bytes, LinkError> {
        let left = self.ends.saturating_duration_since(Instant::now()) / part;
        let write = self.commands.write(Self::question(self.din, payload, what));
        timeout(left, write).await.unwrap_or(Err(LinkError::Timeout(left)))
    }

    /// Changes settings in the configuration.
    async fn configure(&mut self, asked: &Setpoint) -> Carried {
        let read = self.read(frames::config(), READ).await.and_then(frames::config_file);
        let (blob, hash) = match read {
            Ok(read) => read,
            Err(error) => return Carried::unread("the configuration", error),
        };
        let prepared = Read::of(blob, hash, self.din).and_then(|read| {
            let present = read.present()?;
            Ok((read.with(asked)?, read.hash, present))
        });
        let (changed, hash, present) = match prepared {
            Ok(prepared) => prepared,
            Err(doubt) => {
                return Carried::not_sent("doubtful", format!("the configuration is left alone: {doubt}"));
            }
        };
        if asked.compare(&present).instead.is_empty() {
            let already = "the configuration had it already; nothing was sent";
            return Carried::outcome(Outcome::Stored(already.into())).after(present);
        }
        let carried = match self.write(frames::config_update(changed, hash), WRITE, 1).await {
            Ok(answer) => judge(frames::config_updated(answer)),
            Err(error) => Carried::failed(error),
        };
        carried.after(present)
    }

    /// Sends a message of its own.
    async fn command(
        &mut self,
        payload: Envelope,
        order: &Order,
        part: u32,
        is_acknowledged: fn(&SiteMessage) -> bool,
    ) -> Carried {
        let what = order.to_string();
        match self.write(payload, &what, part).await {
            Ok(answer) => Carried::outcome(commands::judge(answer, order, is_acknowledged)),
            Err(error) => Carried::failed(error),
        }
    }

    async fn cancel_backup(&mut self, part: u32) -> Carried {
        let order = Order::MaxBackup(MaxBackup::Cancel);
        self.command(commands::cancel_backup(), &order, part, |message| message.backup_cancelled.is_some())
            .await
    }

    /// A manual event that is there must be cancelled first.
    async fn max_backup(&mut self, backup: MaxBackup) -> Carried {
        let list = self.read(commands::list_backups(), LIST).await.and_then(commands::backups);
        // Also one that has ended: gateways list those until they are cancelled.
        let is_listed = match list {
            Ok(list) => list.manual.is_some(),
            Err(error) => return Carried::unread("the list of backup events", error),
        };
        let window = match backup {
            MaxBackup::Schedule(window) => window,
            MaxBackup::Cancel if is_listed => return self.cancel_backup(1).await,
            MaxBackup::Cancel => {
                let already = "the gateway has no manual backup event; nothing was sent";
                return Carried::outcome(Outcome::Stored(already.into()));
            }
        };
        if is_listed {
            let cancelled = self.cancel_backup(2).await;
            if !cancelled.is_accepted() {
                return cancelled;
            }
        }
        let order = Order::MaxBackup(backup);
        let payload = commands::schedule_backup(window, unix_time() as i64);
        let scheduled = self.command(payload, &order, 1, |message| message.backup_scheduled.is_some()).await;
        match is_listed {
            true => scheduled.half_done("the max backup that was there before has been cancelled"),
            false => scheduled,
        }
    }
}

impl<C: Channel> TedapiLink<C> {
    pub(super) fn means(&self, kind: OrderKind) -> Result<Means, Unable> {
        if matches!(kind, OrderKind::StormWatch | OrderKind::VehicleReserve | OrderKind::Tariff) {
            return Err(Obstacle::NoLink.because(CLOUD_ONLY));
        }
        let link = self.channel.takes_orders()?;
        if self.known_din().is_none() {
            return Err(Obstacle::NotReached.because("the gateway has not reported its DIN yet"));
        }
        if self.payloads.lacks_reserve() {
            return Err(Obstacle::NoBattery.because(
                "the gateway's configuration has no backup reserve: it has no battery, or none is set up",
            ));
        }
        let lacks = |(lacked, since): &(OrderKind, Instant)| *lacked == kind && since.elapsed() < LACKING;
        if self.lacks.iter().any(lacks) {
            let why = "the gateway's firmware does not have this, as it said within the last hour";
            return Err(Obstacle::Firmware.because(why));
        }
        let proves = match kind {
            OrderKind::Islanding | OrderKind::Dispatch => Proof::InEffect,
            OrderKind::Resume => Proof::Accepted,
            _ => Proof::Stored,
        };
        Ok(Means { link, proves })
    }

    /// The DIN, unless another gateway may stand at the address by now.
    pub(super) fn known_din(&self) -> Option<String> {
        self.payloads.din().filter(|_| self.confirmed).map(|din| din.to_string())
    }

    pub(super) async fn carry_out_once(&mut self, order: &Order, limit: Duration) -> Carried {
        let carried = self.send(order, limit).await;
        if let End::Outcome(Outcome::Refused(note)) = &carried.end
            && note.kind == Obstacle::Firmware.word()
        {
            self.lacks.retain(|(lacked, _)| *lacked != order.kind());
            self.lacks.push((order.kind(), Instant::now()));
        }
        carried
    }

    async fn send(&mut self, order: &Order, limit: Duration) -> Carried {
        let ends = Instant::now() + limit;
        if let Err(unable) = self.means(order.kind()) {
            return Carried::unable(unable);
        }
        let Some(din) = self.known_din() else {
            return Carried::not_sent("not_reached", "its DIN is not known");
        };
        let commands = match self.channel.commands() {
            Ok(commands) => commands,
            Err(unable) => return Carried::unable(unable),
        };
        let mut desk = Desk { commands, din: &din, ends };
        match order {
            Order::Islanding(way) => {
                let is_done = |message: &SiteMessage| {
                    message.island_mode_set.as_ref().is_some_and(|set| set.result == 1)
                };
                desk.command(commands::islanding(*way), order, 1, is_done).await
            }
            Order::Dispatch(dispatch) => {
                let payload = commands::dispatch(Some((dispatch.watts(), dispatch.seconds())));
                desk.command(payload, order, 1, |message| message.dispatched.is_some()).await
            }
            Order::Resume => {
                desk.command(commands::dispatch(None), order, 1, |message| message.dispatched.is_some()).await
            }
            Order::MaxBackup(backup) => desk.max_backup(*backup).await,
            _ => match order.setpoint() {
                Some(asked) => desk.configure(&asked).await,
                None => Carried::not_sent("charge_unknown", "the charge that is to be held is not known"),
            },
        }
    }

    pub(super) async fn read_back_once(&mut self, order: &Order) -> ReadBack {
        let Some(din) = self.known_din() else { return ReadBack::default() };
        match order {
            Order::MaxBackup(backup) => self.read_backups(*backup, &din).await,
            // Whatever comes of them shows in the readings.
            Order::Islanding(_) | Order::Dispatch(_) | Order::Resume => match self.poll_once().await {
                Ok(source) => {
                    let shown = order.shown_in(&source.readings(&Adjustments::default()));
                    // Of a dispatch, only readings from before it was sent can say whether that is news.
                    let shows = shown.filter(|_| order.is_state_of_contactor());
                    ReadBack { shows, source: Some(source), ..ReadBack::default() }
                }
                Err(error) => ReadBack::failed(error),
            },
            _ => self.read_config(order, &din).await,
        }
    }

    /// Reads the list of backup events as slow data. Whether it is new: that it cannot be read is nobody's
    /// problem, but a gateway that asks for a cool-down gets it.
    pub(super) async fn list_backups(&mut self, din: &str) -> Result<bool, LinkError> {
        self.backups.begin(Instant::now());
        let Ok(commands) = self.channel.commands() else { return Ok(false) };
        let question = Desk::question(din, commands::list_backups(), LIST);
        let list = commands.read(question).await.and_then(commands::backups);
        let now = Instant::now();
        match list {
            Ok(list) => {
                self.backups.succeeded_for(self.pace.backups, now);
                self.payloads.set_backup_events(events(list));
                Ok(true)
            }
            Err(error) => {
                self.backups.failed(now);
                let id = self.gateway.as_str();
                log::debug!(gateway = id; "gateway {id}: {LIST}: {error}");
                if silence::asked(&error).is_some() { Err(error) } else { Ok(false) }
            }
        }
    }

    async fn read_backups(&mut self, asked: MaxBackup, din: &str) -> ReadBack {
        let question = Desk::question(din, commands::list_backups(), LIST);
        let list = match self.channel.commands() {
            Ok(commands) => commands.read(question).await.and_then(commands::backups),
            Err(_) => return ReadBack::default(),
        };
        let manual = match list {
            Ok(list) => {
                let manual = manual(&list);
                self.payloads.set_backup_events(events(list));
                manual
            }
            Err(error) => return ReadBack::failed(error),
        };
        let now = unix_time() as i64;
        let (is_so, instead) = match (asked, &manual) {
            (MaxBackup::Cancel, None) => (true, String::new()),
            (MaxBackup::Cancel, Some(_)) => (false, "the gateway still lists a manual backup event".into()),
            (MaxBackup::Schedule(_), None) => (false, "the gateway lists no manual backup event".into()),
            (MaxBackup::Schedule(window), Some(event)) => {
                let instead = format!("the gateway lists a manual backup event of {} s", event.seconds);
                (is_that(window, event, now), instead)
            }
        };
        let stored = || Outcome::Stored("the gateway's list of backup events reads back as asked".into());
        let (shows, instead) = (is_so.then(stored), (!is_so).then_some(instead));
        ReadBack { shows, instead, source: Some(self.source()), ..ReadBack::default() }
    }

    async fn read_config(&mut self, order: &Order, din: &str) -> ReadBack {
        let question = Desk::question(din, frames::config(), READ);
        let answer = self.channel.ask(question).await.and_then(frames::config_file);
        let (blob, hash) = match answer {
            Ok(answer) => answer,
            Err(error) => return ReadBack::failed(error),
        };
        let read = Read::of(blob.clone(), hash, din).and_then(|read| read.present());
        if let Err(error) = self.take(blob, READ, TedapiAnswers::accept_config).await {
            return ReadBack::failed(error);
        }
        let now = Instant::now();
        self.config.succeeded_for(self.pace.config, now);
        self.know_units(now);
        let shows = match read {
            Ok(present) => ReadBack::of(order, present, "the configuration"),
            Err(doubt) => ReadBack {
                instead: Some(format!("the configuration cannot be judged: {doubt}")),
                ..ReadBack::default()
            },
        };
        ReadBack { source: Some(self.source()), ..shows }
    }
}

/// The list, as everybody else sees it.
fn events(list: Backups) -> model::BackupEvents {
    let event = |event: BackupEvent| model::BackupEvent {
        start: event.start.map_or(0, |start| start.seconds),
        seconds: event.seconds,
        priority: event.priority,
    };
    let named = |named: NamedBackup| {
        Some(model::NamedBackup { id: named.id, name: named.name, event: event(named.window?) })
    };
    model::BackupEvents {
        manual: list.manual.and_then(|manual| manual.window).map(event),
        others: list.others.into_iter().take(MOST_EVENTS).filter_map(named).collect(),
    }
}

/// The manual event in a list, unless it has ended: gateways list those until they are cancelled.
fn manual(list: &Backups) -> Option<BackupEvent> {
    let event = list.manual.as_ref()?.window.clone()?;
    let ends = event.start.as_ref().map_or(0, |start| start.seconds).saturating_add(event.seconds.into());
    (ends > unix_time() as i64).then_some(event)
}

fn is_that(asked: BackupWindow, event: &BackupEvent, now: i64) -> bool {
    let start = event.start.as_ref().map_or(0, |start| start.seconds);
    let is_start = match asked.start() {
        Some(asked) => start == asked,
        None => (now - JUST_BEGUN..=now + JUST_BEGUN).contains(&start),
    };
    is_start && event.seconds == asked.seconds()
}
