//! Large answers: sent in slices, and counted where the client did not take them.
//!
//! How long a client may take nothing, and cutting it, is left to [`crate::connections`].

use std::sync::Arc;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::web::Data;
use tokio::time::Instant;

use super::State;
use super::plumbing::Streamed;
use crate::connections::{Connection, Lengthy};
use crate::slices::{Progress, SLICE, sliced};

/// What the system may hold of a large body for a client, bytes.
const SEND_BUFFER: u32 = 64 << 10;

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
    let lengthy = connection.as_ref().map(Connection::answer_at_length);
    let patience = Patience { state, connection, _lengthy: lengthy };
    ServiceResponse::new(request, sliced(response, patience))
}

/// Counts the client if its connection is cut before it has taken the answer.
struct Patience {
    state: Data<State>,
    connection: Option<Arc<Connection>>,
    /// Keeps further requests of the client waiting meanwhile.
    _lengthy: Option<Lengthy>,
}

impl Progress for Patience {}

impl Drop for Patience {
    fn drop(&mut self) {
        if self.connection.as_ref().is_some_and(|connection| connection.is_cut()) {
            self.state.counters.cut(Instant::now());
        }
    }
}
