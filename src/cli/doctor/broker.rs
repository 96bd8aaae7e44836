//! Tries the connection to the broker of a fleet, and says what is there for a site and for a centre.

use std::fmt::Write;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Diagnosis;
use crate::nats::letters::Undelivered;
use crate::nats::{Broker, CENTRE_INBOX};
use crate::settings::BrokerSettings;

/// For the connection; the names of servers are looked up, TLS is agreed on.
const LIMIT: Duration = Duration::from_secs(12);
/// Servers that were not reachable, or refused, within this are not waited for.
const REFUSED: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(250);

/// Whether there is a connection in time. What is refused is refused again.
async fn connects(broker: &Broker) -> bool {
    let began = Instant::now();
    loop {
        let is_refused = broker.trouble().is_some() && began.elapsed() >= REFUSED;
        if timeout(LOOK, broker.there()).await.is_ok() {
            return true;
        }
        if is_refused || began.elapsed() >= LIMIT {
            return false;
        }
    }
}

/// Examines the broker of `settings`. Publishes nothing.
pub async fn examine(settings: &BrokerSettings) -> Diagnosis {
    let mut report = format!("broker {}\n", settings.name());
    let mut healthy = true;
    let site = settings.site.as_ref();
    let inbox = site.map_or(CENTRE_INBOX.to_owned(), |site| Broker::inbox_of_site(&site.id));
    let broker = match Broker::connect(settings, &inbox).await {
        Ok(broker) => broker,
        Err(why) => {
            let _ = writeln!(report, "  connection    {why}");
            return Diagnosis { report, healthy: false };
        }
    };
    if !connects(&broker).await {
        let why = broker.trouble().unwrap_or_else(|| "no server answers".to_owned());
        let _ = writeln!(report, "  connection    failed: {why}");
        return Diagnosis { report, healthy: false };
    }
    let _ = writeln!(report, "  connection    works");
    if let Some(site) = site {
        let (journal, subject) = (broker.subjects.journal_stream(), broker.subjects.journal(&site.id));
        let said = match broker.last(&journal, &subject).await {
            Ok(Some(kept)) => format!("entry {} of the journal is from here", kept.sequence),
            Ok(None) => "the stream of journals is there and has nothing from here".to_owned(),
            Err(why) => {
                healthy = false;
                // Who may not ask is not answered.
                let hint = match why {
                    Undelivered::Silent => "; look at the permissions of this site (docs/fleet.md)",
                    _ => "",
                };
                format!("{why}{hint}")
            }
        };
        let _ = writeln!(report, "  site          {}: {said}", site.id);
    }
    if !settings.watched.is_empty() && site.is_none() {
        for name in [broker.subjects.slots_stream(), broker.subjects.journal_stream()] {
            let said = match broker.jetstream.get_stream(&name).await {
                Ok(stream) => {
                    let state = &stream.cached_info().state;
                    format!("{} messages, {} MB", state.messages, state.bytes / 1_000_000)
                }
                Err(_) => "is not there, or may not be seen; a centre makes it when it starts".to_owned(),
            };
            let _ = writeln!(report, "  stream        {name}: {said}");
        }
    }
    Diagnosis { report, healthy }
}
