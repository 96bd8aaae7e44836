//! The bytes of a WebSocket client on their way to the codec, as far as [`Intake`] lets them through.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use super::intake::Intake;
use super::sessions::Life;

/// What a client sends. After a refusal it is not read any more: its system holds the rest back, at no cost
/// here, until the connection is cut.
pub(super) struct Guarded<S> {
    payload: S,
    intake: Intake,
    /// Learns why the client is refused, which an error of a payload cannot say.
    life: Arc<Life>,
}

impl<S> Guarded<S> {
    pub fn new(payload: S, life: Arc<Life>) -> Self {
        Self { payload, intake: Intake::new(life.second()), life }
    }
}

impl<S> Stream for Guarded<S>
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.get_mut();
        if this.life.why_cut().is_some() {
            return Poll::Pending;
        }
        while !this.intake.is_over() {
            let bytes = match ready!(Pin::new(&mut this.payload).poll_next(context)) {
                Some(Ok(bytes)) => bytes,
                end => return Poll::Ready(end),
            };
            let mut passed = BytesMut::new();
            if let Err(refusal) = this.intake.take(this.life.second(), &bytes, &mut passed) {
                this.life.cut_for(refusal.into());
                return Poll::Ready(Some(Err(PayloadError::Overflow)));
            }
            if !passed.is_empty() {
                return Poll::Ready(Some(Ok(passed.freeze())));
            }
        }
        Poll::Ready(None)
    }
}
