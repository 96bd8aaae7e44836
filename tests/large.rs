//! Large answers over real sockets: pages of a fleet, bodies that are sent as they are rendered, and clients
//! that do not take them.

mod common;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::Method;
use common::sockets::{PATIENCE, connect, frame};
use common::{Answer, Outputs, SECOND, http, snapshot, telemetry};
use powerwall_server::frames::HOUSE;
use powerwall_server::model::Freshness::{Live, Never};
use powerwall_server::model::{Snapshot, Telemetry};
use powerwall_server::settings::{AllowedOrigins, HttpSettings};
use powerwall_server::simulator::SiteKind;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// Routes that list gateways, and where in their bodies.
const LISTS: [(&str, &str); 8] = [
    ("/api/gateways", ""),
    ("/api/aggregate", "/gateways"),
    ("/api/aggregate/vitals", ""),
    ("/api/aggregate/strings", ""),
    ("/api/aggregate/alerts", ""),
    ("/health", "/gateway_details"),
    ("/health/gateways", "/gateways"),
    ("/stats", "/gateway_statuses"),
];

fn named(number: usize, telemetry: &Arc<Telemetry>) -> Snapshot {
    snapshot(&format!("g{number}"), telemetry, if number == 5 { Never } else { Live })
}

async fn fleet(gateways: usize, http: HttpSettings, stall_limit: Duration) -> Outputs {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let snapshots = (0..gateways).map(|number| named(number, &telemetry)).collect();
    Outputs::with(snapshots, http, stall_limit)
}

/// The ids in a list, in order. The gateway without data is not in every one.
fn ids(body: &Value, list: &str) -> Vec<String> {
    match body.pointer(list).unwrap() {
        Value::Object(by_id) => by_id.keys().cloned().collect(),
        Value::Array(items) => items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect(),
        other => panic!("{other}"),
    }
}

fn parsed(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn names(numbers: impl Iterator<Item = usize>, list: &[String]) -> Vec<String> {
    let all: Vec<String> = numbers.map(|number| format!("g{number}")).collect();
    if list.contains(&"g5".to_owned()) { all } else { all.into_iter().filter(|id| id != "g5").collect() }
}

#[actix_web::test]
async fn pages_follow_one_another_and_make_the_whole() {
    for gateways in [8, HOUSE + 8] {
        let outputs = fleet(gateways, http(), 30 * SECOND).await;
        for (path, list) in LISTS {
            let whole = outputs.get(path).await;
            let all = ids(&parsed(&whole), list);
            assert_eq!(all, names(0..gateways, &all), "{path}");
            let is_streamed = whole.header("content-length").is_none();
            assert_eq!(is_streamed, gateways > HOUSE, "{path}");

            let (mut next, mut seen) = (Some("?limit=3".to_owned()), Vec::new());
            while let Some(query) = next {
                let page = outputs.get(&format!("{path}{query}")).await;
                assert_eq!((page.status, page.header("content-type")), (200, Some("application/json")));
                let found = ids(&parsed(&page), list);
                assert!(found.len() <= 3, "{path}{query}");
                seen.extend(found);
                let link = page.header("link").map(|link| link.strip_suffix(">; rel=\"next\"").unwrap());
                next = link.map(|link| link.strip_prefix('<').unwrap().to_owned());
            }
            assert_eq!(seen, all, "{path}");
        }
    }
}

#[actix_web::test]
async fn a_page_that_cannot_be_is_refused() {
    let outputs = fleet(3, http(), 30 * SECOND).await;
    for (path, _) in LISTS {
        for limit in ["0", "-1", "x", "", "1.5", "99999999999999999999999"] {
            let answer = outputs.get(&format!("{path}?limit={limit}")).await;
            assert_eq!(answer.status, 400, "{path} {limit}");
            assert_eq!(parsed(&answer)["detail"], "limit must be a whole number above 0");
        }
        let answer = outputs.get(&format!("{path}?after=nobody")).await;
        assert_eq!(parsed(&answer)["detail"], "Gateway nobody not found", "{path}");
        assert_eq!(answer.status, 404);
        assert_eq!(
            outputs.get(&format!("{path}?after=g2")).await.status,
            200,
            "nothing is behind the last one"
        );
    }
}

#[actix_web::test]
async fn a_fleet_has_the_bytes_of_its_gateways() {
    let outputs = fleet(HOUSE + 8, http(), 30 * SECOND).await;
    let parts = [("/api/aggregate/vitals", "vitals"), ("/api/aggregate/strings", "strings")];
    for (path, part) in parts {
        let mut expected = Vec::new();
        for number in (0..HOUSE + 8).filter(|number| *number != 5) {
            let body = outputs.get(&format!("/api/gateways/g{number}/{part}")).await.body;
            expected.push(format!("\"g{number}\":{}", String::from_utf8_lossy(&body)));
        }
        let whole = outputs.get(path).await.body;
        assert_eq!(String::from_utf8_lossy(&whole), format!("{{{}}}", expected.join(",")), "{path}");
    }
    let metrics = outputs.get("/metrics").await;
    assert_eq!(metrics.header("content-length"), None);
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let once: std::collections::HashSet<&str> = families.iter().copied().collect();
    assert_eq!(families.len(), once.len(), "a family is in one place");
    for number in (0..HOUSE + 8).filter(|number| *number != 5) {
        assert!(text.contains(&format!("powerwall_power_watts{{gateway=\"g{number}\",meter=\"load\"}} ")));
    }
}

#[actix_web::test]
async fn head_of_a_fleet_has_no_body() {
    let outputs = fleet(HOUSE + 1, http(), 30 * SECOND).await;
    for path in ["/api/gateways", "/metrics"] {
        let mut stream = TcpStream::connect(outputs.addr).await.unwrap();
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{path}: {answer}");
    }
}

#[actix_web::test]
async fn the_sum_over_a_fleet_reaches_websocket_clients_as_one_message() {
    let outputs = fleet(HOUSE + 8, http(), 30 * SECOND).await;
    let mut client = connect(outputs.addr, "/ws/aggregate", None).await.unwrap();
    for _ in 0..2 {
        let message = frame(&mut client).await;
        let body = outputs.json("/api/aggregate").await;
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&message), keys(&body));
        assert_eq!(keys(&message["gateways"]), keys(&body["gateways"]));
        assert_eq!(message["gateways"]["g3"]["data"], body["gateways"]["g3"]["data"]);
    }
}

/// A client that asks and does not read, and whose system takes little.
async fn silent(outputs: &Outputs, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(outputs.addr).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

async fn cuts(outputs: &Outputs) -> f64 {
    let metrics = outputs.get("/metrics").await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("powerwall_server_clients_cut_total "));
    line.unwrap().parse().unwrap()
}

#[actix_web::test]
async fn who_does_not_take_an_answer_is_cut_and_counted_and_who_is_slow_is_not() {
    let outputs = fleet(4 * HOUSE, http(), 2 * SECOND).await;
    assert_eq!(cuts(&outputs).await, 0.0);
    let stuck = [silent(&outputs, "/api/aggregate/vitals").await, silent(&outputs, "/openapi.json").await];
    let slow = async {
        let mut stream = silent(&outputs, "/api/aggregate/vitals").await;
        let mut piece = vec![0; 4 << 10];
        // Longer than the limit, and always a little.
        for _ in 0..150 {
            assert!(stream.read(&mut piece).await.unwrap() > 0, "it is still served");
            sleep(SECOND / 50).await;
        }
    };
    slow.await;
    let counted = async {
        while cuts(&outputs).await < 2.0 {
            sleep(SECOND / 20).await;
        }
    };
    timeout(PATIENCE, counted).await.expect("both are cut");
    assert_eq!(cuts(&outputs).await, 2.0, "and nobody else is");
    for mut stream in stuck {
        let mut rest = Vec::new();
        // What waits in the system arrives, then the end or a reset.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it ends");
        assert!(!rest.ends_with(b"}\r\n0\r\n\r\n"));
    }
}

#[actix_web::test]
async fn an_answer_depends_on_the_origin_and_on_what_is_accepted() {
    let origins = AllowedOrigins::Listed(vec!["https://home.example".into()]);
    let outputs = fleet(3, HttpSettings { origins, ..http() }, 30 * SECOND).await;
    for (path, expected) in [
        ("/static/live.js", "Accept-Encoding, Origin"),
        ("/openapi.json", "Origin, Accept-Encoding"),
        ("/api/aggregate", "Origin, Accept-Encoding"),
        ("/soe", "Origin"),
    ] {
        let headers = [("origin", "https://home.example"), ("accept-encoding", "gzip")];
        let answer = outputs.send(Method::GET, path, &headers).await;
        assert_eq!(answer.header("vary"), Some(expected), "{path}");
    }
}
