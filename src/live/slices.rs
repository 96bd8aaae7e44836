//! A body in small pieces, so that a connection's write buffer stays small however large a message is.
//!
//! actix-http copies what a body gives into the buffer of the connection and keeps the buffer's size for as long as the
//! connection lives. A client that got a large first message would hold as much memory for ever.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;

use super::sessions::Life;

/// With the head of the response, less than the buffer a connection starts with.
const SLICE: usize = 4096;

/// Gives one piece at a time and lets the connection write before the next one.
struct Slices {
    /// Where the messages come from.
    body: BoxBody,
    /// What is left of the last one.
    rest: Bytes,
    /// A piece was given; the connection has not had a chance to write it yet.
    is_given: bool,
    /// Being asked for more is progress.
    life: Arc<Life>,
}

/// `response` with its body in pieces.
pub(super) fn sliced(response: HttpResponse, life: Arc<Life>) -> HttpResponse {
    let slices = |body| Slices { body, rest: Bytes::new(), is_given: false, life };
    response.map_body(|_, body| slices(body)).map_into_boxed_body()
}

impl MessageBody for Slices {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        this.life.progressed();
        if this.rest.is_empty() {
            this.rest = match ready!(this.body.as_pin_mut().poll_next(context)) {
                Some(Ok(message)) => message,
                other => return Poll::Ready(other),
            };
        } else if std::mem::take(&mut this.is_given) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.is_given = true;
        let slice = this.rest.split_to(SLICE.min(this.rest.len()));
        Poll::Ready(Some(Ok(slice)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_web::test::TestRequest;
    use futures_util::stream;
    use futures_util::task::noop_waker;

    use super::super::sessions::Sessions;
    use super::*;

    #[test]
    fn a_large_message_comes_in_pieces_and_the_connection_may_write_between_them() {
        let life = Arc::new(Sessions::new(Duration::from_secs(30)))
            .admit(&TestRequest::default().to_http_request(), &Arc::default())
            .unwrap();
        let messages: [Bytes; 3] = [vec![1; 10_000].into(), vec![2; 10].into(), vec![3; SLICE].into()];
        let body = stream::iter(messages.map(Ok::<_, actix_web::Error>));
        let response = sliced(HttpResponse::Ok().streaming(body), life);
        let mut body = response.into_body();
        let waker = noop_waker();
        let mut given = Vec::new();
        loop {
            match Pin::new(&mut body).poll_next(&mut Context::from_waker(&waker)) {
                Poll::Ready(Some(piece)) => given.push(Some(piece.unwrap())),
                Poll::Pending => given.push(None),
                Poll::Ready(None) => break,
            }
        }
        let sizes: Vec<_> = given.iter().map(|piece| piece.as_ref().map(Bytes::len)).collect();
        assert_eq!(sizes, [Some(4096), None, Some(4096), None, Some(1808), Some(10), Some(4096)]);
        assert_eq!(given.into_iter().flatten().flatten().filter(|byte| *byte == 1).count(), 10_000);
    }
}
