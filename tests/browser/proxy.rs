//! A proxy that serves what is behind it below a path of its own, and says so to nobody.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// The longest head of a request that a browser sends here.
const LONGEST_HEAD: usize = 64 << 10;

/// Serves `behind` below `prefix`; anything else is 404. Ends with the test.
pub async fn below(prefix: &'static str, behind: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    actix_web::rt::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            actix_web::rt::spawn(async move {
                // A browser may go away at any moment.
                let _ = pass(client, prefix, behind).await;
            });
        }
    });
    addr
}

async fn pass(mut client: TcpStream, prefix: &str, behind: SocketAddr) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let (line, rest) = head.split_once("\r\n").unwrap_or_default();
    let Some(line) = stripped(line, prefix) else {
        return client
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await;
    };
    // Each request on a connection of its own, so that every head passes here.
    let rest = match rest.to_ascii_lowercase().contains("upgrade: websocket") {
        true => rest.to_owned(),
        false => rest.replace("Connection: keep-alive\r\n", "Connection: close\r\n"),
    };
    let mut server = TcpStream::connect(behind).await?;
    server.write_all(format!("{line}\r\n{rest}").as_bytes()).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// `GET /house/soe HTTP/1.1` → `GET /soe HTTP/1.1`
fn stripped(line: &str, prefix: &str) -> Option<String> {
    let (method, rest) = line.split_once(' ')?;
    let path = rest.strip_prefix(prefix)?;
    path.starts_with('/').then(|| format!("{method} {path}"))
}
