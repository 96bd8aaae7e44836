//! The socket under a connection, for those who must cut it from outside: a connection that waits for its client to read
//! is polled by nobody. Who is cut, and when, is decided elsewhere.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::{SockRef, Socket};

/// The system gives up a silent peer this much later than the service does, which then knows and counts it. The system is
/// the first nevertheless where little is sent: what fits into its buffers has been taken, as far as anybody can see.
const SYSTEM_IS_SLOWER_BY: Duration = Duration::from_secs(3);

/// A handle to the socket, kept beside the connection as its data.
pub struct Connection {
    socket: Socket,
    /// How long a client may take nothing of what waits for it.
    pub stall_limit: Duration,
}

impl Connection {
    /// Ends the connection at once. What the peer has not taken is thrown away; the system would keep it for minutes.
    pub fn cut(&self) {
        let _ = self.socket.set_linger(Some(Duration::ZERO));
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    /// Whether the peer is gone.
    pub fn is_broken(&self) -> bool {
        self.socket.peer_addr().is_err()
    }

    /// Has the system send what there is at once, however small, and hold back at most `buffer` bytes.
    pub fn hurry(&self, buffer: usize) {
        let _ = self.socket.set_tcp_nodelay(true);
        let _ = self.socket.set_send_buffer_size(buffer);
    }
}

/// For `HttpServer::on_connect`: keeps a handle to the socket, and lets the system give up a peer that is gone.
pub fn on_connect(stall_limit: Duration) -> impl Fn(&dyn Any, &mut Extensions) + Send + Sync + Clone {
    move |connection, extensions| {
        let secured = || connection.downcast_ref::<TlsStream<TcpStream>>().map(|stream| stream.get_ref().0);
        let Some(stream) = connection.downcast_ref::<TcpStream>().or_else(secured) else { return };
        let socket = SockRef::from(stream);
        #[cfg(target_os = "linux")]
        let _ = socket.set_tcp_user_timeout(Some(stall_limit + SYSTEM_IS_SLOWER_BY));
        if let Ok(socket) = socket.try_clone() {
            extensions.insert(Arc::new(Connection { socket, stall_limit }));
        }
    }
}
