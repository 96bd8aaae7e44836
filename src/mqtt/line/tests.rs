use std::future::Future;

use rumqttc::SubAck;
use tokio::io::DuplexStream;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// The broker's end of a connection.
struct Broker {
    connection: Connection,
}

impl Broker {
    async fn hears(&mut self) -> Packet {
        loop {
            match self.connection.packet().unwrap() {
                Some(packet) => return packet,
                None => self.connection.receive().await.unwrap(),
            }
        }
    }

    /// The next packet, past subscriptions.
    async fn hears_message(&mut self) -> Packet {
        loop {
            match self.hears().await {
                Packet::Subscribe(_) => {}
                packet => return packet,
            }
        }
    }

    async fn says(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, 1 << 20).unwrap();
        self.connection.stream.write_all(&bytes).await.unwrap();
    }

    async fn publishes(&mut self, topic: &str, payload: &str, retain: bool) {
        let mut publish = Publish::new(topic, QoS::AtMostOnce, payload);
        publish.retain = retain;
        self.says(Packet::Publish(publish)).await;
    }
}

fn pair() -> (Connection, Broker) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let connection = |end: DuplexStream| Connection { stream: Box::new(end), received: BytesMut::new() };
    (connection(ours), Broker { connection: connection(theirs) })
}

fn message(number: usize, qos: u8) -> Message {
    Message { topic: format!("t/{number}"), payload: "x".into(), retain: true, qos }
}

/// How a connection to a broker that does as `script` says ends; the script must end too.
async fn serve_with<Script: Future<Output = Broker>>(
    outbox: &Outbox,
    heard: &Heard,
    script: impl FnOnce(Broker) -> Script,
) -> Result<(), LineError> {
    let (ours, theirs) = pair();
    let settings = MqttSettings::default();
    let (ended, _broker) = tokio::join!(serve(ours, &settings, outbox, heard), script(theirs));
    ended
}

#[tokio::test(start_paused = true)]
async fn no_more_than_twenty_messages_are_ahead_of_the_acknowledgements() {
    let (outbox, heard) = (Outbox::default(), Heard::default());
    (0..50).for_each(|number| assert!(outbox.offer(message(number, 1))));
    let ended = serve_with(&outbox, &heard, |mut broker| async {
        let mut waiting = Vec::new();
        for _ in 0..MOST_IN_FLIGHT {
            let Packet::Publish(publish) = broker.hears_message().await else { panic!() };
            waiting.push(publish.pkid);
        }
        assert!(timeout(5 * SECOND, broker.hears()).await.is_err(), "the next one waits");
        broker.says(Packet::PubAck(PubAck::new(waiting[3]))).await;
        let Packet::Publish(next) = broker.hears().await else { panic!() };
        assert_eq!(next.topic, "t/20");
        broker
    })
    .await;
    assert!(matches!(ended, Err(LineError::NotAcknowledged(_))), "{ended:?}");
    assert_eq!((outbox.published.get(), outbox.in_flight.get()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_gives_no_sign_of_life_is_asked_for_one_and_left() {
    let (outbox, heard) = (Outbox::default(), Heard::default());
    heard.surveyed.set(true);
    let ended = serve_with(&outbox, &heard, |mut broker| async {
        let before = Instant::now();
        assert_eq!(broker.hears_message().await, Packet::PingReq);
        assert_eq!(before.elapsed().as_secs(), 60);
        broker.says(Packet::PingResp).await;
        assert_eq!(broker.hears().await, Packet::PingReq);
        assert_eq!(before.elapsed().as_secs(), 120);
        broker
    })
    .await;
    assert!(matches!(ended, Err(LineError::Dead)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn the_second_quality_of_service_counts_when_the_message_is_released() {
    let (outbox, heard) = (Outbox::default(), Heard::default());
    assert!(outbox.offer(message(1, 2)));
    let ended = serve_with(&outbox, &heard, |mut broker| async {
        let Packet::Publish(publish) = broker.hears_message().await else { panic!() };
        assert_eq!(publish.qos, QoS::ExactlyOnce);
        broker.says(Packet::PubRec(PubRec::new(publish.pkid))).await;
        assert_eq!(broker.hears().await, Packet::PubRel(PubRel::new(publish.pkid)));
        assert_eq!(outbox.published.get(), 0);
        broker.says(Packet::PubComp(PubComp::new(publish.pkid))).await;
        outbox.close();
        assert_eq!(broker.hears().await, Packet::Disconnect);
        broker
    })
    .await;
    assert!(ended.is_ok(), "{ended:?}");
    assert_eq!(outbox.published.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_waits_for_what_is_in_flight() {
    let (outbox, heard) = (Outbox::default(), Heard::default());
    assert!(outbox.offer(message(1, 1)));
    outbox.close();
    let ended = serve_with(&outbox, &heard, |mut broker| async {
        let Packet::Publish(publish) = broker.hears_message().await else { panic!() };
        assert!(timeout(SECOND, broker.hears()).await.is_err());
        broker.says(Packet::PubAck(PubAck::new(publish.pkid))).await;
        assert_eq!(broker.hears().await, Packet::Disconnect);
        broker
    })
    .await;
    assert!(ended.is_ok(), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn only_a_birth_that_happens_now_is_heard() {
    let (outbox, heard) = (Outbox::default(), Heard::default());
    let births = |retain, payload: &'static str| {
        let (outbox, heard) = (&outbox, &heard);
        async move {
            let ended = serve_with(outbox, heard, |mut broker| async move {
                broker.publishes("homeassistant/status", payload, retain).await;
                broker.says(Packet::Disconnect).await;
                broker
            });
            assert!(matches!(ended.await, Err(LineError::Protocol(_))));
            heard.birth.take()
        }
    };
    assert!(!births(true, "online").await);
    assert!(!births(false, "offline").await);
    assert!(births(false, "online").await);
}

#[tokio::test(start_paused = true)]
async fn the_first_connection_asks_what_an_earlier_run_announced() {
    let (outbox, heard) = (Outbox::default(), Heard::default());
    let mine = "homeassistant/sensor/pypowerwall_home_battery_9_capacity/config";
    let ended = serve_with(&outbox, &heard, |mut broker| async move {
        let Packet::Subscribe(birth) = broker.hears().await else { panic!() };
        assert_eq!(birth.filters[0].path, "homeassistant/status");
        let Packet::Subscribe(survey) = broker.hears().await else { panic!() };
        let asked: Vec<_> = survey.filters.iter().map(|filter| filter.path.as_str()).collect();
        assert_eq!(asked, ["homeassistant/sensor/+/config", "homeassistant/binary_sensor/+/config"]);
        // One that may not ask goes on without.
        let refused = vec![SubscribeReasonCode::Failure; 2];
        broker.says(Packet::SubAck(SubAck::new(survey.pkid, refused))).await;
        broker.publishes(mine, "{}", true).await;
        broker.publishes("homeassistant/sensor/neighbour/config", "{}", true).await;
        broker.publishes("homeassistant/sensor/pypowerwall_home_new/config", "{}", false).await;
        let before = Instant::now();
        let Packet::Unsubscribe(end) = broker.hears().await else { panic!() };
        assert_eq!(end.topics, asked);
        assert_eq!(before.elapsed(), SURVEY);
        broker.says(Packet::Disconnect).await;
        broker
    })
    .await;
    assert!(matches!(ended, Err(LineError::Protocol(_))), "{ended:?}");
    assert_eq!(heard.announcements.take().into_iter().collect::<Vec<_>>(), [mine]);
    // The second one does not.
    let _ = serve_with(&outbox, &heard, |mut broker| async {
        let Packet::Subscribe(birth) = broker.hears().await else { panic!() };
        assert_eq!(birth.filters[0].path, "homeassistant/status");
        assert_eq!(broker.hears().await, Packet::PingReq);
        broker
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn many_large_messages_that_nobody_acknowledges_are_all_sent() {
    let (outbox, heard) = (Outbox::default(), Heard::default());
    for number in 0..50 {
        assert!(outbox.offer(Message { payload: "x".repeat(10_000), ..message(number, 0) }));
    }
    let ended = serve_with(&outbox, &heard, |mut broker| async {
        for number in 0..50 {
            let Packet::Publish(publish) = broker.hears_message().await else { panic!() };
            assert_eq!(publish.topic, format!("t/{number}"));
        }
        broker.says(Packet::Disconnect).await;
        broker
    })
    .await;
    assert!(matches!(ended, Err(LineError::Protocol(_))), "{ended:?}");
    assert_eq!(outbox.published.get(), 50);
}
