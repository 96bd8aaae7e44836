//! Long bodies, rendered a piece at a time beside the threads that answer, as fast as their clients take
//! them.
//!
//! A body exists nowhere as a whole: what one client holds is a piece and a place in the list. What is in a
//! body is the business of the implementations of [`Render`].

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use tokio::sync::{mpsc, oneshot};

use crate::directory::{Entry, Selection};
use crate::slices::SLICE;

/// A piece is at least this long, unless it is the last: it ends with the part that makes it so.
const PIECE: usize = 4 << 10;

type Job = Box<dyn FnOnce() + Send>;

/// Where pieces are rendered: one at a time, however many clients ask. The others wait for their turn, first
/// come first served, and the threads that answer keep their processors. It is one thread, and always the
/// same, because allocators keep for each thread what it has freed.
static RENDERER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
    let (jobs, mut waiting) = mpsc::channel::<Job>(1);
    let work = move || {
        while let Some(job) = waiting.blocking_recv() {
            // The one who waits for the outcome learns that there is none.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    };
    // Without a thread, jobs are refused: the receiver is gone.
    if let Err(error) = std::thread::Builder::new().name("renderer".into()).spawn(work) {
        log::error!("no thread can be started to render long bodies: {error}");
    }
    jobs
});

/// The rest of a body could not be rendered.
#[derive(Debug, thiserror::Error)]
#[error("the answer could not be rendered")]
pub struct Unfinished;

/// Something that is written part by part.
pub trait Render: Send + 'static {
    /// Writes the next part, that of one gateway at most. Whether there may be more.
    fn part(&mut self, out: &mut BytesMut) -> bool;
}

/// Everything at once, for what is known to be short.
pub fn whole(mut render: impl Render) -> Bytes {
    let mut out = BytesMut::new();
    while render.part(&mut out) {}
    out.freeze()
}

/// Does some rendering when it is its turn.
///
/// # Errors
/// If it panics, or there is no thread for it.
pub async fn in_turn<T: Send + 'static>(
    render: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    let (done, outcome) = oneshot::channel();
    let job = move || {
        let _ = done.send(render());
    };
    RENDERER.send(Box::new(job)).await.map_err(|_| Unfinished)?;
    outcome.await.map_err(|_| Unfinished)
}

/// Piece by piece, each rendered when the one before it was taken. A client that does not read keeps what is
/// left of its piece for long, and nothing else: each slice of it is an allocation of its own.
pub fn pieces(render: impl Render) -> impl Stream<Item = Result<Bytes, Unfinished>> {
    let begin = (Some(render), VecDeque::new());
    stream::try_unfold(begin, |(mut render, mut slices): (_, VecDeque<Bytes>)| async {
        while slices.is_empty() {
            let Some(mut unfinished) = render.take() else { return Ok(None) };
            let piece = in_turn(move || {
                let mut out = BytesMut::with_capacity(2 * PIECE);
                let mut is_more = true;
                while is_more && out.len() < PIECE {
                    is_more = unfinished.part(&mut out);
                }
                let slices: VecDeque<_> = out.chunks(SLICE).map(Bytes::copy_from_slice).collect();
                (is_more.then_some(unfinished), slices)
            });
            (render, slices) = piece.await?;
        }
        Ok(slices.pop_front().map(|slice| (slice, (render, slices))))
    })
}

/// What is written for one gateway, given its place in the selection; `false`: nothing, which leaves no
/// trace.
pub type Item = Box<dyn Fn(usize, &Entry, &mut BytesMut) -> bool + Send>;

/// A list of gateways with something around it.
pub struct Listing {
    /// Up to the first item.
    head: Bytes,
    selection: Selection,
    item: Item,
    /// From behind the last item on.
    tail: Bytes,
    /// 0: the head is next; else the place of the next item, counted from 1.
    next: usize,
    /// Nothing is between the head and the next item.
    is_first: bool,
}

impl Listing {
    pub fn new(
        (head, tail): (Bytes, Bytes),
        selection: Selection,
        item: impl Fn(usize, &Entry, &mut BytesMut) -> bool + Send + 'static,
    ) -> Self {
        Self { head, selection, item: Box::new(item), tail, next: 0, is_first: true }
    }

    fn item(&self, place: usize, out: &mut BytesMut) -> bool {
        let Some(entry) = self.selection.get(place) else { return false };
        if !self.is_first {
            out.put_u8(b',');
        }
        // Whatever is wrong with what one gateway reported must not keep the others from being shown.
        let written = catch_unwind(AssertUnwindSafe(|| (self.item)(place, entry, out)));
        written.unwrap_or_else(|_| {
            log::error!(gateway = entry.id.as_str(); "gateway {}: its data cannot be rendered", entry.id);
            false
        })
    }
}

impl Render for Listing {
    fn part(&mut self, out: &mut BytesMut) -> bool {
        let next = self.next;
        self.next += 1;
        if next == 0 {
            out.put_slice(&self.head);
        } else if next <= self.selection.len() {
            let before = out.len();
            if self.item(next - 1, out) {
                self.is_first = false;
            } else {
                out.truncate(before);
            }
        } else {
            out.put_slice(&self.tail);
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::StreamExt;

    use super::*;
    use crate::board::Board;
    use crate::directory::Directory;
    use crate::model::{Aggregate, GatewayFacts, Snapshot, Ttl};

    fn selection(gateways: usize) -> Selection {
        let ttl = Ttl { stale: Duration::ZERO, live: Duration::ZERO };
        let entry = |number: usize| {
            let facts = GatewayFacts { id: format!("g{number}"), ..GatewayFacts::default() };
            let board = Arc::new(Board::new(Snapshot::initial(Arc::new(facts), ttl)));
            Arc::new(Entry::new(format!("g{number}"), board))
        };
        let entries = (0..gateways).map(entry).collect();
        Directory::new(entries, Arc::new(Board::new(Aggregate::default()))).all()
    }

    fn listing(gateways: usize, item: impl Fn(usize, &mut BytesMut) -> bool + Send + 'static) -> Listing {
        let around = (Bytes::from_static(b"["), Bytes::from_static(b"]"));
        Listing::new(around, selection(gateways), move |place, _, out| item(place, out))
    }

    #[test]
    fn who_has_nothing_to_say_or_says_it_wrong_leaves_no_trace() {
        let odd = |place: usize, out: &mut BytesMut| {
            out.put_slice(place.to_string().as_bytes());
            assert_ne!(place, 3, "this one is broken");
            place % 2 == 1
        };
        assert_eq!(whole(listing(6, odd)), "[1,5]");
        assert_eq!(whole(listing(0, odd)), "[]");
    }

    #[tokio::test]
    async fn pieces_are_rendered_as_they_are_taken_and_make_the_same_body() {
        let long = |place: usize, out: &mut BytesMut| {
            out.put_bytes(b'0' + u8::try_from(place % 10).unwrap(), 3000);
            true
        };
        let expected = whole(listing(50, long));
        let pieces: Vec<_> = pieces(listing(50, long)).map(Result::unwrap).collect().await;
        assert!(pieces.iter().all(|piece| piece.len() < 2 * PIECE), "{:?}", pieces.iter().map(Bytes::len));
        assert_eq!(pieces.concat(), expected);
    }
}
