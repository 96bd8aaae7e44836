//! The stream of a connection: passes everything on, and marks when what was read and written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::{Connection, Place};

/// What bytes go over.
#[derive(Debug)]
pub enum Wire {
    Plain(TcpStream),
    /// Boxed, as it is much larger.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where the head of a request ends.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// A stream whose connection is watched, and can be cut at any time.
///
/// It passes on one head at a time, and none while a long answer is sent: whoever reads would parse, and
/// keep, as many requests as a client sends without reading an answer.
#[derive(Debug)]
pub struct Watched {
    wire: Wire,
    /// What was read behind the head that was passed on last.
    ahead: BytesMut,
    /// Whether that head was passed on just now, so that it is looked at before the next one.
    has_passed_head: bool,
    /// Given back when the stream is dropped.
    place: Place,
}

impl Watched {
    pub fn new(wire: Wire, place: Place) -> Self {
        Self { wire, ahead: BytesMut::new(), has_passed_head: false, place }
    }

    pub fn connection(&self) -> &Arc<Connection> {
        self.place.connection()
    }

    fn socket(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => stream.get_ref().0,
        }
    }

    fn hurry(&self, send_buffer: u32) {
        let socket = SockRef::from(self.socket());
        let _ = socket.set_tcp_nodelay(true);
        let _ = socket.set_send_buffer_size(send_buffer as usize);
    }

    fn check(&self) -> io::Result<()> {
        if !self.connection().is_cut() {
            return Ok(());
        }
        if self.connection().is_reset() {
            let _ = SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
        }
        Err(io::ErrorKind::ConnectionAborted.into())
    }

    /// Marks what the system says of a peer that is gone. One that ends TLS without a word has not broken
    /// anything.
    fn heard<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &outcome
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            self.connection().broke();
        }
        outcome
    }

    /// Passes on what was read before, as far as `buffer` has room.
    fn pass_on_ahead(&mut self, buffer: &mut ReadBuf<'_>) {
        let whole = self.ahead.len().min(buffer.remaining());
        let passed = self.ahead.split_to(whole);
        buffer.put_slice(&passed);
        // Nothing of a burst is kept for longer than it takes.
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
    }

    /// Takes back what follows the first head of what was filled in from `before` on.
    fn keep_ahead(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let new = &buffer.filled()[before..];
        let end = new.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD);
        let Some(end) = end.map(|end| end + END_OF_HEAD.len()).filter(|end| *end < new.len()) else { return };
        let mut ahead = BytesMut::from(&new[end..]);
        ahead.unsplit(std::mem::take(&mut self.ahead));
        self.ahead = ahead;
        buffer.set_filled(before + end);
        self.has_passed_head = true;
    }

    /// To be called after a poll that ends with pending.
    fn pending<T>(&self, context: &Context<'_>) -> Poll<io::Result<T>> {
        self.connection().wake_when_cut(context.waker());
        // It may have been cut just before.
        self.check().map_or_else(|error| Poll::Ready(Err(error)), |()| Poll::Pending)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        if this.connection().is_answered_at_length() {
            return this.pending(context);
        }
        if std::mem::take(&mut this.has_passed_head) {
            context.waker().wake_by_ref();
            return this.pending(context);
        }
        let before = buffer.filled().len();
        if this.ahead.is_empty() {
            let outcome = match &mut this.wire {
                Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
                Wire::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            };
            if outcome.is_pending() {
                return this.pending(context);
            }
            if !matches!(outcome, Poll::Ready(Ok(()))) {
                return this.heard(outcome);
            }
        } else {
            this.pass_on_ahead(buffer);
        }
        if this.connection().is_for_heads() {
            this.keep_ahead(buffer, before);
        }
        if buffer.filled().len() > before {
            this.connection().has_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check()?;
        if let Some(send_buffer) = this.connection().wanted_buffer() {
            this.hurry(send_buffer);
        }
        let outcome = match &mut this.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        if outcome.is_pending() {
            this.connection().takes_nothing();
            return this.pending(context);
        }
        if matches!(outcome, Poll::Ready(Err(_))) {
            return this.heard(outcome);
        }
        this.connection().has_written();
        if this.connection().is_pipelined() {
            // actix-http stops reading its buffer while sixteen requests wait, and does not look at it again
            // when they are answered unless it is woken.
            context.waker().wake_by_ref();
        }
        outcome
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        let Wire::Tls(stream) = &mut this.wire else { return Poll::Ready(Ok(())) };
        let outcome = Pin::new(stream).poll_flush(context);
        if outcome.is_pending() {
            this.connection().takes_nothing();
            return this.pending(context);
        }
        this.connection().has_flushed();
        outcome
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check()?;
        let outcome = match &mut this.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        };
        if outcome.is_pending() { this.pending(context) } else { outcome }
    }
}
