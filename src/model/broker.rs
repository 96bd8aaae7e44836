//! What is known of the connection to the MQTT broker.

use serde::Serialize;

/// Immutable; replaced as a whole. Holds no secret. Keys and their order are those of `/api/mqtt/status`;
/// ours follow at the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BrokerStatus {
    pub enabled: bool,
    pub host: Option<String>,
    pub port: u16,
    pub connected: bool,
    pub topic_prefix: String,
    pub ha_discovery: bool,
    pub qos: u8,
    pub retain: bool,
    pub tls: bool,
    /// What ended or prevented the connection last; stays after that is over.
    pub last_error: Option<String>,
    /// When that was, Unix seconds.
    pub last_error_at: Option<f64>,
    /// Messages that wait for the broker.
    pub queued: usize,
    /// Messages that the broker has taken since the program started.
    pub published: u64,
}
