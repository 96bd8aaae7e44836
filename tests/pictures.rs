//! `/display.svg` and `/display.png` over real sockets: what a display without a browser gets.
#![cfg(feature = "pictures")]

mod common;

use actix_web::http::Method;
use common::{Answer, OWNER, Outputs, SECOND, TOKEN, http, snapshot, telemetry};
use futures_util::future::join_all;
use powerwall_server::model::Freshness::{Expired, Live, Never, Stale};
use powerwall_server::settings::{Access, HttpSettings, Secret};
use powerwall_server::simulator::SiteKind;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

/// A PNG of `answer`: width, height, bits of a sample, kind of colours, and the samples of it.
fn decoded(answer: &Answer) -> (u32, u32, u8, u8, Vec<u8>) {
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/png")));
    let mut decoder = png::Decoder::new(std::io::Cursor::new(&answer.body[..]));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().unwrap();
    let info = reader.info();
    let (width, height) = (info.width, info.height);
    let (bits, kind) = (info.bit_depth as u8, info.color_type as u8);
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut samples).unwrap();
    (width, height, bits, kind, samples)
}

fn words(answer: &Answer) -> String {
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let title = text.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0;
    title.replace('\u{a0}', " ")
}

async fn one(freshness: powerwall_server::model::Freshness) -> Outputs {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    Outputs::of(vec![snapshot("home", &telemetry, freshness)])
}

#[actix_web::test]
async fn every_display_gets_its_pixels_and_its_colours() {
    let outputs = one(Live).await;
    const GREY: u8 = 0;
    const RGB: u8 = 2;
    for (query, width, height, bits, kind) in [
        ("", 800, 480, 8, RGB),
        ("?width=&height=&colors=&lang=de", 800, 480, 8, RGB),
        ("?width=250&height=122&colors=2", 250, 122, 1, GREY),
        ("?width=400&height=300&colors=4&rotate=180", 400, 300, 2, GREY),
        ("?width=480&height=801&colors=16&theme=dark", 480, 801, 4, GREY),
        ("?width=80&height=80&colors=2", 80, 80, 1, GREY),
    ] {
        let picture = decoded(&outputs.get(&format!("/display.png{query}")).await);
        let samples = &picture.4;
        assert_eq!((picture.0, picture.1, picture.2, picture.3), (width, height, bits, kind), "{query}");
        assert!(samples.iter().any(|sample| *sample != samples[0]), "{query}: something is drawn");
    }
    // A turned picture is the same one, turned.
    let (.., upright) = decoded(&outputs.get("/display.png?width=320&height=240&rotate=0").await);
    let (.., turned) = decoded(&outputs.get("/display.png?width=240&height=320&rotate=90").await);
    let (mut differ, (width, height)) = (0, (320, 240));
    for y in 0..height {
        for x in 0..width {
            let (one, other) = ((y * width + x) * 3, (x * height + height - 1 - y) * 3);
            let off = (0..3).map(|part| upright[one + part].abs_diff(turned[other + part])).max().unwrap();
            differ += usize::from(off > 60);
        }
    }
    assert!(differ < 400, "{differ} of {} pixels differ", width * height);
}

#[actix_web::test]
async fn a_picture_says_what_is_known_and_no_zero_for_what_is_not() {
    let live = words(&one(Live).await.get("/display.svg").await);
    assert!(live.starts_with("HOME") && live.contains("Solar ") && live.contains("kW"), "{live}");
    let stale = words(&one(Stale).await.get("/display.svg").await);
    assert!(stale.contains("Delayed"), "{stale}");
    let expired = one(Expired).await;
    let said = words(&expired.get("/display.svg").await);
    assert!(said.contains("Offline · values of "), "{said}");
    assert_eq!(words(&expired.get("/display.svg?lang=de").await).matches("Offline · Werte von").count(), 1);
    let never = words(&one(Never).await.get("/display.svg").await);
    assert!(never.contains("No data yet") && never.contains("Solar –"), "{never}");
    assert!(!never.contains('0'), "{never}");

    // A sum says who is missing.
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let sites = ["home", "cabin"].map(|id| snapshot(id, &telemetry, if id == "home" { Live } else { Never }));
    let sum = Outputs::of(sites.into());
    let said = words(&sum.get("/display.svg").await);
    assert!(said.starts_with("All sites") && said.contains("Without CABIN"), "{said}");
    let said = words(&sum.get("/display.svg?site=home").await);
    assert!(said.starts_with("HOME") && !said.contains("Without"), "{said}");
}

#[actix_web::test]
async fn it_is_sent_once_for_each_change() {
    let outputs = one(Live).await;
    let first = outputs.get("/display.png?colors=4").await;
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    let again = outputs.send(Method::GET, "/display.png?colors=4", &[("if-none-match", &tag)]).await;
    assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(&*tag)));
    for other in ["/display.png?colors=16", "/display.svg?colors=4", "/display.png?colors=4&lang=fr"] {
        let other = outputs.send(Method::GET, other, &[("if-none-match", &tag)]).await;
        assert_eq!(other.status, 200);
        assert_ne!(other.header("etag"), Some(&*tag));
    }
    let head = outputs.send(Method::HEAD, "/display.png?colors=4", &[]).await;
    assert_eq!((head.status, head.body.len(), head.header("etag")), (200, 0, Some(&*tag)));

    common::sockets::publish(&outputs, "home", 1_795_000_300.0);
    let changed = outputs.send(Method::GET, "/display.png?colors=4", &[("if-none-match", &tag)]).await;
    assert_eq!(changed.status, 200, "another time of the reading");
    assert_ne!(decoded(&changed).4, decoded(&first).4);
}

#[actix_web::test]
async fn what_cannot_be_drawn_is_refused_with_words() {
    let outputs = one(Live).await;
    for (query, status, says) in [
        ("width=1921&height=1092", 400, "2 megapixels"),
        ("width=99999999999&height=1", 400, "width is a number of pixels"),
        ("width=-5", 400, "width"),
        ("colors=3", 400, "colors is 2, 4, 16 or full"),
        ("rotate=45", 400, "rotate"),
        ("site=nowhere", 404, "nowhere"),
        ("site=%3Cscript%3E", 404, "Gateway not found"),
    ] {
        for form in ["svg", "png"] {
            let answer = outputs.get(&format!("/display.{form}?{query}")).await;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert_eq!(answer.status, status, "{query}: {text}");
            assert!(text.contains(says) && !text.contains("<script>"), "{query}: {text}");
        }
    }
    assert_eq!(outputs.send(Method::POST, "/display.png", &[]).await.status, 405);
}

#[actix_web::test]
async fn many_displays_get_the_same_picture_or_are_sent_away_for_a_moment() {
    let outputs = one(Live).await;
    let paths: Vec<String> =
        (0..40).map(|at| format!("/display.png?width={}&height=160", 200 + at)).collect();
    let answers = join_all(paths.iter().map(|path| outputs.get(path))).await;
    for answer in &answers {
        match answer.status {
            200 => assert_eq!(answer.header("content-type"), Some("image/png")),
            503 => assert_eq!(answer.header("retry-after"), Some("2")),
            status => panic!("{status}"),
        }
    }
    assert!(answers.iter().filter(|answer| answer.status == 200).count() >= 8);
    let same = join_all((0..40).map(|_| outputs.get("/display.png?width=640&height=400"))).await;
    let good: Vec<_> = same.iter().filter(|answer| answer.status == 200).collect();
    assert!(good.len() >= 8 && good.iter().all(|answer| answer.body == good[0].body));
}

#[actix_web::test]
async fn who_may_not_read_sees_nothing_and_a_base_path_holds() {
    let telemetry = telemetry(SiteKind::Powerwall3).await;
    let home = || vec![snapshot("home", &telemetry, Live)];
    let access = Access { is_open: false, ..Access::owned_by(Secret::new(TOKEN)) };
    let guarded = Outputs::accessed(home(), http(), access);
    for path in ["/display.png", "/display.svg", "/display.svg?site=home"] {
        assert_eq!(guarded.get(path).await.status, 401, "{path}");
        assert_eq!(guarded.send(Method::GET, path, &OWNER).await.status, 200, "{path}");
    }
    let below = HttpSettings { base_path: "/pw".into(), ..http() };
    let below = Outputs::with(home(), below, 30 * SECOND);
    assert_eq!(below.get("/pw/display.png?width=250&height=122").await.status, 200);
    assert_eq!(below.get("/pw/display.svg/").await.status, 200);
}

/// Parameters of all sorts, right ones too.
fn query() -> impl Strategy<Value = String> {
    let name = "width|height|colors|rotate|theme|site|lang|[a-z]{1,6}";
    let value =
        "[0-9]{1,4}|2|4|16|full|90|180|270|dark|light|de|home|-?[0-9]{1,12}|[!-~]{0,12}|%[0-9a-f]{0,2}";
    prop::collection::vec((name, value), 0..6).prop_map(|pairs| {
        let escaped =
            |value: String| value.replace(['#', '"', '<', '>', '\\', '^', '`', '{', '|', '}'], "%23");
        pairs
            .into_iter()
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect::<Vec<_>>()
            .join("&")
    })
}

#[actix_web::test]
async fn whatever_stands_behind_the_question_mark_there_is_an_answer() {
    let outputs = one(Live).await;
    let mut runner = TestRunner::new(Config { cases: 1, ..Config::default() });
    for _ in 0..150 {
        let query = query().new_tree(&mut runner).unwrap().current();
        let answer = outputs.get(&format!("/display.png?{query}")).await;
        assert!([200, 400, 404].contains(&answer.status), "{query}: {}", answer.status);
        if answer.status == 200 {
            let (width, height, ..) = decoded(&answer);
            assert!(width * height <= 2 << 20, "{query}");
        }
    }
}
