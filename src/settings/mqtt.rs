//! Variables of the MQTT side → [`MqttSettings`].

use std::path::Path;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use serde::Deserialize;

use super::load::Reader;
use super::problem::Problems;
use super::values::{self, Refusal};
use super::{Access, GatewaySettings, Secret};
use crate::model::BrokerStatus;
use crate::tls::{self, PemError};

/// The broker, and how to publish to it.
#[derive(Clone, Debug, PartialEq)]
pub struct MqttSettings {
    /// `MQTT_HOST`; `None`: no MQTT.
    pub host: Option<String>,
    pub port: u16,
    pub username: Option<String>,
    /// Only counts together with a user name: MQTT 3.1.1 knows no other way.
    pub password: Option<Secret>,
    /// `None`: plain TCP.
    pub tls: Option<BrokerTls>,
    /// What our topics begin with, without a slash at the end.
    pub prefix: String,
    /// What Home Assistant's topics begin with, without a slash at the end.
    pub discovery_prefix: String,
    /// Whether entities are announced to Home Assistant.
    pub discovery: bool,
    /// Whether the broker shall keep values for those who subscribe later.
    pub retain: bool,
    /// 0, 1 or 2.
    pub qos: u8,
    pub client_id: String,
    /// How long the broker waits for a sign of life, times 1.5.
    pub keep_alive: Duration,
    pub layout: Layout,
    /// What may be ordered over the broker.
    pub controls: Controls,
}

/// `MQTT_CONTROLS`, a sum of bits: what may be ordered over the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// 1: the backup reserve, and to hold the present charge.
    pub reserve: bool,
    /// 2
    pub mode: bool,
    /// 4
    pub grid_charging: bool,
    /// 8
    pub grid_export: bool,
    /// 16: disconnecting from the grid, and connecting again.
    pub islanding: bool,
}

impl Controls {
    fn of_bits(bits: u64) -> Self {
        let is_set = |bit: u64| bits & bit != 0;
        Self {
            reserve: is_set(1),
            mode: is_set(2),
            grid_charging: is_set(4),
            grid_export: is_set(8),
            islanding: is_set(16),
        }
    }

    pub fn any(self) -> bool {
        self != Self::default()
    }
}

/// How the broker's certificate is checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerTls {
    /// `MQTT_TLS_CA_CERT`: only these are trusted; `None`: those that the system trusts.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// `MQTT_TLS_INSECURE`: any certificate will do.
    pub insecure: bool,
}

/// Which topics carry the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// `{prefix}/{gateway}/solar`, as pypowerwall-server has them.
    #[default]
    Standard,
    /// Also `{prefix}/solar/instant_power` for the sum of all gateways, as the ESP32 screen and the caching
    /// proxy have them.
    Both,
}

#[derive(Default, Deserialize)]
struct MqttVariables {
    mqtt_host: Option<String>,
    mqtt_port: Option<String>,
    mqtt_username: Option<String>,
    mqtt_password: Option<String>,
    mqtt_tls: Option<String>,
    mqtt_tls_ca_cert: Option<String>,
    mqtt_tls_insecure: Option<String>,
    mqtt_topic_prefix: Option<String>,
    mqtt_ha_prefix: Option<String>,
    mqtt_retain: Option<String>,
    mqtt_qos: Option<String>,
    mqtt_ha_discovery: Option<String>,
    mqtt_client_id: Option<String>,
    mqtt_keepalive: Option<String>,
    mqtt_layout: Option<String>,
    mqtt_controls: Option<String>,
}

const PORT: u16 = 1883;
/// MQTT counts the length of a text in two bytes.
const LONGEST_TEXT: usize = 65_535;

impl Reader {
    pub(super) fn mqtt(&mut self) -> MqttSettings {
        let raw: MqttVariables = self.variables();
        let default = MqttSettings::default();
        let (host, port) = self.broker_address(&raw, default.port);
        self.broker_login(&raw);
        let tls = self.broker_tls(&raw, port);
        let mut text =
            |name, text: Option<String>, default: &str, parse: fn(&str) -> Result<String, Refusal>| {
                self.value(name, text, default.to_owned(), parse, ToString::to_string)
            };
        let prefix = text("MQTT_TOPIC_PREFIX", raw.mqtt_topic_prefix, &default.prefix, topic_prefix);
        let discovery_prefix =
            text("MQTT_HA_PREFIX", raw.mqtt_ha_prefix, &default.discovery_prefix, topic_prefix);
        let client_id = text("MQTT_CLIENT_ID", raw.mqtt_client_id, &default.client_id, client_id);
        let parse_qos = |text: &str| values::integer(text, 0..=2);
        let parse_controls = |text: &str| values::integer(text, 0..=31);
        let controls = self.value("MQTT_CONTROLS", raw.mqtt_controls, 0, parse_controls, ToString::to_string);
        let qos = self.value("MQTT_QOS", raw.mqtt_qos, default.qos.into(), parse_qos, ToString::to_string);
        MqttSettings {
            host,
            port,
            username: raw.mqtt_username,
            password: raw.mqtt_password.map(Secret::new),
            tls,
            prefix,
            discovery_prefix,
            discovery: self.boolean("MQTT_HA_DISCOVERY", raw.mqtt_ha_discovery, default.discovery),
            retain: self.boolean("MQTT_RETAIN", raw.mqtt_retain, default.retain),
            qos: u8::try_from(qos).unwrap_or(default.qos),
            client_id,
            keep_alive: self.seconds(
                "MQTT_KEEPALIVE",
                raw.mqtt_keepalive,
                default.keep_alive.as_secs(),
                5..=65_535,
            ),
            layout: self.value("MQTT_LAYOUT", raw.mqtt_layout, default.layout, layout, |layout| {
                match layout {
                    Layout::Standard => "standard",
                    Layout::Both => "both",
                }
                .to_owned()
            }),
            controls: Controls::of_bits(controls),
        }
    }

    /// Takes back what may be ordered over the broker unless everything is set that it needs: a broker that
    /// knows who somebody is, and somebody here who may give orders.
    pub(super) fn check_controls(&mut self, mqtt: &mut MqttSettings, access: &Access) {
        if !mqtt.controls.any() {
            return;
        }
        let missing = [
            ("MQTT_HOST", mqtt.host.is_none()),
            ("MQTT_USERNAME", mqtt.username.is_none()),
            ("MQTT_PASSWORD", mqtt.password.is_none()),
            ("PW_CONTROL_SECRET", access.tokens.is_empty()),
        ];
        let missing: Vec<&str> =
            missing.into_iter().filter_map(|(name, is_missing)| is_missing.then_some(name)).collect();
        if !missing.is_empty() {
            mqtt.controls = Controls::default();
            self.warnings.push(format!("MQTT_CONTROLS has no effect without {}", missing.join(", ")));
        } else if mqtt.controls.islanding && mqtt.tls.is_none() {
            self.warnings.push(
                "MQTT_CONTROLS has islanding and MQTT_TLS is off: anyone who can read that network can \
                 disconnect the house from the grid"
                    .into(),
            );
        }
    }

    /// The host without its port, and the port from wherever it is given.
    fn broker_address(&mut self, raw: &MqttVariables, default_port: u16) -> (Option<String>, u16) {
        let none = || "(no MQTT)".to_owned();
        let address = self.value("MQTT_HOST", raw.mqtt_host.clone(), None, broker, |address| {
            address.as_ref().map_or_else(none, |(host, _)| host.clone())
        });
        let (host, port_in_host) = address.map_or((None, None), |(host, port)| (Some(host), port));
        let parse_port = |text: &str| values::integer(text, 1..=65_535);
        let port = raw.mqtt_port.clone();
        let port = self.value("MQTT_PORT", port, default_port.into(), parse_port, ToString::to_string);
        let port = u16::try_from(port).unwrap_or(default_port);
        if raw.mqtt_port.is_some() && port_in_host.is_some_and(|in_host| in_host != port) {
            self.problems.add("MQTT_PORT", "differs from the port in MQTT_HOST");
        }
        (host, port_in_host.unwrap_or(port))
    }

    fn broker_login(&mut self, raw: &MqttVariables) {
        if let Some(username) = &raw.mqtt_username {
            self.note("MQTT_USERNAME", username, true);
        }
        if raw.mqtt_password.is_some() {
            self.note("MQTT_PASSWORD", "", true);
            if raw.mqtt_host.is_some() && raw.mqtt_username.is_none() {
                self.warnings.push("MQTT_PASSWORD has no effect without MQTT_USERNAME".into());
            }
        }
    }

    fn broker_tls(&mut self, raw: &MqttVariables, port: u16) -> Option<BrokerTls> {
        let tls = self.boolean("MQTT_TLS", raw.mqtt_tls.clone(), false);
        let insecure = self.boolean("MQTT_TLS_INSECURE", raw.mqtt_tls_insecure.clone(), false);
        let authorities = raw.mqtt_tls_ca_cert.as_ref().and_then(|path| {
            self.note("MQTT_TLS_CA_CERT", path, true);
            certificates(path).map_err(|refusal| self.problems.add("MQTT_TLS_CA_CERT", refusal)).ok()
        });
        if raw.mqtt_host.is_some() {
            self.warn_about_tls(tls, insecure, authorities.is_some(), port);
        }
        tls.then_some(BrokerTls { authorities, insecure })
    }

    fn warn_about_tls(&mut self, tls: bool, insecure: bool, own_authority: bool, port: u16) {
        let mut warn = |text: &str| self.warnings.push(text.to_owned());
        if !tls && (insecure || own_authority) {
            warn("MQTT_TLS_CA_CERT and MQTT_TLS_INSECURE have no effect without MQTT_TLS=yes");
        }
        if tls && port == PORT {
            warn("MQTT_TLS=yes with port 1883: brokers usually expect TLS on MQTT_PORT=8883");
        }
        if tls && insecure {
            warn(
                "MQTT_TLS_INSECURE=yes: anyone between this machine and the broker can read and change \
                 everything",
            );
        }
    }
}

/// No broker, and otherwise what counts where nothing is set.
impl Default for MqttSettings {
    fn default() -> Self {
        Self {
            host: None,
            port: PORT,
            username: None,
            password: None,
            tls: None,
            prefix: "pypowerwall".into(),
            discovery_prefix: "homeassistant".into(),
            discovery: true,
            retain: true,
            qos: 1,
            client_id: "pypowerwall-server".into(),
            keep_alive: Duration::from_secs(60),
            layout: Layout::Standard,
            controls: Controls::default(),
        }
    }
}

impl MqttSettings {
    /// The status before anything happened.
    pub fn initial_status(&self) -> BrokerStatus {
        BrokerStatus {
            enabled: self.host.is_some(),
            host: self.host.clone(),
            port: self.port,
            connected: false,
            topic_prefix: self.prefix.clone(),
            ha_discovery: self.discovery,
            qos: self.qos,
            retain: self.retain,
            tls: self.tls.is_some(),
            last_error: None,
            last_error_at: None,
            queued: 0,
            published: 0,
        }
    }

    /// A gateway's own topics must not be those of the other layout.
    pub(super) fn check_ids(&self, gateways: &[GatewaySettings], problems: &mut Problems) {
        const TAKEN: [&str; 4] = ["site", "battery", "solar", "load"];
        if self.layout == Layout::Standard {
            return;
        }
        for gateway in gateways.iter().filter(|gateway| TAKEN.contains(&gateway.facts.id.as_str())) {
            let id = &gateway.facts.id;
            let what = format!(
                "with both layouts, topics below {}/{id} mean the sum of all gateways; give gateway {id:?} \
                 another id",
                self.prefix
            );
            problems.add("MQTT_LAYOUT", what);
        }
    }
}

fn broker(text: &str) -> Result<Option<(String, Option<u16>)>, Refusal> {
    if text.contains("://") {
        return Err(format!("{text:?} is an address of the web; a name or number of a machine is expected"));
    }
    values::host_and_port(text).map(Some)
}

/// Every certificate in a PEM file.
fn certificates(path: &str) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    tls::certificates(Path::new(path)).map_err(|error| match error {
        PemError::Unreadable(error) => format!("{path:?} cannot be read: {error}"),
        PemError::Missing { .. } => {
            format!("{path:?} holds no certificate (a block that starts with BEGIN CERTIFICATE)")
        }
    })
}

/// What topics may begin with: levels of a topic, without wildcards.
fn topic_prefix(text: &str) -> Result<String, Refusal> {
    let text = text.trim_end_matches('/');
    let plain = !text.contains(['+', '#', '\0']) && !text.starts_with(['/', '$']);
    match plain && !text.is_empty() && text.len() <= 256 && text.split('/').all(|level| !level.is_empty()) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not levels of a topic such as home/powerwall, without + and #")),
    }
}

fn client_id(text: &str) -> Result<String, Refusal> {
    match text.len() <= LONGEST_TEXT && !text.contains('\0') {
        true => Ok(text.to_owned()),
        false => Err("too long".into()),
    }
}

fn layout(text: &str) -> Result<Layout, Refusal> {
    match text.to_ascii_lowercase().as_str() {
        "standard" => Ok(Layout::Standard),
        "both" => Ok(Layout::Both),
        _ => Err(format!("{text:?} is neither standard nor both")),
    }
}
