//! The TEDAPI link against simulated gateways over real TLS: every kind of hardware, every kind of trouble.

mod common;

use std::time::Duration;

use common::everything;
use powerwall_server::link::{Link, LinkError, connect_lazily};
use powerwall_server::model::{GatewayFacts, GridStatus, LinkKind};
use powerwall_server::settings::{
    CertificatePolicy, GatewaySettings, LinkConfig, QuerySet, Secret, TedapiConfig,
};
use powerwall_server::simulator::{Fault, GatewayHandle, Role, SiteKind, SiteOptions};

fn config(gateway: &GatewayHandle) -> TedapiConfig {
    TedapiConfig {
        host: gateway.addr.ip().to_string(),
        port: gateway.addr.port(),
        password: Secret::new(gateway.options().password.as_str()),
        query_set: QuerySet::V2024_06,
        certificate: CertificatePolicy::Off,
    }
}

fn link(config: TedapiConfig, timeout: Duration) -> Box<dyn Link> {
    connect_lazily(&GatewaySettings {
        facts: GatewayFacts::default().into(),
        link: LinkConfig::Tedapi(config),
        timeout,
        state_file: None,
        energies: None,
        standby: Vec::new(),
    })
}

async fn start(kind: SiteKind) -> GatewayHandle {
    GatewayHandle::start(SiteOptions::new("home", "Home", kind)).await.unwrap()
}

/// The error of a poll under `fault`.
async fn failure(gateway: &GatewayHandle, fault: Fault) -> LinkError {
    gateway.set(fault);
    let error = link(config(gateway), Duration::from_millis(400)).poll().await.unwrap_err();
    gateway.heal();
    error
}

#[actix_web::test]
async fn every_kind_of_hardware_is_read_with_both_query_sets() {
    for set in [QuerySet::V2024_06, QuerySet::V2026_06] {
        for (kind, units, strings) in
            [(SiteKind::Powerwall2, 2, 4), (SiteKind::Powerwall3, 3, 12), (SiteKind::Inverter, 0, 4)]
        {
            let gateway = start(kind).await;
            let config = TedapiConfig { query_set: set, ..config(&gateway) };
            let mut link = link(config, Duration::from_secs(5));
            let telemetry = everything(&mut *link).await;
            let (readings, documents) = (&telemetry.readings, telemetry.documents());
            let context = format!("{kind:?} {set:?}");
            assert!(readings.power.site.is_some() && readings.power.load.is_some(), "{context}");
            assert_eq!(readings.grid, Some(GridStatus::Up), "{context}");
            assert_eq!(readings.firmware.as_deref(), Some("26.26.11 c4db63ce"), "{context}");
            assert_eq!(readings.site_name.as_deref(), Some("Home"), "{context}");
            let blocks = documents.system_status["battery_blocks"].as_array().unwrap();
            assert_eq!(blocks.len(), units, "{context}");
            assert_eq!(documents.strings.as_object().unwrap().len(), strings, "{context}");
            let has_battery = kind != SiteKind::Inverter;
            assert_eq!(readings.charge.state_of_energy().is_some(), has_battery, "{context}");
            assert_eq!(readings.power.battery.is_some(), has_battery, "{context}");
            assert_eq!(gateway.counters().requests(Role::Other), 0, "{context}");
            assert_eq!(gateway.counters().most_in_flight(), 1, "{context}");
            assert_eq!(gateway.counters().connections(), 1, "{context}: one connection, kept alive");
        }
    }
}

#[actix_web::test]
async fn every_kind_of_trouble_has_its_own_error() {
    let gateway = start(SiteKind::Powerwall2).await;
    let status = |code| Fault::Status { code, retry_after: None };
    let slow = Fault::SlowBytes { bytes: 1, every: Duration::from_millis(30) };
    let cases = [
        (status(401), "refused"),
        (Fault::LockOut, "refused"),
        (status(404), "not_found"),
        (status(500), "status"),
        (Fault::Hang, "timeout"),
        (Fault::HangInHandshake, "timeout"),
        (Fault::Latency(Duration::from_secs(3)), "timeout"),
        (slow, "timeout"),
        (Fault::Refuse, "unreachable"),
        (Fault::ResetAt(0), "unreachable"),
        (Fault::ResetAt(60), "unreachable"),
        (Fault::HalfBody, "unreachable"),
        (Fault::Garbage, "malformed"),
        (Fault::EmptyBody, "malformed"),
    ];
    for (fault, kind) in cases {
        let error = failure(&gateway, fault.clone()).await;
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        assert!(!error.to_string().contains("SIMULATED1"));
    }
    let limited = failure(&gateway, Fault::Status { code: 429, retry_after: Some(600) }).await;
    assert_eq!(limited, LinkError::RateLimited { retry_after: Some(Duration::from_secs(600)) });
    let busy = failure(&gateway, Fault::Status { code: 503, retry_after: None }).await;
    assert_eq!(busy, LinkError::Busy { retry_after: None });
    let wrong = TedapiConfig { password: Secret::new("WRONG"), ..config(&gateway) };
    let refused = link(wrong, Duration::from_secs(1)).poll().await.unwrap_err();
    assert_eq!(refused.kind(), "refused");
    assert!(gateway.counters().refused() > 0);
    let nowhere = TedapiConfig { port: 1, ..config(&gateway) };
    assert_eq!(link(nowhere, Duration::from_secs(1)).poll().await.unwrap_err().kind(), "unreachable");
}

#[actix_web::test]
async fn compression_is_recognised_whatever_the_headers_say() {
    for declared in [true, false] {
        let gateway = start(SiteKind::Powerwall3).await;
        gateway.set(Fault::Gzip { declared });
        let mut link = link(config(&gateway), Duration::from_secs(5));
        assert!(everything(&mut *link).await.readings.power.site.is_some(), "declared: {declared}");
    }
}

#[actix_web::test]
async fn a_connection_that_died_in_its_sleep_is_not_a_failure() {
    let gateway = start(SiteKind::Inverter).await;
    let mut link = link(config(&gateway), Duration::from_secs(2));
    link.poll().await.unwrap();
    // The gateway closes in the middle of the next answer; the one after it takes a new connection.
    gateway.set(Fault::HalfBody);
    link.poll().await.unwrap_err();
    gateway.heal();
    link.poll().await.unwrap();
    assert_eq!(gateway.counters().connections(), 2);
}

#[actix_web::test]
async fn a_certificate_is_accepted_by_policy() {
    let gateway = start(SiteKind::Inverter).await;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("fingerprint");
    let first_use =
        || CertificatePolicy::TrustOnFirstUse { gateway: "home".into(), store: Some(store.clone()) };
    let poll = async |certificate: CertificatePolicy| {
        let config = TedapiConfig { certificate, ..config(&gateway) };
        link(config, Duration::from_secs(2)).poll().await
    };
    poll(first_use()).await.unwrap();
    poll(first_use()).await.unwrap();
    let text = std::fs::read_to_string(&store).unwrap();
    let mut pin = [0; 32];
    for (byte, at) in pin.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    }
    poll(CertificatePolicy::Pinned(pin)).await.unwrap();

    gateway.renew_certificate().unwrap();
    poll(CertificatePolicy::Off).await.unwrap();
    for policy in [first_use(), CertificatePolicy::Pinned(pin)] {
        let error = poll(policy).await.unwrap_err();
        assert_eq!(error.kind(), "certificate");
        assert!(error.to_string().contains(text.trim()), "{error}");
    }
}

#[actix_web::test]
async fn what_only_refuses_or_talks_nonsense_is_not_remembered_as_the_gateway() {
    let refusal = |code| Fault::Status { code, retry_after: None };
    for fault in [refusal(401), refusal(403), refusal(500), Fault::Garbage, Fault::EmptyBody] {
        let gateway = start(SiteKind::Inverter).await;
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("fingerprint");
        let certificate =
            CertificatePolicy::TrustOnFirstUse { gateway: "home".into(), store: Some(store.clone()) };
        let config = TedapiConfig { certificate, ..config(&gateway) };
        let mut link = link(config, Duration::from_secs(2));
        gateway.set(fault.clone());
        link.poll().await.unwrap_err();
        assert!(!store.exists(), "{fault:?}");

        // Now the gateway itself comes to this address.
        gateway.set(Fault::Refuse);
        link.poll().await.unwrap_err();
        gateway.renew_certificate().unwrap();
        gateway.heal();
        link.poll().await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(store.exists(), "{fault:?}");
        gateway.set(Fault::Refuse);
        link.poll().await.unwrap_err();
        gateway.renew_certificate().unwrap();
        gateway.heal();
        assert_eq!(link.poll().await.unwrap_err().kind(), "certificate", "{fault:?}");
    }
}

#[actix_web::test]
async fn an_unsigned_question_is_not_answered_by_the_simulator() {
    use powerwall_server::link::tedapi::channel::{Channel, FrameChannel, Question};
    use powerwall_server::link::tedapi::frames::{self, Target};
    use powerwall_server::link::tedapi::queries::Queries;
    use powerwall_server::link::tedapi::transport::HttpTransport;

    let gateway = start(SiteKind::Powerwall2).await;
    let transport = HttpTransport::new(&config(&gateway), Duration::from_secs(2));
    let mut channel = FrameChannel::new(transport, LinkKind::Tedapi);
    let din = channel.din().await.unwrap();
    let din = String::from_utf8(din.trim_ascii().to_vec()).unwrap();
    let mut query = Queries::of(QuerySet::V2024_06).status;
    let mut ask = async |query| {
        let (target, what) = (Target::Gateway { din: &din }, "the query");
        let question = Question { din: &din, target, payload: frames::query(&query), what };
        frames::query_answer(channel.ask(question).await.unwrap(), what)
    };
    assert!(ask(query).await.is_ok());
    query.text = b"query { control { systemStatus { nominalFullPackEnergyWh } } }";
    assert!(ask(query).await.unwrap_err().to_string().contains("unauthorized"));
    query = Queries::of(QuerySet::V2024_06).controller;
    query.variables = r#"{"msaComp":{"types":["POD"]},"msaSignals":[]}"#;
    assert!(ask(query).await.unwrap_err().to_string().contains("POD is no component type"));
}

/// Passes connections to `[::1]` on to a gateway, and reports the port.
async fn over_version_6(gateway: &GatewayHandle) -> std::io::Result<u16> {
    let listener = tokio::net::TcpListener::bind("[::1]:0").await?;
    let (port, to) = (listener.local_addr()?.port(), gateway.addr);
    actix_web::rt::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let Ok(mut gateway) = tokio::net::TcpStream::connect(to).await else { return };
            actix_web::rt::spawn(
                async move { tokio::io::copy_bidirectional(&mut client, &mut gateway).await },
            );
        }
    });
    Ok(port)
}

#[actix_web::test]
async fn addresses_of_version_6_are_reached() {
    let gateway = start(SiteKind::Powerwall2).await;
    let ask = async |host: &str, port| {
        let config = TedapiConfig { host: host.into(), port, ..config(&gateway) };
        link(config, Duration::from_secs(5)).poll().await.map(|_| ())
    };
    assert_eq!(ask("::ffff:127.0.0.1", gateway.addr.port()).await, Ok(()));
    // A machine without version 6 has no such address.
    if let Ok(port) = over_version_6(&gateway).await {
        for host in ["::1", "0:0:0:0:0:0:0:1"] {
            assert_eq!(ask(host, port).await, Ok(()), "{host}");
        }
    }
}
