//! A picture as an answer.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::Instant;

use super::super::State;
use super::super::plumbing::{Refusal, knows, no_such_gateway};
use super::super::route::Later;
use super::super::timeseries::Asked as Parameters;
use super::today::Energies;
use crate::clock::unix_time;
use crate::pictures::{Asked, Draft, Form, Gallery, Sight, SimulatedClock, Unmade};
use crate::settings::DemoClock;

/// When a client that was sent away may come again, seconds.
const AGAIN: u32 = 2;
/// Nothing in it runs, and nothing is fetched for it.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");

/// What is kept for pictures.
#[derive(Default)]
pub(in crate::web) struct Pictures {
    gallery: Gallery,
    energies: Energies,
}

pub(super) fn answer(state: Data<State>, request: HttpRequest, form: Form) -> Later {
    Box::pin(async move { shown(&state, &request, form).await.unwrap_or_else(|refused| *refused) })
}

type Refused = Box<HttpResponse>;

fn refused(refusal: &Refusal) -> Refused {
    Box::new(refusal.answer())
}

async fn shown(state: &State, request: &HttpRequest, form: Form) -> Result<HttpResponse, Refused> {
    let parameters = Parameters::of(request);
    let asked = Asked::read(|name| parameters.text(name))
        .map_err(|why| refused(&Refusal::new(StatusCode::BAD_REQUEST, why)))?;
    let today = state.pictures.energies.of_all(state).await;
    let draft = drafted(state, asked.clone(), form, &today);
    let draft = draft.ok_or_else(|| Box::new(no_such_gateway(asked.site.as_deref().unwrap_or_default())))?;
    // An SVG is compressed for some, which makes it other bytes with the same meaning.
    let weak = if form == Form::Svg { "W/" } else { "" };
    let tag = format!("{weak}\"{}\"", draft.tag);
    if knows(request, &tag) {
        let mut response = HttpResponse::NotModified();
        return Ok(response.insert_header((header::ETAG, tag)).insert_header(REVALIDATE).finish());
    }
    let bytes = state.pictures.gallery.picture(draft).await.map_err(|why| match why {
        Unmade::Busy => {
            let mut response = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, why.to_string()).answer();
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(AGAIN));
            Box::new(response)
        }
        Unmade::Undrawn(_) | Unmade::Panicked => {
            refused(&Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why.to_string()))
        }
    })?;
    let kind = if form == Form::Png { "image/png" } else { "image/svg+xml" };
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, kind))
        .insert_header((header::ETAG, tag))
        .insert_header(REVALIDATE)
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    Ok(response.body(bytes))
}

/// Whoever keeps it asks whether it is still the same.
const REVALIDATE: (header::HeaderName, HeaderValue) =
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));

fn drafted(state: &State, asked: Asked, form: Form, today: &super::today::ByGateway) -> Option<Draft> {
    let snapshots = state.directory.snapshots();
    let sum = state.directory.aggregate.read();
    let simulated = |clock: DemoClock| SimulatedClock {
        hour: clock.hour,
        speed: clock.speed,
        started_at: state.started_at,
    };
    let site = asked.site.clone();
    let sight = Sight {
        snapshots: &snapshots,
        sum: &sum,
        site: site.as_deref(),
        today,
        now: Instant::now(),
        unix: unix_time(),
        demo: state.demo.map(simulated),
    };
    Draft::of(&sight, asked, form)
}
