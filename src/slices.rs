//! A body in small pieces, so that a connection's write buffer stays small however large a body is.
//!
//! actix-http copies what a body gives into the buffer of the connection and keeps the buffer's size for as
//! long as the connection lives. A client that asked for a large body and did not read would hold a copy of
//! it. Here it holds a reference and a piece; how long it may do so is decided by what listens for its
//! progress.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;

/// With the head of the response, less than the buffer a connection starts with.
pub const SLICE: usize = 7 << 10;

/// A connection asks its body for more only while less than this waits to be written. For
/// `HttpServer::h1_write_buffer_size`; without it, a connection takes four pieces before it has written one.
pub const WRITE_BUFFER: usize = 1 << 10;

/// Hears how a client takes a body, and ends with the body.
pub trait Progress: Unpin + 'static {
    /// The connection has room: the client took what it was given.
    fn asked(&self) {}

    /// A piece was given.
    fn given(&self) {}
}

/// Gives one piece at a time.
struct Slices<P> {
    /// Where the messages come from.
    body: BoxBody,
    /// What is left of the last one.
    rest: Bytes,
    progress: P,
}

/// `response` with its body in pieces.
pub fn sliced(response: HttpResponse, progress: impl Progress) -> HttpResponse {
    let slices = |body| Slices { body, rest: Bytes::new(), progress };
    response.map_body(|_, body| slices(body)).map_into_boxed_body()
}

impl<P: Progress> MessageBody for Slices<P> {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        this.progress.asked();
        if this.rest.is_empty() {
            this.rest = match ready!(this.body.as_pin_mut().poll_next(context)) {
                Some(Ok(message)) => message,
                other => return Poll::Ready(other),
            };
        }
        this.progress.given();
        let slice = this.rest.split_to(SLICE.min(this.rest.len()));
        Poll::Ready(Some(Ok(slice)))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use futures_util::stream;
    use futures_util::task::noop_waker;

    use super::*;

    /// Notes what it hears.
    #[derive(Clone, Default)]
    struct Notes(Rc<RefCell<String>>);

    impl Progress for Notes {
        fn asked(&self) {
            self.0.borrow_mut().push('a');
        }

        fn given(&self) {
            self.0.borrow_mut().push('g');
        }
    }

    #[test]
    fn a_large_message_comes_in_pieces_and_its_progress_is_heard() {
        let messages: [Bytes; 3] =
            [vec![1; 2 * SLICE + 1808].into(), vec![2; 10].into(), vec![3; SLICE].into()];
        let body = stream::iter(messages.map(Ok::<_, actix_web::Error>));
        let notes = Notes::default();
        let response = sliced(HttpResponse::Ok().streaming(body), notes.clone());
        let mut body = response.into_body();
        let waker = noop_waker();
        let mut given = Vec::new();
        while let Poll::Ready(Some(piece)) = Pin::new(&mut body).poll_next(&mut Context::from_waker(&waker)) {
            given.push(piece.unwrap());
        }
        assert_eq!(given.iter().map(Bytes::len).collect::<Vec<_>>(), [SLICE, SLICE, 1808, 10, SLICE]);
        assert_eq!(given.iter().flatten().filter(|byte| **byte == 1).count(), 2 * SLICE + 1808);
        assert_eq!(*notes.0.borrow(), "agagagagaga", "the last one asks and gets nothing");
    }
}
