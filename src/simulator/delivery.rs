//! The way of an answer back to the client, and whatever goes wrong with it.

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::sleep;

use super::faults::Fault;
use super::gateway::Gateway;
use super::http::{Answer, DENIED};

/// What becomes of the connection.
pub(super) enum After {
    Keep,
    Close,
    Reset,
    /// Closed without a word on the TLS layer.
    Drop,
}

/// An answer on its way.
pub(super) struct Delivery {
    answer: Answer,
    /// What becomes of the connection once the answer is written.
    pub after: After,
    /// Bytes at a time, and the pause after them; `None`: all at once.
    pace: Option<(usize, Duration)>,
    /// Where the answer ends too early.
    cut: Option<Cut>,
    /// Whether it is sent as HTTP/1.0, without a length.
    is_old: bool,
    /// How often it is sent.
    times: usize,
}

enum Cut {
    /// After so many bytes, head included.
    At(usize),
    HalfBody,
}

impl Delivery {
    /// Of an answer with which nothing is wrong yet.
    pub fn of(answer: Answer) -> Self {
        Self { answer, after: After::Keep, pace: None, cut: None, is_old: false, times: 1 }
    }

    /// Makes `fault` of `gateway` go wrong with it. Faults of the connection change no answer.
    ///
    /// # Errors
    /// If the body cannot be compressed.
    pub fn suffer(&mut self, fault: Fault, gateway: &Gateway) -> std::io::Result<()> {
        match fault {
            Fault::Refuse | Fault::HangInHandshake | Fault::Hang | Fault::Latency(_) => {}
            Fault::Status { code, retry_after } => {
                self.answer = Answer::new(code, "");
                if let Some(seconds) = retry_after {
                    self.answer.headers += &format!("Retry-After: {seconds}\r\n");
                }
            }
            Fault::LockOut => {
                gateway.counters.refused.fetch_add(1, Ordering::Relaxed);
                self.answer = Answer::new(403, DENIED);
            }
            Fault::RateLimit { requests, window } => {
                if gateway.is_over_limit(requests, window) {
                    self.answer = Answer::new(429, "");
                }
            }
            Fault::Garbage => self.answer = Answer::new(200, "\u{7f}no protobuf, no JSON"),
            Fault::EmptyBody => self.answer = Answer::new(200, ""),
            Fault::Gzip { declared } => {
                self.answer.body = gzip(&self.answer.body)?;
                if declared {
                    self.answer.headers += "Content-Encoding: gzip\r\n";
                }
            }
            Fault::SlowBytes { bytes, every } => self.pace = Some((bytes.max(1), every)),
            Fault::ResetAt(bytes) => {
                self.cut = Some(Cut::At(bytes));
                self.after = After::Reset;
            }
            Fault::Twice => self.times = 2,
            Fault::Http10 => {
                self.is_old = true;
                self.after = After::Drop;
            }
            Fault::HalfBody => {
                self.cut = Some(Cut::HalfBody);
                self.after = After::Close;
            }
        }
        Ok(())
    }

    /// Everything that is written, head and body.
    fn bytes(&self) -> Vec<u8> {
        let Answer { status, headers, body } = &self.answer;
        let head = match self.is_old {
            true => format!("HTTP/1.0 {status} Simulated\r\n{headers}\r\n"),
            false => {
                format!("HTTP/1.1 {status} Simulated\r\nContent-Length: {}\r\n{headers}\r\n", body.len())
            }
        };
        let whole = [head.as_bytes(), body].concat();
        let mut bytes = whole.repeat(self.times);
        match self.cut {
            Some(Cut::HalfBody) => bytes.truncate(whole.len() - body.len() / 2),
            Some(Cut::At(length)) => bytes.truncate(length),
            None => {}
        }
        bytes
    }

    /// Writes it to `stream`.
    ///
    /// # Errors
    /// If the client is gone.
    pub async fn send(&self, stream: &mut (impl AsyncWrite + Unpin)) -> std::io::Result<()> {
        let bytes = self.bytes();
        match self.pace {
            Some((step, pause)) => {
                for part in bytes.chunks(step) {
                    stream.write_all(part).await?;
                    stream.flush().await?;
                    sleep(pause).await;
                }
            }
            None => stream.write_all(&bytes).await?,
        }
        stream.flush().await
    }
}

fn gzip(plain: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain)?;
    Ok(encoder.finish()?.into())
}
