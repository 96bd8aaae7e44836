//! State of recording, and the amount of data.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::super::State;
use super::super::plumbing::json_value;
use super::super::route::Later;
use crate::store::StoreError;
use crate::store::history::queries::{self, Counts};

/// To count takes a second in a large file.
const COUNTED_ANEW: Duration = Duration::from_secs(60);

/// What was counted, and when.
pub(in crate::web) type Counted = std::sync::Mutex<Option<(Instant, Counts)>>;

pub(in crate::web) fn status(state: Data<State>, _: HttpRequest) -> Later {
    Box::pin(async move { json_value(StatusCode::OK, &shown(&state).await) })
}

async fn shown(state: &State) -> Value {
    let names: Map<String, Value> = state
        .directory
        .snapshots()
        .iter()
        .map(|snapshot| (snapshot.gateway.id.clone(), json!(snapshot.gateway.name)))
        .collect();
    let keeping = state.history.keeping();
    let is_on = state.history.is_on();
    let path = state.history.path().filter(|_| is_on).map(Path::to_owned);
    // What cannot be counted is unknown; why is said beside it.
    let counted = if is_on { counted(state).await } else { Ok(Default::default()) };
    let unreadable = counted.as_ref().err().map(StoreError::why);
    let (counts, gateways) = counted.ok().unzip();
    let count = |of: fn(&Counts) -> u64| counts.as_ref().map(of);
    let tally = state.history.tally();
    let number = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let records_signals = is_on && keeping.signals.is_recorded();
    json!({
        "enabled": is_on,
        "retention_seconds": if is_on { keeping.samples.seconds() } else { -1 },
        "daily_retention_seconds": keeping.days.seconds(),
        "db_file": path.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy()),
        "db_size_bytes": if is_on { number(&tally.bytes) } else { 0 },
        "samples": count(|counts| counts.samples),
        "daily_rows": count(|counts| counts.days),
        "signals_enabled": records_signals,
        "signal_retention_seconds": if records_signals { keeping.signals.seconds() } else { -1 },
        "signal_interval_seconds": keeping.signal_interval.as_secs(),
        "signal_series": count(|counts| counts.signal_series),
        "signal_samples": count(|counts| counts.signal_samples),
        "signal_daily_rows": count(|counts| counts.signal_days),
        "write_failures": number(&tally.failures),
        "writes_pending": number(&tally.waiting),
        "write_rejections": number(&tally.rejections),
        "gateways": gateways.unwrap_or_default(),
        "gateway_names": names,
        "partial_samples": count(|counts| counts.partial_samples),
        "slots": count(|counts| counts.slots),
        "recovered_intervals": count(|counts| counts.recovered),
        "most_bytes": keeping.most_bytes,
        "problem": tally.problem().or(unreadable),
    })
}

/// Counts, not older than a minute, and the gateways in the file.
async fn counted(state: &State) -> Result<(Counts, Vec<String>), StoreError> {
    let known = *state.counted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let known = known.filter(|(at, _)| at.elapsed() < COUNTED_ANEW).map(|(_, counts)| counts);
    let (counts, gateways) = state
        .history
        .ask(move |connection| {
            let counts = known.map_or_else(|| queries::counts(connection), Ok)?;
            Ok((counts, queries::gateways(connection)?))
        })
        .await?;
    if known.is_none() {
        let counted = Some((Instant::now(), counts));
        *state.counted.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = counted;
    }
    Ok((counts, gateways))
}
