//! The way to the broker: name look-up, TCP, TLS, and the broker's welcome.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::{Connect, ConnectReturnCode, LastWill, Packet, QoS};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::settings::{BrokerTls, MqttSettings};
use crate::tls::{self, AuthorityError};

/// From the first packet to the broker's welcome.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Larger packets of a broker are refused: nothing it has to say to us is long.
pub(super) const LARGEST_PACKET: usize = 64 << 10;

/// Why there is no connection, or no longer one.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("{host}:{port} cannot be reached: {source}")]
    Unreachable { host: String, port: u16, source: io::Error },
    #[error("{host}:{port} does not answer like a broker within {} s", CONNECT_LIMIT.as_secs())]
    NoWelcome { host: String, port: u16 },
    #[error("no secure connection to {host}: {source}; MQTT_TLS_CA_CERT names the authority that counts")]
    Tls { host: String, source: io::Error },
    #[error("MQTT_HOST={0} is not a name that a certificate could be for")]
    Name(String),
    #[error("MQTT_TLS_CA_CERT: {0}")]
    Authority(#[from] AuthorityError),
    #[error("the broker refuses MQTT_USERNAME and MQTT_PASSWORD")]
    Credentials,
    #[error("the broker refuses this client: {0:?}")]
    Refused(ConnectReturnCode),
    #[error("the broker said something that is not MQTT 3.1.1: {0}")]
    Protocol(String),
    #[error("{host}:{port} closed the connection without a welcome; does it want TLS (MQTT_TLS)?")]
    NotWelcome { host: String, port: u16 },
    #[error("the broker closed the connection; another client with the same MQTT_CLIENT_ID makes it do that")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("the broker has not acknowledged a message for {} s", .0.as_secs())]
    NotAcknowledged(Duration),
    #[error("the broker does not respond")]
    Dead,
}

impl From<rumqttc::Error> for LineError {
    fn from(error: rumqttc::Error) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// TCP or TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A welcomed client.
pub(super) struct Connection {
    pub stream: Box<dyn Stream>,
    /// Received and not read yet.
    pub received: BytesMut,
}

impl Connection {
    /// The next packet that has been received as a whole.
    pub fn packet(&mut self) -> Result<Option<Packet>, LineError> {
        match Packet::read(&mut self.received, LARGEST_PACKET) {
            Ok(packet) => Ok(Some(packet)),
            Err(rumqttc::Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until more is received. Can be dropped without losing anything.
    pub async fn receive(&mut self) -> Result<(), LineError> {
        self.received.reserve(4096);
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) => Err(LineError::Closed),
            Ok(_) => Ok(()),
            Err(error) => Err(LineError::Broken(error)),
        }
    }
}

/// Connects and is welcomed. The broker learns what to publish should this client be gone without a goodbye.
pub(super) async fn connect(settings: &MqttSettings, host: &str) -> Result<Connection, LineError> {
    let port = settings.port;
    let late = |_| LineError::NoWelcome { host: host.to_owned(), port };
    timeout(CONNECT_LIMIT, try_connect(settings, host)).await.map_err(late)?
}

async fn try_connect(settings: &MqttSettings, host: &str) -> Result<Connection, LineError> {
    let unreachable = |source| LineError::Unreachable { host: host.to_owned(), port: settings.port, source };
    let tcp = TcpStream::connect((host, settings.port)).await.map_err(unreachable)?;
    // Messages are gathered before they are sent.
    tcp.set_nodelay(true).map_err(unreachable)?;
    let stream: Box<dyn Stream> = match &settings.tls {
        Some(tls) => Box::new(secured(tcp, host, tls).await?),
        None => Box::new(tcp),
    };
    let mut connection = Connection { stream, received: BytesMut::new() };
    let hello = hello(settings)?;
    connection.stream.write_all(&hello).await.map_err(LineError::Broken)?;
    connection.stream.flush().await.map_err(LineError::Broken)?;
    loop {
        match connection.packet()? {
            None => connection.receive().await.map_err(|error| match error {
                LineError::Closed => LineError::NotWelcome { host: host.to_owned(), port: settings.port },
                other => other,
            })?,
            Some(Packet::ConnAck(welcome)) => {
                return match welcome.code {
                    ConnectReturnCode::Success => Ok(connection),
                    ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                        Err(LineError::Credentials)
                    }
                    other => Err(LineError::Refused(other)),
                };
            }
            Some(_) => return Err(LineError::Protocol("it did not begin with a welcome".into())),
        }
    }
}

/// The first packet.
fn hello(settings: &MqttSettings) -> Result<BytesMut, LineError> {
    let mut connect = Connect::new(settings.client_id.as_str());
    connect.keep_alive = u16::try_from(settings.keep_alive.as_secs()).unwrap_or(u16::MAX);
    connect.last_will =
        Some(LastWill::new(format!("{}/availability", settings.prefix), "offline", QoS::AtLeastOnce, true));
    if let Some(username) = &settings.username {
        let password = settings.password.as_ref().map_or("", |password| password.expose());
        connect.set_login(username.as_str(), password);
    }
    let mut hello = BytesMut::new();
    connect.write(&mut hello)?;
    Ok(hello)
}

async fn secured(tcp: TcpStream, host: &str, tls: &BrokerTls) -> Result<impl Stream + use<>, LineError> {
    // The zone of an address means something on this machine only.
    let address = host.split('%').next().unwrap_or(host).to_owned();
    let name = ServerName::try_from(address).map_err(|_| LineError::Name(host.to_owned()))?;
    let connector = TlsConnector::from(Arc::new(config(tls).await?));
    let failed = |source| LineError::Tls { host: host.to_owned(), source };
    connector.connect(name, tcp).await.map_err(failed)
}

async fn config(broker: &BrokerTls) -> Result<ClientConfig, LineError> {
    if broker.insecure {
        return Ok(tls::any_certificate());
    }
    Ok(tls::checked_by(match &broker.authorities {
        Some(authorities) => tls::authorities(authorities)?,
        None => tls::roots().await,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_a_broker_sends_is_a_packet_or_an_error(
            packets in proptest::collection::vec(
                (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..120)),
                0..4,
            ),
            cut in 0..8_usize,
        ) {
            // Headers are right more often than chance would have it.
            let frame = |(kind, body): (u8, Vec<u8>)| [vec![kind, body.len() as u8], body].concat();
            let mut bytes: Vec<u8> = packets.into_iter().flat_map(frame).collect();
            bytes.truncate(bytes.len().saturating_sub(cut));
            let mut connection =
                Connection { stream: Box::new(tokio::io::empty()), received: BytesMut::from(&bytes[..]) };
            while let Ok(Some(_)) = connection.packet() {}
        }
    }

    #[test]
    fn a_packet_that_is_too_large_is_refused_before_it_is_received() {
        let head = [0x30, 0xff, 0xff, 0xff, 0x7f];
        let mut connection =
            Connection { stream: Box::new(tokio::io::empty()), received: BytesMut::from(&head[..]) };
        assert!(matches!(connection.packet(), Err(LineError::Protocol(_))));
    }
}
