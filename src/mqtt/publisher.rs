//! The actor that keeps the broker informed: follows every gateway, sends what changed, comes back after an
//! outage.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use log::info;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::connect::{Connection, LineError, connect};
use super::line::{Heard, serve};
use super::ordering::Desk;
use super::outage::Outage;
use super::outbox::{Message, Outbox};
use super::publication::{Publication, always_kept};
use super::sent::NoRoom;
use super::sum::Sum;
use crate::board::{Board, Published};
use crate::clock::unix_time;
use crate::control::Control;
use crate::directory::{Directory, Entry};
use crate::model::{Aggregate, BrokerStatus, Snapshot};
use crate::pause::Pause;
use crate::settings::{Layout, MqttSettings};

/// How often is looked for what changes without anybody saying so: data that expires, gateways that come and
/// go.
const ROUND: Duration = Duration::from_secs(1);
/// Values are sent again after this time even if nothing changed, for clients that missed them.
const REFRESH: Duration = Duration::from_secs(60);
/// A Home Assistant that was just born is given this long to listen; a random time, because it asks
/// everybody.
const BIRTH_PAUSE: std::ops::Range<f64> = 1.0..5.0;
/// A connection that lasted so long was a good one: the next pause is the shortest again.
const GOOD_CONNECTION: Duration = Duration::from_secs(60);
/// Orders that come within this are one burst.
const BURST: Duration = Duration::from_millis(50);
/// Goodbyes must be through by then.
const FAREWELL_LIMIT: Duration = Duration::from_millis(1500);

/// Says goodbye to the broker and ends the actor; answered when that is done.
#[derive(Debug, actix::Message)]
#[rtype(result = "()")]
pub(super) struct Farewell;

/// Where the connection stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Line {
    /// None, or none yet.
    Away,
    /// Since then.
    Up(Instant),
}

/// Publishes all gateways to one broker.
pub(super) struct Publisher {
    settings: Arc<MqttSettings>,
    host: String,
    directory: Arc<Directory>,
    /// What others may know of the connection.
    status: Arc<Board<BrokerStatus>>,
    /// Passes orders on.
    desk: Rc<Desk>,
    /// Shared with the connection.
    outbox: Rc<Outbox>,
    /// Filled by the connection.
    heard: Rc<Heard>,
    /// The directory as it was looked at last.
    entries: Arc<Vec<Arc<Entry>>>,
    gateways: Vec<Publication>,
    /// Gateways that are no longer configured, until the broker has forgotten them.
    leaving: Vec<Publication>,
    /// `None` without the second layout.
    sum: Option<Sum>,
    line: Line,
    /// `None` while all is well.
    outage: Option<Outage>,
    /// When the broker is tried again.
    retry: Pause,
    /// Seeded by the owner, so that a test sees the same pauses each time.
    rng: StdRng,
    /// When values are sent again.
    refresh_due: Instant,
    /// When a Home Assistant that was just born gets everything.
    birth_due: Option<Instant>,
    next_round: Instant,
    /// Who waits for the goodbye.
    farewell: Option<oneshot::Sender<()>>,
}

impl Publisher {
    pub fn new(
        settings: MqttSettings,
        host: String,
        directory: Arc<Directory>,
        status: Arc<Board<BrokerStatus>>,
        control: Arc<Control>,
        seed: u64,
    ) -> Self {
        let now = Instant::now();
        let outbox = Outbox::default();
        // A publisher that takes over goes on counting.
        outbox.published.set(status.read().published);
        let (outbox, settings) = (Rc::new(outbox), Arc::new(settings));
        Self {
            sum: (settings.layout == Layout::Both).then(Sum::default),
            desk: Rc::new(Desk::new(settings.clone(), directory.clone(), control, outbox.clone())),
            settings,
            host,
            directory,
            status,
            outbox,
            heard: Rc::default(),
            entries: Arc::default(),
            gateways: Vec::new(),
            leaving: Vec::new(),
            line: Line::Away,
            outage: None,
            retry: Pause::back_off(seed),
            rng: StdRng::seed_from_u64(seed),
            refresh_due: now + REFRESH,
            birth_due: None,
            next_round: now,
            farewell: None,
        }
    }

    fn connect(&mut self, ctx: &mut Context<Self>) {
        let (settings, host) = (self.settings.clone(), self.host.clone());
        let connecting = async move { connect(&settings, &host).await };
        ctx.spawn(connecting.into_actor(self).map(|outcome, actor, ctx| match outcome {
            Ok(connection) => actor.connected(connection, ctx),
            Err(error) => actor.line_ended(Err(error), ctx),
        }));
    }

    fn connected(&mut self, connection: Connection, ctx: &mut Context<Self>) {
        let now = Instant::now();
        let broker = format!("{}:{}", self.host, self.settings.port);
        match self.outage.take() {
            Some(outage) => outage.end(&broker, now),
            None => info!(event = "mqtt_connected"; "MQTT: connected to {broker}"),
        }
        self.line = Line::Up(now);
        self.heard.birth.set(false);
        self.birth_due = None;
        self.doubt_everything();
        let _ = self.greet(now);
        self.publish_changes();
        self.note_status();
        let (settings, outbox, heard) = (self.settings.clone(), self.outbox.clone(), self.heard.clone());
        let serving = async move { serve(connection, &settings, &outbox, &heard).await };
        ctx.spawn(serving.into_actor(self).map(|ended, actor, ctx| actor.line_ended(ended, ctx)));
    }

    /// Gateways first: with us online, whatever the broker holds of them counts.
    fn greet(&mut self, now: Instant) -> Result<(), NoRoom> {
        for gateway in &mut self.gateways {
            gateway.greet(now, &self.settings, &self.outbox)?;
        }
        self.outbox.offer(self.availability("online"));
        Ok(())
    }

    fn availability(&self, payload: &str) -> Message {
        always_kept(format!("{}/availability", self.settings.prefix), payload.to_owned(), &self.settings)
    }

    fn line_ended(&mut self, ended: Result<(), LineError>, ctx: &mut Context<Self>) {
        // What waited will be old by the time somebody takes it; everything is sent afresh then.
        self.outbox.clear();
        if let Some(farewell) = self.farewell.take() {
            let _ = farewell.send(());
            return ctx.stop();
        }
        let now = Instant::now();
        if let Line::Up(since) = std::mem::replace(&mut self.line, Line::Away)
            && since.elapsed() >= GOOD_CONNECTION
        {
            self.retry.succeeded(now);
        }
        if let Err(error) = ended {
            self.note_outage(&error);
        }
        let due = self.retry.failed(now);
        ctx.run_later(due - now, Self::connect);
    }

    fn note_outage(&mut self, error: &LineError) {
        let now = Instant::now();
        match &mut self.outage {
            Some(outage) => outage.goes_on(error, now),
            None => self.outage = Some(Outage::begin(error, now)),
        }
        let (last_error, last_error_at) = (Some(error.to_string()), Some(unix_time()));
        let before = self.status.read();
        self.status.publish(Arc::new(BrokerStatus { last_error, last_error_at, ..(*before).clone() }));
        self.note_status();
    }

    /// Shows the connection as it is now.
    fn note_status(&self) {
        let before = self.status.read();
        let now = BrokerStatus {
            connected: self.line != Line::Away,
            queued: self.outbox.len(),
            published: self.outbox.published.get(),
            last_error: before.last_error.clone(),
            last_error_at: before.last_error_at,
            ..self.settings.initial_status()
        };
        if now != *before {
            self.status.publish(Arc::new(now));
        }
    }

    fn doubt_everything(&mut self) {
        for gateway in &mut self.gateways {
            gateway.doubt_everything(&self.settings);
        }
        for gateway in &mut self.leaving {
            gateway.doubt_everything(&self.settings);
        }
        if let Some(sum) = &mut self.sum {
            sum.doubt_everything(&self.settings);
        }
        self.refresh_due = Instant::now() + REFRESH;
    }

    /// Sends what changed, as far as there is room; the rest is sent in a later round.
    fn publish_changes(&mut self) {
        if self.line == Line::Away || self.farewell.is_some() {
            return;
        }
        let _ = self.try_publish(Instant::now());
    }

    fn try_publish(&mut self, now: Instant) -> Result<(), NoRoom> {
        for gateway in &mut self.leaving {
            gateway.withdraw(&self.settings, &self.outbox)?;
        }
        for place in 0..self.gateways.len() {
            if self.gateways[place].publish(now, &self.settings, &self.outbox).is_err() {
                // The others come first next time, so that a slow broker hears of every gateway.
                self.gateways.rotate_left(place + 1);
                return Err(NoRoom);
            }
        }
        if let Some(sum) = &mut self.sum {
            let (aggregate, snapshots) = (self.directory.aggregate.read(), self.directory.snapshots());
            sum.publish(&aggregate, &snapshots, &self.settings, &self.outbox)?;
        }
        Ok(())
    }

    /// Follows the directory when the configuration was read again.
    fn follow_directory(&mut self) {
        let entries = self.directory.entries();
        if Arc::ptr_eq(&entries, &self.entries) {
            return;
        }
        let mut before = std::mem::take(&mut self.gateways);
        for entry in entries.iter() {
            let known = before.iter().position(|gateway| Arc::ptr_eq(&gateway.entry, entry));
            self.gateways.push(match known {
                Some(place) => before.swap_remove(place),
                None => {
                    self.leaving.retain(|gateway| gateway.entry.id != entry.id);
                    let mut gateway = Publication::new(entry.clone());
                    gateway.doubt_everything(&self.settings);
                    gateway
                }
            });
        }
        self.leaving.append(&mut before);
        self.entries = entries;
    }

    /// Gives each gateway what the broker holds of it.
    fn recall_announcements(&mut self) {
        for topic in self.heard.announcements.take() {
            let Some((_, rest)) = topic.split_once("/pypowerwall_") else { continue };
            let of_gateway = |gateway: &&mut Publication| {
                rest.strip_prefix(gateway.entry.id.as_str()).is_some_and(|suffix| suffix.starts_with('_'))
            };
            // `home_2_battery` may be of `home` or of `home_2`: the longer id knows better.
            let known = self.gateways.iter_mut().filter(of_gateway);
            if let Some(gateway) = known.max_by_key(|gateway| gateway.entry.id.len()) {
                gateway.recall(topic, &self.settings);
            }
        }
    }

    /// Takes orders as they come. What comes within a moment is taken together, so that of a slider that is
    /// being moved only the last position is ordered.
    fn await_orders(&mut self, ctx: &mut Context<Self>) {
        let heard = self.heard.clone();
        let moment = async move {
            heard.ordered.notified().await;
            sleep(BURST).await;
        };
        ctx.spawn(moment.into_actor(self).map(|(), actor, ctx| {
            for order in actor.heard.orders.take() {
                let desk = actor.desk.clone();
                ctx.spawn(async move { desk.take(order).await }.into_actor(actor));
            }
            actor.await_orders(ctx);
        }));
    }

    fn look_around(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        self.follow_directory();
        self.recall_announcements();
        if self.heard.birth.take() {
            info!(event = "mqtt_birth"; "MQTT: Home Assistant has started; publishing everything");
            self.birth_due = Some(now + Duration::from_secs_f64(self.rng.random_range(BIRTH_PAUSE)));
        }
        if self.birth_due.is_some_and(|due| due <= now) {
            self.birth_due = None;
            self.doubt_everything();
        }
        if self.refresh_due <= now {
            self.refresh_due = now + REFRESH;
            self.gateways.iter_mut().for_each(Publication::doubt_values);
            if let Some(sum) = &mut self.sum {
                sum.doubt_everything(&self.settings);
            }
        }
        self.publish_changes();
        // Everything that was said to the broker has arrived, so it has forgotten who left.
        if self.line != Line::Away && self.outbox.len() == 0 {
            self.leaving.clear();
        }
        self.note_status();
        self.arm_next_round(ctx);
    }

    /// Rounds lie at absolute times; those missed while the thread was held up are skipped.
    fn arm_next_round(&mut self, ctx: &mut Context<Self>) {
        let now = Instant::now();
        self.next_round = (self.next_round + ROUND).max(now);
        ctx.run_later(self.next_round - now, Self::look_around);
    }
}

impl Actor for Publisher {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.directory.follow(ctx.address().recipient());
        self.follow_directory();
        if self.sum.is_some() {
            self.directory.aggregate.subscribe(ctx.address().recipient());
        }
        self.note_status();
        self.connect(ctx);
        if self.settings.controls.any() {
            self.await_orders(ctx);
        }
        self.arm_next_round(ctx);
    }
}

impl Handler<Published<Snapshot>> for Publisher {
    type Result = ();

    /// The message only says that something changed; the boards say what.
    fn handle(&mut self, _: Published<Snapshot>, _: &mut Self::Context) {
        self.publish_changes();
    }
}

impl Handler<Published<Aggregate>> for Publisher {
    type Result = ();

    fn handle(&mut self, _: Published<Aggregate>, _: &mut Self::Context) {
        self.publish_changes();
    }
}

impl Handler<Farewell> for Publisher {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Farewell, ctx: &mut Self::Context) -> Self::Result {
        if self.line == Line::Away {
            ctx.stop();
            return Box::pin(std::future::ready(()));
        }
        self.outbox.clear();
        for gateway in &self.gateways {
            self.outbox.offer(gateway.availability(false, &self.settings));
        }
        self.outbox.offer(self.availability("offline"));
        self.outbox.close();
        // A connection that is cut makes the broker publish the last will instead.
        ctx.run_later(FAREWELL_LIMIT, |_, ctx| ctx.stop());
        let (said, is_said) = oneshot::channel();
        self.farewell = Some(said);
        Box::pin(async move { drop(is_said.await) })
    }
}
