//! A long WebSocket message in fragments, each of which waits until the connection has room for it. Clients
//! put them together again and see one message.

use std::future::ready;

use actix_http::ws::Item;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::task::yield_now;

use crate::pieces::Unfinished;

/// Longer messages are sent in fragments of this length.
pub(super) const FRAGMENT: usize = 16 << 10;

/// One message of text, made of `pieces`. It ends without its last fragment if a piece is missing.
pub(super) fn of_pieces(
    pieces: impl Stream<Item = Result<Bytes, Unfinished>>,
) -> impl Stream<Item = Result<Item, Unfinished>> {
    let mut is_first = true;
    let mut fragment = move |piece| match std::mem::take(&mut is_first) {
        true => Item::FirstText(piece),
        false => Item::Continue(piece),
    };
    let end = stream::once(ready(Ok(Item::Last(Bytes::new()))));
    pieces.map(move |piece| piece.map(&mut fragment)).chain(end)
}

/// `bytes` in pieces, with a chance for the connection to write each before the next one.
pub(super) fn pieces_of(bytes: Bytes) -> impl Stream<Item = Result<Bytes, Unfinished>> {
    stream::unfold(bytes, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        yield_now().await;
        let piece = rest.split_to(FRAGMENT.min(rest.len()));
        Some((Ok(piece), rest))
    })
}
