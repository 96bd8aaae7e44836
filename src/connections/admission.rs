//! Who may connect: the share of each client, the sum of all, places kept for this machine; and cutting what
//! is overdue.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use log::{debug, warn};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::connection::{Overdue, Ticks};
use super::{Connection, Limits, TICK};
use crate::client::{Client, TrustedProxies};

/// Refusals are a line of the log this often, however many there are.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// Why a client may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("this address has as many connections as one may have")]
    Client,
    #[error("the service has as many connections as it can have")]
    Service,
}

/// What is counted of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Open now.
    pub open: usize,
    /// Cut because they took too long.
    pub overdue: u64,
    /// Turned away because there was no place.
    pub refused: u64,
}

/// All connections of the service.
#[derive(Debug)]
pub struct Connections {
    limits: Limits,
    trusted: TrustedProxies,
    /// The gateway of this network: many clients may be behind it.
    gateway: Option<IpAddr>,
    ticks: Arc<Ticks>,
    register: Mutex<Register>,
    /// Connections that took too long.
    cut: AtomicU64,
    /// Connections that found no place.
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Register {
    /// Every connection, at the slot it knows.
    all: Vec<Arc<Connection>>,
    /// How many connections each client has, those in kept places aside.
    by_client: HashMap<Client, usize>,
    /// Connections in places that are kept for this machine, the oldest first.
    kept: VecDeque<Weak<Connection>>,
    /// When a refusal was last a line of the log.
    complained: Option<Instant>,
    /// Whether it was said that a house may be behind the gateway.
    is_gateway_noticed: bool,
}

/// The place of one connection among all. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    connection: Arc<Connection>,
    is_kept: bool,
    all: Arc<Connections>,
}

impl Place {
    pub fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.all.register().leave(&self.connection, self.is_kept);
    }
}

impl Connections {
    /// `gateway` is the one of this network, if it is known.
    pub fn new(limits: Limits, trusted: TrustedProxies, gateway: Option<IpAddr>) -> Self {
        Self {
            limits,
            trusted,
            gateway,
            ticks: Arc::default(),
            register: Mutex::default(),
            cut: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.register().all.len()
    }

    pub fn counts(&self) -> ConnectionCounts {
        ConnectionCounts {
            open: self.count(),
            overdue: self.cut.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }

    /// A place for a connection from `peer` to `local`.
    ///
    /// # Errors
    /// If there is none.
    pub fn admit(self: &Arc<Self>, peer: IpAddr, local: Option<IpAddr>) -> Result<Place, Full> {
        let client = Client::from(peer);
        let mut register = self.register();
        let held = register.by_client.get(&client).copied().unwrap_or_default();
        let full = if register.all.len() - register.kept.len() >= self.limits.total {
            Some(Full::Service)
        } else {
            (held >= self.limits.per_client && !self.trusted.contains(peer)).then_some(Full::Client)
        };
        let is_this_machine = client.is_loopback() || local.is_some_and(|local| client == local.into());
        if let Some(full) = full {
            let may_complain = register.may_complain();
            let kept =
                (is_this_machine && self.limits.kept > 0).then(|| self.keep_place(client, &mut register));
            drop(register);
            if may_complain {
                complain(full, client, held);
            }
            let Some(connection) = kept else {
                self.refused.fetch_add(1, Relaxed);
                return Err(full);
            };
            return Ok(Place { connection, is_kept: true, all: self.clone() });
        }
        *register.by_client.entry(client).or_default() += 1;
        let connection = register.enter(Connection::new(client, self.ticks.clone(), None));
        let may_be_house = self.gateway == Some(peer.to_canonical()) && !self.trusted.contains(peer);
        let is_noticed = may_be_house && self.is_many(held + 1) && register.notice_gateway();
        drop(register);
        if is_noticed {
            notice_house(client, held + 1, self.limits.per_client);
        }
        Ok(Place { connection, is_kept: false, all: self.clone() })
    }

    /// More than one client is likely to have.
    fn is_many(&self, held: usize) -> bool {
        held * 4 >= self.limits.per_client
    }

    /// A place beyond all limits, for a moment. The newest gets it: a client that only asks whether the
    /// service is alive is done before others come, and one that stays has had it long enough.
    fn keep_place(&self, client: Client, register: &mut Register) -> Arc<Connection> {
        if register.kept.len() >= self.limits.kept
            && let Some(oldest) = register.kept.pop_front().and_then(|connection| connection.upgrade())
        {
            oldest.cut();
        }
        let connection = Connection::new(client, self.ticks.clone(), Some(self.limits.kept_for));
        let connection = register.enter(connection);
        register.kept.push_back(Arc::downgrade(&connection));
        connection
    }

    /// Cuts what is overdue, for as long as the service runs.
    pub async fn watch(self: Arc<Self>) {
        let mut tick = interval(TICK);
        // A process that was stopped has not let its clients wait.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.look();
        }
    }

    fn look(&self) {
        let now = self.ticks.advance();
        for connection in &self.register().all {
            if connection.is_cut() {
                continue;
            }
            if let Some(overdue) = connection.overdue(now, &self.limits) {
                debug!(
                    event = "connection_cut", client:% = connection.client, reason:? = overdue;
                    "a connection took too long: {overdue:?}"
                );
                self.cut.fetch_add(1, Relaxed);
                match overdue {
                    Overdue::Stalled => connection.reset(),
                    _ => connection.cut(),
                }
            }
        }
    }
}

impl Register {
    fn enter(&mut self, connection: Connection) -> Arc<Connection> {
        let connection = Arc::new(connection);
        connection.slot.store(self.all.len(), Relaxed);
        self.all.push(connection.clone());
        connection
    }

    fn leave(&mut self, connection: &Arc<Connection>, is_kept: bool) {
        let slot = connection.slot.load(Relaxed);
        self.all.swap_remove(slot);
        if let Some(moved) = self.all.get(slot) {
            moved.slot.store(slot, Relaxed);
        }
        if is_kept {
            self.kept.retain(|kept| !std::ptr::eq(kept.as_ptr(), Arc::as_ptr(connection)));
        } else if let Entry::Occupied(mut held) = self.by_client.entry(connection.client) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }

    /// Whether this is the first time.
    fn notice_gateway(&mut self) -> bool {
        !std::mem::replace(&mut self.is_gateway_noticed, true)
    }

    fn may_complain(&mut self) -> bool {
        let now = Instant::now();
        let may = self.complained.is_none_or(|last| now.saturating_duration_since(last) >= LINE_EVERY);
        if may {
            self.complained = Some(now);
        }
        may
    }
}

fn complain(full: Full, client: Client, held: usize) {
    match full {
        Full::Client => warn!(
            event = "connections_full", client:% = client, connections = held;
            "{client} has {held} connections, its share, and gets no more; if many clients are behind it, \
             name it in PW_TRUSTED_PROXIES if it is your reverse proxy, or raise PW_CONNECTIONS_PER_ADDRESS"
        ),
        Full::Service => warn!(
            event = "connections_full", client:% = client, connections = held;
            "no more connections can be open; {client}, which has {held}, gets no more. The limit follows \
             from the number of files that the program may open (ulimit -n)"
        ),
    }
}

fn notice_house(client: Client, held: usize, share: usize) {
    warn!(
        event = "many_behind_gateway", client:% = client, connections = held;
        "{held} connections come from {client}, the gateway of this network: behind the bridge of a \
         container, a whole house looks like one client and has {share} connections in all. Use the host's \
         network (network_mode: host), or a reverse proxy named in PW_TRUSTED_PROXIES, or raise \
         PW_CONNECTIONS_PER_ADDRESS"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        total: 6,
        per_client: 4,
        kept: 2,
        kept_for: Duration::from_secs(3),
        head: Duration::from_secs(5),
        idle: Duration::from_secs(10),
        stall: Duration::from_secs(30),
    };

    fn connections(trusted: &str) -> Arc<Connections> {
        let trusted = trusted.split_whitespace().map(|network| network.parse().unwrap()).collect();
        Arc::new(Connections::new(LIMITS, trusted, Some([172, 17, 0, 1].into())))
    }

    fn admit(connections: &Arc<Connections>, peer: &str) -> Result<Place, Full> {
        connections.admit(peer.parse().unwrap(), Some([192, 168, 1, 5].into()))
    }

    fn several(connections: &Arc<Connections>, peer: &str, count: usize) -> Vec<Place> {
        (0..count).map(|_| admit(connections, peer).unwrap()).collect()
    }

    #[test]
    fn a_client_has_its_share_and_others_have_theirs() {
        let connections = connections("");
        let mut places = several(&connections, "10.0.0.1", 4);
        assert_eq!(admit(&connections, "10.0.0.1").unwrap_err(), Full::Client);
        assert_eq!(admit(&connections, "::ffff:10.0.0.1").unwrap_err(), Full::Client);
        let _other = admit(&connections, "10.0.0.2").unwrap();
        places.pop();
        places.push(admit(&connections, "10.0.0.1").unwrap());
        drop(places);
        assert_eq!(connections.count(), 1);
        let _places: Vec<_> = ["fd00::1", "fd00::2", "fd00::3", "fd00::4"]
            .map(|peer| admit(&connections, peer).unwrap())
            .into();
        assert_eq!(admit(&connections, "fd00::5").unwrap_err(), Full::Client, "one host may use a whole /64");
        assert_eq!(connections.counts(), ConnectionCounts { open: 5, overdue: 0, refused: 3 });
    }

    #[test]
    fn a_trusted_proxy_may_have_more_than_a_share_and_not_more_than_there_is() {
        let connections = connections("10.0.0.0/24");
        let _places = several(&connections, "10.0.0.1", LIMITS.total);
        assert_eq!(admit(&connections, "10.0.0.1").unwrap_err(), Full::Service);
        assert_eq!(admit(&connections, "10.0.1.1").unwrap_err(), Full::Service);
    }

    #[test]
    fn this_machine_always_gets_a_place_for_a_moment() {
        let connections = connections("");
        let _share = several(&connections, "127.0.0.1", LIMITS.per_client);
        let _others = several(&connections, "10.0.0.1", LIMITS.total - LIMITS.per_client);
        assert!(admit(&connections, "10.0.0.1").is_err());
        // By loopback, or by the address that it listens at.
        let mut kept = vec![admit(&connections, "::1").unwrap(), admit(&connections, "192.168.1.5").unwrap()];
        assert!(kept.iter().all(|place| !place.connection().is_cut()));
        for _ in 0..5 {
            kept.push(admit(&connections, "127.0.0.1").unwrap());
            let cut = kept.iter().filter(|place| place.connection().is_cut()).count();
            assert_eq!(cut, kept.len() - LIMITS.kept, "the newest have it");
        }
        drop(kept);
        assert_eq!(connections.count(), LIMITS.total);
        assert!(connections.register().kept.is_empty());
    }

    #[test]
    fn a_client_that_leaves_is_forgotten() {
        let connections = connections("");
        let mut places = several(&connections, "10.0.0.1", 2);
        places.extend(several(&connections, "10.0.0.2", 3));
        for place in [1, 0, 2, 1, 0] {
            drop(places.swap_remove(place));
            for (slot, connection) in connections.register().all.iter().enumerate() {
                assert_eq!(connection.slot.load(Relaxed), slot);
            }
        }
        let register = connections.register();
        assert!(register.all.is_empty() && register.by_client.is_empty());
    }

    #[test]
    fn many_behind_the_gateway_of_the_network_are_noticed_once() {
        let connections = connections("");
        let _others = several(&connections, "10.0.0.1", 2);
        assert!(!connections.register().is_gateway_noticed);
        let _house = several(&connections, "172.17.0.1", 2);
        assert!(connections.register().is_gateway_noticed);
        assert!(!connections.register().notice_gateway(), "once");
    }

    #[test]
    fn a_trusted_proxy_that_is_the_gateway_is_not_noticed() {
        let connections = connections("172.17.0.1");
        let _house = several(&connections, "172.17.0.1", 4);
        assert!(!connections.register().is_gateway_noticed);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_overdue_is_cut_and_counted() {
        let connections = connections("");
        let place = admit(&connections, "10.0.0.1").unwrap();
        let watching = tokio::spawn(connections.clone().watch());
        let start = Instant::now();
        while !place.connection().is_cut() {
            tokio::time::sleep(TICK).await;
        }
        let took = start.elapsed();
        assert!(took >= LIMITS.idle && took <= LIMITS.idle + 4 * TICK, "{took:?}");
        tokio::time::sleep(LIMITS.idle).await;
        assert_eq!(connections.counts().overdue, 1, "once");
        watching.abort();
    }
}
