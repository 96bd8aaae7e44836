//! Every kind of hostile gateway, and what becomes of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::answers::{gzip, http, mapped, numbers, padded, served};
use super::gateway::{Asked, Greeting, Reply};

/// What a poll of such a gateway comes to: the kind of its error, or nothing if it is read.
pub type Outcome = Option<&'static str>;

pub struct Kind {
    pub name: &'static str,
    pub greeting: Greeting,
    pub answers: Box<dyn Fn(&Asked) -> Reply>,
    pub poll: Outcome,
    /// The kinds of the errors of everything slow.
    pub slow: &'static [&'static str],
}

fn kind(name: &'static str, poll: Outcome, answers: impl Fn(&Asked) -> Reply + 'static) -> Kind {
    Kind { name, greeting: Greeting::Tls, answers: Box::new(answers), poll, slow: &[] }
}

/// Good answers, each as `change` makes it.
fn changed(
    name: &'static str,
    poll: Outcome,
    slow: &'static [&'static str],
    change: impl Fn(&str, Value) -> Vec<u8> + 'static,
) -> Kind {
    Kind { slow, ..kind(name, poll, move |asked| Reply::Whole(served(asked, &change))) }
}

/// Every answer but that of a login.
fn instead(name: &'static str, poll: Outcome, reply: impl Fn() -> Reply + 'static) -> Kind {
    kind(name, poll, move |asked| match asked.path.as_str() {
        "/api/login/basic" => Reply::Whole(served(asked, plain)),
        _ => reply(),
    })
}

fn plain(_: &str, document: Value) -> Vec<u8> {
    document.to_string().into_bytes()
}

/// A login whose answer is `login`, in front of good answers.
fn login(name: &'static str, poll: Outcome, login: impl Fn() -> Vec<u8> + 'static) -> Kind {
    kind(name, poll, move |asked| {
        Reply::Whole(match (asked.path.as_str(), asked.has_session) {
            ("/api/login/basic", _) => login(),
            (_, false) => http(401, "", b"{}"),
            (_, true) => served(asked, plain),
        })
    })
}

pub fn all() -> Vec<Kind> {
    let mut all = connections();
    all.extend(statuses());
    all.extend(bodies());
    all.extend(sizes());
    all.extend(contents());
    all
}

fn connections() -> Vec<Kind> {
    let greeting =
        |name, greeting, poll| Kind { greeting, ..kind(name, Some(poll), |_| Reply::Hang(Vec::new())) };
    vec![
        greeting("silent before TLS", Greeting::Silence, "timeout"),
        greeting("garbage for TLS", Greeting::Garbage, "unreachable"),
        instead("silent", Some("timeout"), || Reply::Hang(Vec::new())),
        instead("reset", Some("unreachable"), || Reply::Reset),
        instead("half a body", Some("unreachable"), || {
            Reply::Last(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"site\":".to_vec())
        }),
        kind("a byte a second", Some("timeout"), |asked| {
            Reply::Dripping(served(asked, plain), Duration::from_secs(1))
        }),
        kind("byte for byte", None, |asked| Reply::Dripping(served(asked, plain), Duration::ZERO)),
    ]
}

fn statuses() -> Vec<Kind> {
    let status = |name, poll, status| instead(name, Some(poll), move || Reply::Whole(http(status, "", b"")));
    vec![
        login("no login", Some("refused"), || http(401, "", br#"{"code":401,"error":"bad credentials"}"#)),
        instead("no session is good", Some("refused"), || Reply::Whole(http(401, "", b"{}"))),
        kind("a session is good for one request", None, |asked| {
            Reply::Whole(match asked.path.starts_with("/api/meters") && !asked.has_session {
                true => http(401, "", b"{}"),
                false => served(asked, plain),
            })
        }),
        status("all is forbidden", "refused", 403),
        status("rate limit", "rate_limited", 429),
        status("busy", "busy", 503),
        status("fault", "status", 500),
        instead("elsewhere", Some("status"), || {
            Reply::Whole(http(302, "Location: https://127.0.0.1:1/\r\n", b""))
        }),
        instead("a refusal without its body", Some("refused"), || {
            Reply::Hang(b"HTTP/1.1 401 X\r\nContent-Length: 100\r\n\r\n".to_vec())
        }),
        login("cookies without end", Some("unreachable"), || {
            let cookie = format!("Set-Cookie: AuthCookie={}; Path=/\r\n", "a".repeat(3900));
            http(200, &cookie.repeat(80), b"{}")
        }),
        login("many cookies", Some("unreachable"), || {
            http(
                200,
                &(0..200).map(|number| format!("Set-Cookie: c{number}=x\r\n")).collect::<String>(),
                b"{}",
            )
        }),
        login("control characters in a cookie", Some("unreachable"), || {
            http(200, "Set-Cookie: AuthCookie=a\x01b\r\nSet-Cookie: UserRecord=b\tc\r\n", b"{}")
        }),
        login("a huge login", Some("too_large"), || {
            let padding = format!("[{}0]", "[[[]],{}],".repeat(20_000));
            http(200, "", format!(r#"{{"x":{padding},"token":"t"}}"#).as_bytes())
        }),
    ]
}

/// Heads and bodies that never end, or say that they are long.
fn bodies() -> Vec<Kind> {
    const OK: &str = "HTTP/1.1 200 OK\r\n";
    let endless = |name, poll, head: String, more: Vec<u8>| {
        instead(name, Some(poll), move || Reply::Endless(head.clone().into_bytes(), more.clone()))
    };
    let chunked = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
    let block = vec![b'x'; 65536];
    let chunk = [b"10000\r\n", &block[..], b"\r\n"].concat();
    vec![
        endless("100 MB", "too_large", format!("{OK}Content-Length: 104857600\r\n\r\n"), block.clone()),
        endless("chunks without end", "too_large", chunked.clone(), chunk),
        endless("tiny chunks without end", "too_large", chunked.clone(), b"1\r\n \r\n".repeat(1000)),
        endless("a chunk's head without end", "timeout", format!("{chunked}1;"), block.clone()),
        endless("headers without end", "unreachable", OK.into(), b"X-1: a\r\n".repeat(1000)),
        endless("a header without end", "unreachable", format!("{OK}X: "), block),
        endless("interim answers", "status", String::new(), b"HTTP/1.1 100 Continue\r\n\r\n".repeat(99)),
        kind("early hints", Some("status"), |asked| {
            let answer = served(asked, plain);
            Reply::Last([b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", &answer[..]].concat())
        }),
    ]
}

/// A little on the wire that is much in memory.
fn sizes() -> Vec<Kind> {
    let zipped = |name, poll, slow, change: fn(&Value) -> Vec<u8>| {
        kind_of_zipped(name, poll, slow, move |_, document| change(&document))
    };
    let nested = |open: &str, close: &str, levels: usize| {
        let text = format!(
            r#"{{"site":{{"instant_power":1}},"a":{}1{}}}"#,
            open.repeat(levels),
            close.repeat(levels)
        );
        text.into_bytes()
    };
    let deep = move |name, open: &'static str, close: &'static str, levels| {
        changed(name, Some("too_large"), &[], move |_, _| nested(open, close, levels))
    };
    vec![
        deep("objects in objects", r#"{"a":"#, "}", 10_000),
        deep("lists in lists", "[", "]", 10_000),
        deep("120 levels", "[", "]", 120),
        instead("200 MB of blanks", Some("too_large"), || {
            Reply::Whole(http(200, "", &gzip(&vec![b' '; 20_000_000])))
        }),
        instead("packed twice", Some("malformed"), || {
            Reply::Whole(http(200, "", &gzip(&gzip(&vec![b' '; 2_000_000]))))
        }),
        zipped("tiny objects", Some("too_large"), &[], |document| padded(document, r#"{"a":{}}"#, 400, BOMB)),
        zipped("tiny lists", Some("too_large"), &[], |document| padded(document, "[]", 400, BOMB)),
        zipped("numbers", Some("too_large"), &[], |document| padded(document, "1", 400, BOMB)),
        zipped("texts", Some("too_large"), &[], |document| padded(document, r#""""#, 400, BOMB)),
        zipped("tiny objects in 64 kB", Some("too_large"), &[], |document| {
            padded(document, r#"{"a":{}}"#, 400, 64 << 10)
        }),
        changed("tiny lists in plain", Some("too_large"), &[], |_, document| {
            padded(&document, "[]", 400, 4_000_000)
        }),
        zipped("one text of a megabyte", Some("too_large"), &[], |document| {
            padded(document, &format!("\"{}\"", "a".repeat(1 << 20)), 1, 2 << 20)
        }),
        kind_of_zipped(
            "thousands of units, alerts and strings",
            None,
            &["too_large"],
            |path, mut document| {
                if path == "/api/system_status" {
                    let blocks =
                        (0..8000).map(|number| json!({ "PackageSerialNumber": format!("TG{number:010}") }));
                    document["battery_blocks"] = blocks.collect();
                }
                if path == "/api/solar_powerwall" {
                    document["pvac_alerts"] =
                        (0..50_000).map(|number| (format!("PVAC_{number}"), json!(true))).collect();
                }
                document.to_string().into_bytes()
            },
        ),
        changed("one battery too many", None, &["too_large"], |path, mut document| {
            if path == "/api/system_status" {
                document["battery_blocks"] = vec![document["battery_blocks"][0].clone(); 65].into();
            }
            document.to_string().into_bytes()
        }),
        vitals("thousands of empty devices", &["too_large"], || [0x0a, 0].repeat(60_000)),
        vitals("thousands of empty measurements", &["too_large"], || {
            let device = [&[0x0a, 0x80, 0x04][..], &[0x12, 0].repeat(256)].concat();
            device.repeat(200)
        }),
        vitals("messages in messages", &["too_large"], || {
            (0..9000_u32).fold(Vec::new(), |inside, _| [&[0x0a], &varint(inside.len())[..], &inside].concat())
        }),
        vitals("garbage for vitals", &["malformed"], || (0..=255).rev().cycle().take(20_000).collect()),
    ]
}

/// Of what comes out of an answer.
const BOMB: usize = 1_000_000;

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn kind_of_zipped(
    name: &'static str,
    poll: Outcome,
    slow: &'static [&'static str],
    change: impl Fn(&str, Value) -> Vec<u8> + 'static,
) -> Kind {
    changed(name, poll, slow, move |path, document| gzip(&change(path, document)))
}

/// Good answers, and vitals that are not.
fn vitals(name: &'static str, slow: &'static [&'static str], body: impl Fn() -> Vec<u8> + 'static) -> Kind {
    let good = kind(name, None, move |asked| {
        Reply::Whole(match asked.path.as_str() {
            "/api/devices/vitals" => http(200, "", &body()),
            _ => served(asked, plain),
        })
    });
    Kind { slow, ..good }
}

/// What is small enough, and nonsense.
fn contents() -> Vec<Kind> {
    let number =
        |name, poll, text: &'static str| changed(name, poll, &[], move |_, document| numbers(document, text));
    const SCRIPT: &str = r#"<script>document.title="XSS"</script><img src=x onerror=alert(1)>"#;
    const SERIALS: [&str; 9] = [
        "../../homeassistant/x",
        "#",
        "+",
        "a/b",
        "\0n",
        "TG$SYS",
        "",
        "TG1",
        "<img src=x onerror=alert(1)>",
    ];
    vec![
        number("no numbers", Some("malformed"), "NaN"),
        number("large numbers", None, "1e308"),
        number("numbers too large", Some("malformed"), "1e400"),
        number("negative numbers", None, "-1e9"),
        number("the largest integer", None, "9223372036854775807"),
        changed("other types", None, &[], |_, document| {
            mapped(document, &|value| if value.is_number() { "x".into() } else { 7.into() })
                .to_string()
                .into_bytes()
        }),
        changed("scripts", None, &[], |_, document| {
            mapped(document, &|value| if value.is_string() { SCRIPT.into() } else { value })
                .to_string()
                .into_bytes()
        }),
        changed("topics in serials", None, &[], |path, mut document| {
            if path == "/api/system_status" {
                document["battery_blocks"] =
                    SERIALS.map(|serial| json!({ "PackageSerialNumber": serial })).into();
            }
            document.to_string().into_bytes()
        }),
        changed("a serial of 70 kB", None, &["too_large"], |path, mut document| {
            if path == "/api/system_status" {
                document["battery_blocks"][0]["PackageSerialNumber"] = "x".repeat(70_000).into();
            }
            document.to_string().into_bytes()
        }),
        kind("other serials each time", None, |asked| {
            let before = asked.before;
            Reply::Whole(served(asked, move |path, mut document| {
                if path == "/api/system_status" {
                    let block =
                        |number| json!({ "PackageSerialNumber": format!("TG{before:08}{number:02}") });
                    document["battery_blocks"] = (0..20).map(block).collect();
                }
                document.to_string().into_bytes()
            }))
        }),
        changed("another gateway", None, &[], |path, mut document| {
            if path == "/api/status" {
                document["din"] = "1232100-00-E--TG999999999999".into();
            }
            document.to_string().into_bytes()
        }),
        kind("a date of long ago", None, |asked| {
            let answer = String::from_utf8(served(asked, plain)).unwrap();
            Reply::Whole(
                answer.replacen("\r\n", "\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 1).into_bytes(),
            )
        }),
    ]
}
