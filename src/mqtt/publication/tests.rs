use std::collections::BTreeMap;

use super::*;
use crate::board::Board;
use crate::model::{Reading, Ttl};
use crate::views::tests::telemetry;

const SECOND: Duration = Duration::from_secs(1);
const PAIR: &str = "pw2_two_units_tepod";
const OTHERS: &str = "pw3_leader_follower_expansion_trm_dropout";
const BATTERY: &str = "homeassistant/sensor/pypowerwall_home_battery/config";

/// A gateway, and a broker that takes everything at once and keeps what is retained.
struct Scene {
    settings: MqttSettings,
    publication: Publication,
    outbox: Outbox,
    retained: BTreeMap<String, String>,
    /// Topics in the order in which something was said on them.
    said: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let facts = GatewayFacts { id: "home".into(), name: "Home".into(), ..GatewayFacts::default() };
        let ttl = Ttl::new(5 * SECOND, 5 * SECOND, 30 * SECOND, true);
        let board = Board::new(Snapshot::initial(Arc::new(facts), ttl));
        let settings = MqttSettings::default();
        let mut publication = Publication::new(Arc::new(Entry::new("home", Arc::new(board))));
        publication.doubt_everything(&settings);
        let outbox = Outbox::default();
        Self { settings, publication, outbox, retained: BTreeMap::new(), said: Vec::new() }
    }

    /// A good poll that brought home `telemetry`.
    fn polled(&mut self, telemetry: &Arc<Telemetry>) {
        let mut snapshot = Snapshot::clone(&self.publication.entry.board.read());
        snapshot.sequence += 1;
        snapshot.reading =
            Some(Reading { telemetry: telemetry.clone(), taken: Instant::now(), taken_at: 0.0 });
        self.publication.entry.board.publish(Arc::new(snapshot));
        self.publish();
    }

    /// Polls every minute or so for some time.
    async fn live(&mut self, time: Duration, telemetry: &Arc<Telemetry>) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            tokio::time::advance((end - Instant::now()).min(60 * SECOND)).await;
            self.polled(telemetry);
        }
    }

    fn publish(&mut self) {
        self.said.clear();
        while self.publication.publish(Instant::now(), &self.settings, &self.outbox) == Err(NoRoom) {
            self.deliver();
        }
        self.deliver();
    }

    fn deliver(&mut self) {
        while let Some(message) = self.outbox.take() {
            self.said.push(message.topic.clone());
            match message.retain && message.payload.is_empty() {
                true => self.retained.remove(&message.topic),
                false => self.retained.insert(message.topic, message.payload),
            };
        }
    }

    /// Topics that the broker keeps with `part` in them.
    fn kept(&self, part: &str) -> Vec<&str> {
        self.retained.keys().map(String::as_str).filter(|topic| topic.contains(part)).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn units_that_are_gone_for_an_hour_lose_their_entities_and_not_before() {
    let (pair, others) = (telemetry(PAIR), telemetry(OTHERS));
    let mut scene = Scene::new();
    scene.polled(&pair);
    let before: Vec<String> = scene.kept("_device_").into_iter().map(str::to_owned).collect();
    assert!(!before.is_empty());

    scene.live(5 * SECOND, &others).await;
    assert!(before.iter().all(|topic| scene.retained.contains_key(topic)), "one poll proves nothing");
    // An outage proves nothing either.
    tokio::time::advance(10 * GONE_AFTER).await;
    scene.publish();
    scene.live(GONE_AFTER - LONGEST_STEP, &others).await;
    assert!(before.iter().all(|topic| scene.retained.contains_key(topic)));

    scene.live(60 * SECOND, &others).await;
    assert!(before.iter().all(|topic| !scene.retained.contains_key(topic)), "{:?}", scene.kept("_device_"));
    assert!(!scene.kept("_device_tg1250000001a1_").is_empty());
    assert!(scene.retained.contains_key(BATTERY));
    // The next connection does not bring them back.
    scene.publication.doubt_everything(&scene.settings);
    scene.publish();
    assert!(before.iter().all(|topic| !scene.retained.contains_key(topic)));
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_returns_in_time_keeps_its_entities() {
    let (pair, others) = (telemetry(PAIR), telemetry(OTHERS));
    let mut scene = Scene::new();
    scene.polled(&pair);
    for _ in 0..3 {
        tokio::time::advance(GONE_AFTER / 2).await;
        scene.polled(&others);
        assert!(
            scene.said.iter().all(|topic| !topic.contains("_device_tg121") || !topic.ends_with("/config"))
        );
        scene.polled(&pair);
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_becomes_unknown_is_none_for_entities_and_forgotten_elsewhere() {
    let (pair, nothing) = (telemetry(PAIR), telemetry("site_manager_down_null_config"));
    let mut scene = Scene::new();
    scene.polled(&pair);
    assert!(scene.retained["pypowerwall/home/home"].parse::<f64>().is_ok());
    assert!(scene.retained.contains_key("pypowerwall/home/batteries"));
    scene.polled(&nothing);
    assert_eq!(scene.retained["pypowerwall/home/home"], UNKNOWN);
    assert!(!scene.retained.contains_key("pypowerwall/home/batteries"));
    assert_eq!(scene.retained["pypowerwall/home/availability"], "online");
    // Said once, also to a refresh.
    scene.publication.doubt_values();
    scene.publish();
    assert!(!scene.said.iter().any(|topic| topic == "pypowerwall/home/home"));
    scene.polled(&pair);
    assert!(scene.retained["pypowerwall/home/home"].parse::<f64>().is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_outage_takes_the_gateway_offline_when_its_data_expires_and_keeps_its_entities() {
    let mut scene = Scene::new();
    scene.polled(&telemetry(PAIR));
    let entities: Vec<String> = scene.kept("/config").into_iter().map(str::to_owned).collect();
    let mut failed = Snapshot::clone(&scene.publication.entry.board.read());
    failed.sequence += 1;
    failed.health.consecutive_failures = 1;
    scene.publication.entry.board.publish(Arc::new(failed));
    scene.publish();
    assert_eq!(scene.said, ["pypowerwall/home/online", "pypowerwall/home/status"]);
    assert_eq!(scene.retained["pypowerwall/home/availability"], "online");
    // Nobody publishes anything when data expires.
    tokio::time::advance(31 * SECOND).await;
    scene.publish();
    assert_eq!(scene.said, ["pypowerwall/home/availability"]);
    assert_eq!(scene.retained["pypowerwall/home/availability"], "offline");
    // A broker that comes back during the outage gets the same entities.
    scene.retained.clear();
    scene.publication.doubt_everything(&scene.settings);
    scene.publish();
    assert_eq!(scene.kept("/config"), entities);
}

#[tokio::test(start_paused = true)]
async fn the_order_of_units_changes_no_id() {
    let telemetry = telemetry(OTHERS);
    let mut scene = Scene::new();
    scene.polled(&telemetry);
    let ids = |scene: &Scene| -> BTreeMap<String, String> {
        let configs = scene.retained.iter().filter(|(topic, _)| topic.contains("_device_"));
        configs.map(|(topic, document)| (topic.clone(), document.clone())).collect()
    };
    let before = ids(&scene);
    let mut site = telemetry.site().clone();
    site.devices.reverse();
    let facts = &scene.publication.entry.board.read().gateway;
    let announcement = scene.publication.announcement(facts, &scene.settings);
    let after: BTreeMap<String, String> = entities(facts, &site)
        .iter()
        .map(|entity| (announcement.topic(entity), announcement.document(entity)))
        .filter(|(topic, _)| topic.contains("_device_"))
        .collect();
    assert_eq!(before, after);
}

#[tokio::test(start_paused = true)]
async fn an_announcement_waits_a_little_for_the_firmware() {
    let complete = telemetry(PAIR);
    let mut scene = Scene::new();
    let mut first = Telemetry::new(complete.answers().clone(), *complete.adjustments());
    Arc::make_mut(&mut Arc::get_mut(&mut first).unwrap().readings).firmware = None;
    scene.polled(&first);
    assert!(scene.kept("/config").is_empty());
    scene.polled(&complete);
    assert!(scene.retained[BATTERY].contains("26.26.11"));

    let mut scene = Scene::new();
    scene.polled(&first);
    tokio::time::advance(FIRMWARE_PATIENCE).await;
    scene.publish();
    assert!(scene.retained[BATTERY].contains(r#""sw_version": "unknown""#));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_sent_when_there_is_room() {
    let mut scene = Scene::new();
    let clog =
        |number: usize| Message { topic: number.to_string(), payload: "x".into(), retain: false, qos: 0 };
    for number in 0..super::super::outbox::MOST_MESSAGES - 10 {
        assert!(scene.outbox.offer(clog(number)));
    }
    scene.polled(&telemetry(PAIR));
    let mut unhindered = Scene::new();
    unhindered.polled(&telemetry(PAIR));
    scene.retained.retain(|topic, _| topic.contains('/'));
    assert_eq!(scene.retained, unhindered.retained);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_leaves_leaves_nothing_but_that_it_is_offline() {
    let mut scene = Scene::new();
    scene.polled(&telemetry(PAIR));
    let of_an_earlier_run = "homeassistant/sensor/pypowerwall_home_battery_9_capacity/config".to_owned();
    scene.retained.insert(of_an_earlier_run.clone(), "{}".into());
    scene.publication.recall(of_an_earlier_run, &MqttSettings::default());
    scene.publication.withdraw(&scene.settings, &scene.outbox).unwrap();
    scene.deliver();
    let left: Vec<_> =
        scene.retained.iter().map(|(topic, payload)| (topic.as_str(), payload.as_str())).collect();
    assert_eq!(left, [("pypowerwall/home/availability", "offline")]);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_announced_and_is_gone_is_removed_in_time() {
    let pair = telemetry(PAIR);
    let mut scene = Scene::new();
    let gone = "homeassistant/sensor/pypowerwall_home_battery_9_capacity/config".to_owned();
    scene.retained.insert(gone.clone(), "{}".into());
    for topic in [gone.clone(), BATTERY.to_owned()] {
        scene.publication.recall(topic, &MqttSettings::default());
    }
    scene.live(GONE_AFTER, &pair).await;
    assert!(scene.retained.contains_key(&gone));
    scene.live(60 * SECOND, &pair).await;
    assert!(!scene.retained.contains_key(&gone));
    assert!(scene.retained.contains_key(BATTERY));
}
