//! What each fuzz target does with its input: everything the program would do with it, and it must not panic.
//!
//! `fuzz_targets/` hands these to libFuzzer; `tests/fuzz.rs` of the main package runs them over the corpus
//! and over seeded mutations of it, with every test run and on any toolchain. Where the program can encode
//! what it decodes, the two must agree.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use powerwall_server::link::bounds::protobuf::{self, Most};
use powerwall_server::link::bounds::{self, Bounds, LONGEST_ANSWER};
use powerwall_server::link::https::{self, Answer, Call, Exchange};
use powerwall_server::link::json;
use powerwall_server::link::local::LocalLink;
use powerwall_server::link::local::answers::wire::Devices;
use powerwall_server::link::local::answers::{CustomerAnswers, Endpoint};
use powerwall_server::link::memory::Memory;
use powerwall_server::link::tedapi::answers::TedapiAnswers;
use powerwall_server::link::tedapi::channel::FrameChannel;
use powerwall_server::link::tedapi::queries::Queries;
use powerwall_server::link::tedapi::transport::{Request, Transport};
use powerwall_server::link::tedapi::{TedapiLink, frames, wire};
use powerwall_server::link::v1r::message::{self, Routable};
use powerwall_server::link::{Link, LinkError};
use powerwall_server::live::intake::{Intake, MOST_BYTES, MOST_FRAMES, Refusal};
use powerwall_server::model::{Adjustments, Answers, LinkKind, Telemetry};
use powerwall_server::settings::rsa_key::RsaKey;
use powerwall_server::settings::{
    AuthMode, CertificatePolicy, Inputs, LocalConfig, QuerySet, Secret, Settings,
};
use powerwall_server::views::View;
use prost::Message;
use serde_json::Value;

/// What a target does with one input.
pub type Body = fn(&[u8]);

/// Every target by its name, which is also that of its corpus.
pub const TARGETS: [(&str, Body); 13] = [
    ("tedapi_frames", tedapi_frames),
    ("tedapi_documents", tedapi_documents),
    ("tedapi_link", tedapi_link),
    ("customer_documents", customer_documents),
    ("customer_link", customer_link),
    ("http_pieces", http_pieces),
    ("answer_bounds", answer_bounds),
    ("settings_gateways", settings_gateways),
    ("settings_environment", settings_environment),
    ("settings_file", settings_file),
    ("rsa_key", rsa_key),
    ("state_file", state_file),
    ("websocket_intake", websocket_intake),
];

/// Between the parts of an input that has several.
pub const SEPARATOR: &[u8] = b"\n--\xff--\n";
/// No link asks more than this in a turn; a larger number would be a loop.
const MOST_REFRESHES: usize = 40;

fn parts(data: &[u8]) -> Vec<Bytes> {
    let mut parts = Vec::new();
    let mut rest = data;
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        parts.push(Bytes::copy_from_slice(&rest[..at]));
        rest = &rest[at + SEPARATOR.len()..];
    }
    parts.push(Bytes::copy_from_slice(rest));
    parts
}

/// What was understood is understood again after it was written down.
fn round_trip<M: Message + Default + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(read) = M::decode(bytes) {
        let again = M::decode(&*read.encode_to_vec());
        assert_eq!(again.as_ref(), Ok(&read));
    }
}

/// Frames, envelopes and signed messages.
pub fn tedapi_frames(data: &[u8]) {
    round_trip::<wire::Frame>(data);
    round_trip::<wire::Envelope>(data);
    round_trip::<Routable>(data);
    let body = Bytes::copy_from_slice(data);
    let opened = [frames::unwrap(body.clone(), "a test").ok(), message::open(body.clone()).ok(), Some(body)];
    for envelope in opened.into_iter().flatten() {
        let _ = frames::query_answer(envelope.clone(), "a test");
        let _ = frames::config_answer(envelope.clone());
        let _ = frames::system_info_answer(envelope);
    }
}

/// Everything that is shown of a source.
fn show(source: Arc<dyn Answers>) {
    let telemetry = Telemetry::new(source, Adjustments::default());
    let power = &telemetry.readings.power;
    for watts in [power.site, power.battery, power.load, power.solar].into_iter().flatten() {
        assert!(watts.as_f64().is_finite());
    }
    let _ = telemetry.documents();
    for view in View::ALL {
        let _ = telemetry.view(view);
    }
}

/// Configuration, status, controller and components of one gateway.
pub fn tedapi_documents(data: &[u8]) {
    let mut parts = parts(data).into_iter();
    let mut next = || parts.next().unwrap_or_default();
    let mut payloads = TedapiAnswers::new("192.168.91.1");
    payloads.set_din("1707000-11-M--TG1250000001A1");
    let _ = payloads.accept_config(next());
    let _ = payloads.accept_controller(next());
    let units = payloads.powerwall3_units().to_vec();
    for unit in units.iter().take(4) {
        let _ = payloads.accept_components(unit, next());
    }
    let _ = payloads.accept_status(next());
    show(Arc::new(payloads));
}

/// Answers in the order in which they are asked for.
struct Canned(RefCell<VecDeque<Bytes>>);

impl Canned {
    fn new(data: &[u8]) -> Self {
        Self(RefCell::new(parts(data).into()))
    }

    fn next(&self) -> Result<Bytes, LinkError> {
        self.0.borrow_mut().pop_front().ok_or_else(|| LinkError::Unreachable("that was all".into()))
    }
}

impl Transport for Canned {
    fn exchange(&self, _: Request) -> LocalBoxFuture<'_, Result<Bytes, LinkError>> {
        Box::pin(async { self.next() })
    }
}

impl Exchange for Canned {
    /// The first line of an answer has the status and the cookies, separated by `|`.
    fn exchange(&self, _: Call) -> LocalBoxFuture<'_, Result<Answer, LinkError>> {
        Box::pin(async {
            let answer = self.next()?;
            let line = answer.iter().position(|byte| *byte == b'\n').unwrap_or(answer.len());
            let head = String::from_utf8_lossy(&answer[..line]).into_owned();
            let mut head = head.split('|');
            let status = head.next().and_then(|status| status.trim().parse().ok()).unwrap_or(200);
            let set_cookies = head.map(str::to_owned).collect();
            let body = answer.slice((line + 1).min(answer.len())..);
            Ok(Answer { status, set_cookies, body, ..Answer::default() })
        })
    }
}

/// Polls twice, with everything slow in between.
fn use_link(link: &mut dyn Link) {
    for _ in 0..2 {
        if let Some(Ok(source)) = link.poll().now_or_never() {
            show(source);
        }
        for turn in 0..=MOST_REFRESHES {
            assert!(turn < MOST_REFRESHES, "asks and asks");
            match link.refresh().now_or_never() {
                Some(refreshed) if refreshed.more && refreshed.problem.is_none() => {}
                _ => break,
            }
        }
    }
}

/// Bodies as a gateway sends them, through the whole link.
pub fn tedapi_link(data: &[u8]) {
    for set in [QuerySet::V2024_06, QuerySet::V2026_06] {
        let channel = FrameChannel::new(Canned::new(data), LinkKind::Tedapi);
        use_link(&mut TedapiLink::over("home", channel, Queries::of(set), "192.168.91.1"));
    }
}

/// The answers of the customer API, in the order of [`Endpoint::ALL`].
pub fn customer_documents(data: &[u8]) {
    let mut answers = CustomerAnswers::default();
    for (endpoint, answer) in Endpoint::ALL.into_iter().zip(parts(data)) {
        let _ = answers.accept(endpoint, answer);
    }
    answers.set_basic_lan(data.len() % 2 == 1);
    show(Arc::new(answers));
}

/// Answers of the customer API through the whole link, logins included.
pub fn customer_link(data: &[u8]) {
    for auth_mode in [AuthMode::Cookie, AuthMode::Token] {
        let access = LocalConfig {
            host: "192.168.91.1".into(),
            port: 443,
            email: "owner@example.com".into(),
            password: Secret::new("secret"),
            auth_mode,
            timezone: "Europe/Berlin".into(),
            certificate: CertificatePolicy::Off,
        };
        use_link(&mut LocalLink::over("home", Canned::new(data), &access, Memory::new("192.168.91.1", None)));
    }
}

/// Header values and compressed bodies.
pub fn http_pieces(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = https::retry_after(text);
    }
    // Larger ones are inflated by the same code, elsewhere.
    let body = Bytes::copy_from_slice(&data[..data.len().min(60 << 10)]);
    if let Some(Ok(plain)) = https::inflate(body, "a test").now_or_never() {
        assert!(plain.len() <= LONGEST_ANSWER);
    }
}

/// What a tree takes in memory, by what can be seen of it. Checks everything else that is bounded on the way.
fn taken(value: &Value, bounds: &Bounds, depth: usize) -> usize {
    let is_short = |text: &str| assert!(text.len() <= bounds.text);
    match value {
        Value::String(text) => {
            is_short(text);
            text.len()
        }
        Value::Array(list) => {
            assert!(depth < bounds::DEPTH && list.len() <= bounds::ENTRIES);
            let inside: usize = list.iter().map(|value| taken(value, bounds, depth + 1)).sum();
            list.capacity() * size_of::<Value>() + inside
        }
        Value::Object(object) => {
            assert!(depth < bounds::DEPTH && object.len() <= bounds::ENTRIES);
            object.keys().for_each(|key| is_short(key));
            let entry = size_of::<Value>() + size_of::<String>() + size_of::<usize>();
            let inside =
                object.iter().map(|(key, value)| key.len() + entry + taken(value, bounds, depth + 1));
            inside.sum()
        }
        _ => 0,
    }
}

/// Whatever is read of an answer is within its bounds: JSON as it is built, protobuf as it is decoded.
pub fn answer_bounds(data: &[u8]) {
    let small = Bounds { bytes: 4096, memory: 4096, text: 64 };
    for bounds in
        [small, bounds::SMALL, bounds::LOGIN, bounds::METERS, bounds::CONFIG, bounds::components(16)]
    {
        if let Ok(value) = json::document(data, &bounds) {
            assert!(data.len() <= bounds.bytes && taken(&value, &bounds, 0) <= bounds.memory);
        }
    }
    let limits = [
        Most { path: &[1], most: 8, what: "devices" },
        Most { path: &[1, 2], most: 16, what: "measurements" },
        Most { path: &[1, 3], most: 4, what: "alerts" },
    ];
    if protobuf::check(data, &limits, 64).is_ok()
        && let Ok(Devices { devices }) = Devices::decode(data)
    {
        let vitals: usize = devices.iter().map(|device| device.vitals.len()).sum();
        let alerts: usize = devices.iter().map(|device| device.alerts.len()).sum();
        assert!(devices.len() <= 8 && vitals <= 16 && alerts <= 4);
        assert!(devices.iter().flat_map(|device| &device.alerts).all(|alert| alert.len() <= 64));
    }
}

fn load(environment: Vec<(String, String)>) {
    match Settings::load(&Inputs { environment, flags: Vec::new() }) {
        Ok(settings) => assert!(!format!("{settings:?}").is_empty()),
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
}

/// Files that settings may name are not what is tested here, and some never end.
fn names_a_file(text: &str) -> bool {
    text.contains("/dev") || text.contains("/proc") || text.contains("/sys")
}

/// `PW_GATEWAYS`.
pub fn settings_gateways(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if !names_a_file(&text) {
        load(vec![("PW_GATEWAYS".into(), text.into_owned())]);
    }
}

/// `NAME=value`, one a line.
pub fn settings_environment(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if names_a_file(&text) {
        return;
    }
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    load(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
}

/// The file that `PW_CONFIG` names.
pub fn settings_file(data: &[u8]) {
    if names_a_file(&String::from_utf8_lossy(data)) {
        return;
    }
    with_file(data, |path| load(vec![("PW_CONFIG".into(), path.to_owned())]));
}

/// A private key in PEM form.
pub fn rsa_key(data: &[u8]) {
    if let Err(problem) = RsaKey::from_pem(data) {
        assert!(!problem.is_empty());
    }
}

/// What a former run left of sessions, logins and silences.
pub fn state_file(data: &[u8]) {
    with_file(data, |path| {
        let memory: Arc<Memory> = Memory::new("192.168.91.1", Some(path.into()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(memory.recall());
        let _ = (memory.session(), memory.silence_left());
    });
}

/// What a WebSocket client sends, whole and in pieces. Its first byte is their size.
pub fn websocket_intake(data: &[u8]) {
    let Some((&size, said)) = data.split_first() else { return };
    let taken = |size: usize| {
        let (mut intake, mut passed) = (Intake::new(0), BytesMut::new());
        let mut pieces = said.chunks(size);
        let outcome = pieces.try_for_each(|piece| intake.take(0, piece, &mut passed));
        (outcome, passed, intake.is_over())
    };
    let whole = taken(usize::MAX);
    for size in [1, usize::from(size).max(1)] {
        assert_eq!(taken(size), whole, "it makes no difference how it arrives");
    }

    let (outcome, mut passed, is_over) = whole;
    assert!(passed.len() <= usize::from(MOST_BYTES) && passed.len() <= said.len());
    let frames = control_frames(&mut passed);
    assert!(frames.len() <= usize::from(MOST_FRAMES));
    // What is left is the beginning of a frame that has not arrived in full.
    assert!(passed.is_empty() || (outcome.is_ok() && !is_over && passed.len() < LARGEST_CONTROL_FRAME));
    let goodbyes = frames.iter().filter(|opcode| **opcode == 8).count();
    assert_eq!((goodbyes, frames.last() == Some(&8)), (usize::from(is_over), is_over));
    assert!(!is_over || outcome.is_ok());
    let claims_much = said.windows(2).any(|head| matches!(head[1] & 0x7f, 126 | 127));
    assert!(outcome != Err(Refusal::TooLarge) || claims_much);
}

/// Header and payload.
const LARGEST_CONTROL_FRAME: usize = 6 + 125;

/// Takes whole frames off `bytes`, all of them such as a codec may see, and returns their opcodes.
fn control_frames(bytes: &mut BytesMut) -> Vec<u8> {
    let mut opcodes = Vec::new();
    while let [first, second, ..] = bytes[..] {
        assert!(matches!(first, 0x88..=0x8a), "a whole control frame: {first:x}");
        let length = usize::from(second & 0x7f);
        assert!(second >= 0x80 && length <= 125, "masked and short: {second:x}");
        if bytes.len() < 6 + length {
            break;
        }
        let _ = bytes.split_to(6 + length);
        opcodes.push(first & 0x0f);
    }
    opcodes
}

fn with_file(content: &[u8], then: impl FnOnce(&str)) {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), content).unwrap();
    then(file.path().to_str().unwrap());
}
