//! What the statistics say of Tesla's cloud beside local links, in the words of the servers before.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::clock::unix_time;
use crate::model::{LinkHealth, LinkKind, Present, Snapshot};

/// From so many failures in a row on, the cloud counts as not available.
const UNAVAILABLE: u32 = 3;

fn is_cloud(link: &LinkHealth) -> bool {
    matches!(link.kind, LinkKind::FleetApi | LinkKind::Cloud)
}

fn is_local(link: &LinkHealth) -> bool {
    !is_cloud(link) && link.kind != LinkKind::Relay
}

/// The cloud link of the first gateway that has one beside a local link.
fn beside(snapshots: &[Arc<Snapshot>]) -> Option<(&Snapshot, &LinkHealth)> {
    snapshots.iter().find_map(|snapshot| {
        let links = &snapshot.health.links;
        let cloud = links.iter().find(|link| is_cloud(link))?;
        let has_local = links.iter().any(is_local);
        has_local.then_some((&**snapshot, cloud))
    })
}

fn state(cloud: &LinkHealth) -> &'static str {
    match (cloud.last_success, cloud.failures) {
        (None, _) | (_, UNAVAILABLE..) => "unavailable",
        (Some(_), 0) if cloud.last_error.is_none() => "healthy",
        (Some(_), _) => "degraded",
    }
}

/// Whether the gateways answer that have a link to them; null where none has one.
pub(super) fn local_healthy(snapshots: &[Arc<Snapshot>]) -> Option<bool> {
    let mut links = snapshots.iter().filter_map(|snapshot| {
        let mut local = snapshot.health.links.iter().filter(|link| is_local(link)).peekable();
        local.peek()?;
        // Of several ways to a gateway, one is enough.
        Some(local.any(|link| link.failures == 0 && link.last_error.is_none()))
    });
    let first = links.next()?;
    Some(first && links.all(|is_well| is_well))
}

/// Whether the cloud works; `None`: no local gateway has it.
pub(super) fn healthy(snapshots: &[Arc<Snapshot>]) -> Option<bool> {
    beside(snapshots).map(|(_, cloud)| state(cloud) == "healthy")
}

/// `cloud_control`; null without such a link. Settings are those of the gateway, whichever link read them.
pub(super) fn described(snapshots: &[Arc<Snapshot>]) -> Value {
    let Some((snapshot, cloud)) = beside(snapshots) else { return Value::Null };
    let now = Instant::now();
    let succeeded = cloud.last_success.map(|at| unix_time() - (now - at).as_secs_f64());
    let known = snapshot.telemetry(now).map(|telemetry| Present::of(&telemetry.readings));
    let known = known.unwrap_or_default();
    let taken = snapshot.reading.as_ref().map(|reading| reading.taken_at);
    let reserve = known.reserve.map(|reserve| reserve.to_app_reserve().0);
    let was_asked = cloud.last_success.is_some() || cloud.last_error.is_some();
    let at = |is_known: bool| taken.filter(|_| is_known);
    json!({
        "configured": true,
        "connected": cloud.last_success.is_some(),
        "state": state(cloud),
        "healthy": state(cloud) == "healthy",
        // None as long as nothing was asked.
        "consecutive_failures": was_asked.then_some(cloud.failures),
        "last_success_time": succeeded,
        "last_known_mode": known.mode,
        "last_known_mode_time": at(known.mode.is_some()),
        "last_known_reserve": reserve,
        "last_known_reserve_time": at(reserve.is_some()),
        "last_known_grid_charging": known.charging,
        "last_known_grid_charging_time": at(known.charging.is_some()),
        "last_known_grid_export": known.export,
        "last_known_grid_export_time": at(known.export.is_some()),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{ErrorNote, GatewayFacts, Ttl};

    fn link(kind: LinkKind, has_worked: bool, failures: u32) -> LinkHealth {
        let note = ErrorNote { kind: "busy", message: "HTTP 503".into() };
        LinkHealth {
            kind,
            in_use: false,
            why: String::new(),
            last_success: has_worked.then(Instant::now),
            last_error: (failures > 0).then_some(note),
            failures,
            next_try: None,
        }
    }

    fn house(links: &[LinkHealth]) -> Vec<Arc<Snapshot>> {
        let second = Duration::from_secs(1);
        let ttl = Ttl::new(second, second, 30 * second, true);
        let mut snapshot = Snapshot::initial(Arc::new(GatewayFacts::default()), ttl);
        snapshot.health.links = links.to_vec();
        vec![Arc::new(snapshot)]
    }

    #[test]
    fn one_or_two_failures_are_a_degraded_cloud_and_three_are_none() {
        let local = || link(LinkKind::Tedapi, true, 0);
        for (has_worked, failures, state, known) in [
            (false, 0, "unavailable", None),
            (false, 2, "unavailable", Some(2)),
            (true, 0, "healthy", Some(0)),
            (true, 1, "degraded", Some(1)),
            (true, 2, "degraded", Some(2)),
            (true, 3, "unavailable", Some(3)),
        ] {
            let cloud = link(LinkKind::FleetApi, has_worked, failures);
            let said = described(&house(&[local(), cloud]));
            assert_eq!(
                (said["state"].as_str(), &said["healthy"]),
                (Some(state), &(state == "healthy").into())
            );
            assert_eq!(said["consecutive_failures"].as_u64(), known, "null while nothing was asked: {said}");
        }
        for beside in [vec![local()], vec![link(LinkKind::Cloud, true, 0)], vec![]] {
            assert_eq!((described(&house(&beside)), healthy(&house(&beside))), (Value::Null, None));
        }
    }

    #[test]
    fn one_way_to_a_gateway_is_enough_and_none_is_unknown() {
        let works = |links: &[LinkHealth]| local_healthy(&house(links));
        let (good, bad) = (link(LinkKind::Tedapi, true, 0), link(LinkKind::V1r, true, 1));
        assert_eq!(works(&[bad.clone(), good]), Some(true));
        assert_eq!(works(&[bad]), Some(false));
        assert_eq!(works(&[link(LinkKind::FleetApi, true, 0), link(LinkKind::Relay, true, 0)]), None);
    }
}
