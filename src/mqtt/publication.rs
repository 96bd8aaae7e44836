//! One gateway as the broker and Home Assistant see it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::control_entities::{self, ControlEntity};
use super::controls;
use super::entities::{Announcement, Entity, entities};
use super::outbox::{Message, Outbox};
use super::sent::{NoRoom, Sent};
use super::values::Values;
use crate::directory::Entry;
use crate::model::{Freshness, GatewayFacts, Snapshot, Telemetry};
use crate::settings::MqttSettings;

/// A part of a site that the gateway has not reported for so long, while it reported others, is gone: its
/// entities are removed. Less would remove them whenever a unit is switched off for repair.
const GONE_AFTER: Duration = Duration::from_secs(3600);
/// Between two polls, no more than this counts: an outage says nothing about a part.
const LONGEST_STEP: Duration = Duration::from_secs(300);
/// The firmware is known a little after the first readings; an announcement waits for it, but not for ever.
const FIRMWARE_PATIENCE: Duration = Duration::from_secs(30);
/// More entities than any site has.
const MOST_ENTITIES: usize = 1_000;
/// What Home Assistant takes for "unknown"; it would ignore an empty payload and go on showing the old value.
const UNKNOWN: &str = "None";

/// An entity and when, on the clock of [`Publication::lived`], the gateway last reported what it shows.
struct Known {
    entity: Entity,
    seen: Duration,
}

/// What is known of one gateway here, and what of it the broker has been sent.
pub(super) struct Publication {
    pub entry: Arc<Entry>,
    values: Sent,
    /// Of the entities that take orders.
    availabilities: Sent,
    announcements: Sent,
    /// In the order in which they became known: those of the gateway itself come first.
    entities: Vec<Known>,
    /// For how long the gateway has been reporting its parts.
    lived: Duration,
    /// When it reported them last.
    learned: Option<Instant>,
    /// Announcements of an earlier run that the broker still holds.
    recalled: BTreeSet<String>,
    /// Orders whose entities are announced: those that the gateway could take at some time. None is removed,
    /// because a gateway that cannot take them now may be able to in a minute.
    controls: BTreeSet<&'static str>,
    /// What the announcements say of the device.
    name: String,
    firmware: Option<String>,
    /// The gateway that reported it.
    din: Option<String>,
    /// Since when there are entities to announce.
    known_since: Option<Instant>,
    /// Whether announcements have to be looked through.
    announce: bool,
    /// The snapshot that was sent completely.
    shown: Option<(u64, Freshness)>,
}

impl Publication {
    pub fn new(entry: Arc<Entry>) -> Self {
        Self {
            entry,
            values: Sent::default(),
            availabilities: Sent::default(),
            announcements: Sent::default(),
            entities: Vec::new(),
            lived: Duration::ZERO,
            learned: None,
            recalled: BTreeSet::new(),
            controls: BTreeSet::new(),
            name: String::new(),
            firmware: None,
            din: None,
            known_since: None,
            announce: false,
            shown: None,
        }
    }

    /// Everything has to be sent again: to a new connection, or to a Home Assistant that was just born.
    pub fn doubt_everything(&mut self, settings: &MqttSettings) {
        self.values.doubt();
        self.availabilities.doubt();
        self.announcements.doubt();
        let facts = &self.entry.board.read().gateway;
        for topic in self.announcement(facts, settings).foreign_topics(settings.controls) {
            self.announcements.suspect(topic);
        }
        self.announce = true;
        self.shown = None;
    }

    /// The values have to be sent again.
    pub fn doubt_values(&mut self) {
        self.values.doubt();
        self.shown = None;
    }

    /// Sends what changed.
    pub fn publish(&mut self, now: Instant, settings: &MqttSettings, outbox: &Outbox) -> Result<(), NoRoom> {
        let snapshot = self.entry.board.read();
        let freshness = snapshot.freshness(now);
        let shown = (snapshot.sequence, freshness);
        let waits_for_firmware = self.announce && self.firmware.is_none();
        if self.shown == Some(shown) && !waits_for_firmware {
            return Ok(());
        }
        let telemetry = snapshot.telemetry(now).cloned();
        if settings.discovery {
            if let Some(telemetry) = &telemetry {
                self.learn(&snapshot, telemetry, now);
            }
            self.learn_controls(&snapshot, settings);
            self.put_announcements(&snapshot.gateway, now, settings, outbox)?;
        }
        self.put_values(&snapshot.gateway, freshness, telemetry.as_deref(), settings, outbox)?;
        self.put_controls(&snapshot, settings, outbox)?;
        self.shown = Some(shown);
        Ok(())
    }

    /// Keeps the list of entities. One poll that does not report a part says nothing about the part.
    fn learn(&mut self, snapshot: &Snapshot, telemetry: &Telemetry, now: Instant) {
        let facts = &snapshot.gateway;
        let din = telemetry.readings.din.as_ref();
        let is_other = din.zip(self.din.as_ref()).is_some_and(|(din, known)| din != known);
        let remembered = self.firmware.as_ref().filter(|_| !is_other);
        let firmware = telemetry.readings.firmware.as_ref().or(remembered);
        if self.name != facts.name || self.firmware.as_ref() != firmware {
            self.name.clone_from(&facts.name);
            self.firmware = firmware.cloned();
            self.announce = true;
        }
        self.din = din.or(self.din.as_ref()).cloned();
        self.known_since.get_or_insert(now);
        let learned = self.learned.replace(now).unwrap_or(now);
        self.lived += now.saturating_duration_since(learned).min(LONGEST_STEP);
        for entity in entities(facts, telemetry.site()) {
            match self.entities.iter().position(|known| known.entity.is_same(&entity)) {
                Some(place) => {
                    let known = &mut self.entities[place];
                    known.seen = self.lived;
                    if known.entity != entity {
                        known.entity = entity;
                        self.announce = true;
                    }
                }
                None if self.entities.len() < MOST_ENTITIES => {
                    self.entities.push(Known { entity, seen: self.lived });
                    self.announce = true;
                }
                None => {}
            }
        }
        let before = self.entities.len();
        self.entities.retain(|known| self.lived - known.seen < GONE_AFTER);
        self.announce |= self.entities.len() < before;
        if self.lived >= GONE_AFTER && !self.recalled.is_empty() {
            // Those that are still there are announced under the same topics.
            std::mem::take(&mut self.recalled)
                .into_iter()
                .for_each(|topic| self.announcements.suspect(topic));
            self.announce = true;
        }
    }

    /// Notes what the gateway can be ordered to do, among what the operator lets be ordered.
    fn learn_controls(&mut self, snapshot: &Snapshot, settings: &MqttSettings) {
        for capability in snapshot.health.capabilities.iter().filter(|capability| capability.by.is_ok()) {
            if controls::is_allowed(settings.controls, capability.order) {
                self.announce |= self.controls.insert(capability.order.word());
            }
        }
    }

    /// Says which of the announced orders the gateway can take now.
    fn put_controls(
        &mut self,
        snapshot: &Snapshot,
        settings: &MqttSettings,
        outbox: &Outbox,
    ) -> Result<(), NoRoom> {
        for kind in controls::KINDS.iter().filter(|kind| self.controls.contains(kind.word())) {
            let mut capabilities = snapshot.health.capabilities.iter();
            let can = capabilities.any(|capability| capability.order == *kind && capability.by.is_ok());
            let topic = controls::topic(&settings.prefix, &self.entry.id, *kind, "availability");
            let payload = if can { "online" } else { "offline" };
            self.availabilities.say(always_kept(topic, payload.to_owned(), settings), outbox)?;
        }
        Ok(())
    }

    /// The broker holds an announcement of an earlier run. Should what it announces be gone, it is removed in
    /// time; what takes orders stays.
    pub fn recall(&mut self, topic: String, settings: &MqttSettings) {
        let is_its = |entity: &&ControlEntity| {
            controls::is_allowed(settings.controls, entity.kind)
                && entity.config_topic(&settings.discovery_prefix, &self.entry.id) == topic
        };
        if let Some(entity) = control_entities::ALL.iter().find(is_its) {
            self.announce |= self.controls.insert(entity.kind.word());
            self.shown = None;
            return;
        }
        if self.recalled.len() < MOST_ENTITIES {
            self.recalled.insert(topic);
        }
    }

    fn announcement<'a>(&'a self, facts: &'a GatewayFacts, settings: &'a MqttSettings) -> Announcement<'a> {
        Announcement {
            prefix: &settings.prefix,
            discovery_prefix: &settings.discovery_prefix,
            facts,
            firmware: self.firmware.as_deref(),
        }
    }

    fn put_announcements(
        &mut self,
        facts: &GatewayFacts,
        now: Instant,
        settings: &MqttSettings,
        outbox: &Outbox,
    ) -> Result<(), NoRoom> {
        let Some(since) = self.known_since.filter(|_| self.announce) else { return Ok(()) };
        if self.firmware.is_none() && now.saturating_duration_since(since) < FIRMWARE_PATIENCE {
            return Ok(());
        }
        let announcement = self.announcement(facts, settings);
        let documents = self
            .entities
            .iter()
            .map(|known| (announcement.topic(&known.entity), announcement.document(&known.entity)));
        let controls = announcement.controls(&self.controls);
        let documents: Vec<_> = documents.chain(controls).collect();
        let said: BTreeSet<&str> = documents.iter().map(|(topic, _)| topic.as_str()).collect();
        for topic in self.announcements.beyond(&said) {
            self.announcements.end(always_kept(topic, String::new(), settings), outbox)?;
        }
        for (topic, document) in documents {
            self.announcements.say(always_kept(topic, document, settings), outbox)?;
        }
        self.announce = false;
        Ok(())
    }

    fn put_values(
        &mut self,
        facts: &GatewayFacts,
        freshness: Freshness,
        telemetry: Option<&Telemetry>,
        settings: &MqttSettings,
        outbox: &Outbox,
    ) -> Result<(), NoRoom> {
        let base = format!("{}/{}", settings.prefix, self.entry.id);
        let values = Values::of(facts, freshness, telemetry).0;
        let values: Vec<_> =
            values.into_iter().map(|(topic, payload)| (format!("{base}/{topic}"), payload)).collect();
        if telemetry.is_some() {
            let said: BTreeSet<&str> = values.iter().map(|(topic, _)| topic.as_str()).collect();
            for topic in self.values.beyond(&said) {
                let state = topic.strip_prefix(&base).and_then(|rest| rest.strip_prefix('/'));
                let is_state = self.entities.iter().any(|known| Some(known.entity.state.as_str()) == state);
                let payload = if is_state { UNKNOWN } else { "" };
                self.values.end(value(topic, payload.to_owned(), settings), outbox)?;
            }
        }
        for (topic, payload) in values {
            self.values.say(value(topic, payload, settings), outbox)?;
        }
        Ok(())
    }

    /// Whether this gateway can be reached, and nothing else of it.
    pub fn availability(&self, is_available: bool, settings: &MqttSettings) -> Message {
        let topic = format!("{}/{}/availability", settings.prefix, self.entry.id);
        let payload = if is_available { "online" } else { "offline" };
        value(topic, payload.to_owned(), settings)
    }

    /// Before anything else is said to a new connection: the broker may hold an old promise.
    pub fn greet(&mut self, now: Instant, settings: &MqttSettings, outbox: &Outbox) -> Result<(), NoRoom> {
        let is_available = self.entry.board.glance().freshness(now).has_data();
        self.values.say(self.availability(is_available, settings), outbox)
    }

    /// Removes everything that the broker holds of a gateway that is no longer configured, except that it is
    /// offline.
    pub fn withdraw(&mut self, settings: &MqttSettings, outbox: &Outbox) -> Result<(), NoRoom> {
        std::mem::take(&mut self.recalled).into_iter().for_each(|topic| self.announcements.suspect(topic));
        for topic in self.announcements.topics() {
            self.announcements.say(always_kept(topic, String::new(), settings), outbox)?;
        }
        for topic in self.availabilities.topics() {
            self.availabilities.say(always_kept(topic, String::new(), settings), outbox)?;
        }
        let last = self.availability(false, settings);
        for topic in self.values.topics() {
            if topic != last.topic {
                self.values.say(value(topic, String::new(), settings), outbox)?;
            }
        }
        self.values.say(last, outbox)
    }
}

/// A message as the operator wants values sent.
pub(super) fn value(topic: String, payload: String, settings: &MqttSettings) -> Message {
    Message { topic, payload, retain: settings.retain, qos: settings.qos }
}

/// A message that the broker keeps, whatever it does with values.
pub(super) fn always_kept(topic: String, payload: String, settings: &MqttSettings) -> Message {
    Message { topic, payload, retain: true, qos: settings.qos }
}

#[cfg(test)]
mod tests;
