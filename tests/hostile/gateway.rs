//! A gateway that answers whatever a test wants, byte for byte, over real TLS.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Longer than any client waits.
const FOREVER: Duration = Duration::from_secs(600);

/// What somebody asked.
pub struct Asked {
    pub path: String,
    /// Whether it came with a session of any kind.
    pub has_session: bool,
    pub body: Vec<u8>,
    /// How many requests there were before it.
    pub before: usize,
}

/// What happens before TLS.
#[derive(Clone, Copy, PartialEq)]
pub enum Greeting {
    Tls,
    Silence,
    Garbage,
}

/// What comes back: raw bytes, head included.
pub enum Reply {
    Whole(Vec<u8>),
    /// After which the connection ends.
    Last(Vec<u8>),
    /// The first once, the second again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// One byte at a time.
    Dripping(Vec<u8>, Duration),
    /// Nothing comes after it.
    Hang(Vec<u8>),
    Reset,
}

pub type Answers = Rc<dyn Fn(&Asked) -> Reply>;

/// It ends with the test.
pub struct Gateway {
    pub addr: SocketAddr,
    pub answers: Rc<RefCell<Answers>>,
}

impl Gateway {
    pub async fn start(greeting: Greeting, answers: impl Fn(&Asked) -> Reply + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let answers: Answers = Rc::new(answers);
        let answers = Rc::new(RefCell::new(answers));
        let gateway = Self { addr, answers: answers.clone() };
        let tls = tls();
        actix_web::rt::spawn(async move {
            let before = Rc::new(RefCell::new(0));
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away in the middle is no failure.
                let connection = connection(stream, tls.clone(), greeting, answers.clone(), before.clone());
                actix_web::rt::spawn(async move { drop(connection.await) });
            }
        });
        gateway
    }

    /// Answers otherwise from now on.
    pub fn answer(&self, answers: impl Fn(&Asked) -> Reply + 'static) {
        *self.answers.borrow_mut() = Rc::new(answers);
    }

    /// The entry in `PW_GATEWAYS` to reach its customer API.
    pub fn customer(&self, id: &str) -> Value {
        let (host, port) = (self.addr.ip().to_string(), self.addr.port());
        json!({ "id": id, "host": host, "port": port, "password": "secret" })
    }

    /// The entry in `PW_GATEWAYS` to reach it over TEDAPI.
    pub fn tedapi(&self, id: &str) -> Value {
        let (host, port) = (self.addr.ip().to_string(), self.addr.port());
        json!({ "id": id, "host": host, "port": port, "gw_pwd": "secret" })
    }
}

fn tls() -> TlsAcceptor {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["teg".into()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn connection(
    mut stream: TcpStream,
    tls: TlsAcceptor,
    greeting: Greeting,
    answers: Rc<RefCell<Answers>>,
    before: Rc<RefCell<usize>>,
) -> std::io::Result<()> {
    match greeting {
        Greeting::Tls => {}
        Greeting::Silence => tokio::time::sleep(FOREVER).await,
        Greeting::Garbage => return stream.write_all(&[0x77; 2000]).await,
    }
    let mut stream = tls.accept(stream).await?;
    let mut input = BytesMut::new();
    while let Some(mut asked) = request(&mut stream, &mut input).await? {
        asked.before = before.replace_with(|before| *before + 1);
        let answers = answers.borrow().clone();
        match answers(&asked) {
            Reply::Whole(bytes) => stream.write_all(&bytes).await?,
            Reply::Last(bytes) => {
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            Reply::Endless(head, more) => {
                stream.write_all(&head).await?;
                loop {
                    stream.write_all(&more).await?;
                }
            }
            Reply::Dripping(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await?;
                    stream.flush().await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Reply::Hang(bytes) => {
                stream.write_all(&bytes).await?;
                stream.flush().await?;
                tokio::time::sleep(FOREVER).await;
            }
            Reply::Reset => {
                return socket2::SockRef::from(stream.get_ref().0).set_linger(Some(Duration::ZERO));
            }
        }
        stream.flush().await?;
    }
    Ok(())
}

/// The next request; `None` at the end of the connection.
async fn request(stream: &mut TlsStream<TcpStream>, input: &mut BytesMut) -> std::io::Result<Option<Asked>> {
    let end = loop {
        if let Some(end) = input.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&input.split_to(end)).to_ascii_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    while input.len() < length {
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(Asked {
        path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
        has_session: header("cookie").or(header("authorization")).is_some(),
        body: input.split_to(length).to_vec(),
        before: 0,
    }))
}
