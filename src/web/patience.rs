//! How long a client may take nothing of an answer that waits for it.
//!
//! A large body is sent in slices, and the client that stops taking them is disconnected. What happens before there is
//! an answer, and to connections that ask for nothing, is the business of those who listen.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::web::Data;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::State;
use super::plumbing::Streamed;
use crate::connection::Connection;
use crate::slices::{Progress, SLICE, sliced};

/// What the system may hold of a large body for a client, bytes.
const SEND_BUFFER: usize = 64 << 10;

/// `response` with its body in slices, if it is larger than one.
pub(super) fn bounded(state: Data<State>, response: ServiceResponse) -> ServiceResponse {
    let is_small = match response.response().body().size() {
        BodySize::None => true,
        BodySize::Sized(size) => size <= SLICE as u64,
        // What live clients get comes in slices already, and has limits of its own.
        BodySize::Stream => !response.response().extensions().contains::<Streamed>(),
    };
    if is_small {
        return response;
    }
    let (request, response) = response.into_parts();
    let connection = request.conn_data::<Arc<Connection>>().cloned();
    if let Some(connection) = &connection {
        // What waits in the system counts as much as what waits here.
        connection.hurry(SEND_BUFFER);
    }
    let patience = Patience::new(state, connection);
    ServiceResponse::new(request, sliced(response, patience))
}

/// Waits for one client, for as long as its answer is sent.
struct Patience {
    /// Since when the client has something to take.
    since: Rc<Cell<Option<Instant>>>,
    /// Cuts the connection when that was too long ago. `None` where there is nothing to cut.
    watch: Option<JoinHandle<()>>,
}

impl Patience {
    fn new(state: Data<State>, connection: Option<Arc<Connection>>) -> Self {
        let since = Rc::new(Cell::new(None));
        let watched = since.clone();
        let watch = connection.map(|connection| {
            actix_web::rt::spawn(async move {
                await_stall(&watched, &connection).await;
                state.counters.cut(Instant::now());
                connection.cut();
            })
        });
        Self { since, watch }
    }
}

/// Until the client has taken nothing for too long.
async fn await_stall(since: &Cell<Option<Instant>>, connection: &Connection) {
    let mut due = Instant::now() + connection.stall_limit;
    loop {
        sleep_until(due).await;
        let now = Instant::now();
        due = since.get().unwrap_or(now) + connection.stall_limit;
        if due <= now {
            return;
        }
    }
}

impl Progress for Patience {
    fn asked(&self) {
        self.since.set(None);
    }

    fn given(&self) {
        self.since.set(Some(Instant::now()));
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}
