//! Three servers that are one, of which any may go: what a site records arrives once and in order, and the
//! centre is right again.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use powerwall_server::store::Store;
use powerwall_server::store::journal::{Entry, Journal, Kind};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};

use super::centre::{HOME, Victoria, centre};
use super::program::{Program, run};
use super::server::{Server, within};
use super::{ENTRIES, SLOTS, START, Site, numbers};

/// A minute is what it takes; machines that do much else take longer.
const LIMIT: Duration = Duration::from_secs(180);
/// Of a day.
const QUARTERS: i64 = 96;
const MORE_ENTRIES: u64 = 40;

/// Everything that runs, and how much a site has recorded.
struct House {
    servers: [Server; 3],
    victoria: Victoria,
    site: Site,
    program: Option<Program>,
    centre: Option<Program>,
    slots: i64,
    entries: u64,
}

/// What can be ended and started.
#[derive(Clone, Copy, Debug)]
enum Part {
    Server(usize),
    Site,
    Centre,
    Database,
}

impl House {
    /// `None`: the test is skipped.
    async fn start() -> Option<Self> {
        let (servers, victoria) = (Server::cluster().await?, Victoria::start()?);
        let site = Site::new(urls(&servers)).await;
        let (slots, entries) = (SLOTS, ENTRIES);
        let mut house = Self { servers, victoria, site, program: None, centre: None, slots, entries };
        house.begin(Part::Centre).await;
        within(LIMIT, async || house.leader("powerwall_journal").await.is_some()).await;
        Some(house)
    }

    /// By a server that runs.
    async fn jetstream(&self) -> Option<Context> {
        let server = self.servers.iter().find(|server| server.runs())?;
        Some(jetstream::new(async_nats::connect(server.url()).await.ok()?))
    }

    async fn leader(&self, stream: &str) -> Option<usize> {
        let mut stream = self.jetstream().await?.get_stream(stream).await.ok()?;
        let leader = stream.info().await.ok()?.cluster.clone()?.leader?;
        leader.strip_prefix("server-")?.parse().ok()
    }

    async fn begin(&mut self, part: Part) {
        let url = urls(&self.servers);
        let database = format!("http://127.0.0.1:{}/write", self.victoria.port);
        match part {
            Part::Server(number) => self.servers[number].begin().await,
            Part::Site => self.program = Some(self.site.serve().await),
            Part::Centre => {
                let more = [("PW_BROKER_REPLICAS", "3"), ("PW_EXPORT_URL", database.as_str())];
                self.centre = Some(centre(&url, &more).await);
            }
            Part::Database => self.victoria.begin(),
        }
    }

    async fn end(&mut self, part: Part) {
        match part {
            Part::Server(number) => self.servers[number].kill().await,
            Part::Site => killed(&mut self.program).await,
            Part::Centre => killed(&mut self.centre).await,
            Part::Database => self.victoria.stop().await,
        }
    }

    /// Another day at the site.
    async fn record(&mut self) {
        let row = |slot: i64| format!("{},{}\n", START + 900 * slot, slot as f64 / 1000.0);
        let rows = (self.slots..self.slots + QUARTERS).map(row).collect::<String>();
        let file = self.site.path("day.csv");
        std::fs::write(&file, "start,home_kwh\n".to_owned() + &rows).unwrap();
        let said = run(&["import", &file.display().to_string()], &self.site.environment()).await;
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        let journal = Journal::kept_in(&Store::open(self.site.path("history.db")).unwrap());
        for number in self.entries..self.entries + MORE_ENTRIES {
            journal.note(Entry::new(Kind::Alert, "home", json!({ "number": number })));
        }
        journal.flush().await;
        (self.slots, self.entries) = (self.slots + QUARTERS, self.entries + MORE_ENTRIES);
    }

    /// Every slot is in the database once, every entry in the stream once and in order, and the centre knows
    /// the site.
    async fn is_right(&self) {
        within(LIMIT, async || self.victoria.points(HOME).await.len() >= self.slots as usize).await;
        let points = self.victoria.points(HOME).await;
        let starts: BTreeSet<i64> = points.iter().map(|(at, _)| *at).collect();
        assert_eq!(starts, (0..self.slots).map(|slot| START + 900 * slot).collect());
        assert_eq!(points.len(), starts.len(), "each once");
        for (at, kwh) in points {
            assert_eq!(kwh, ((at - START) / 900) as f64 / 1000.0);
        }
        let server = self.servers.iter().find(|server| server.runs()).unwrap();
        let all_entries = async || {
            let messages = server.messages_if_there("powerwall_journal").await;
            messages.is_some_and(|messages| numbers(&messages) == self.site.entries())
        };
        within(LIMIT, all_entries).await;
        let centre = self.centre.as_ref().unwrap();
        // The gateway of this site does not answer, and the centre says that it is the gateway.
        within(LIMIT, async || centre.json("/api/broker").await["centre"]["connected"] == true).await;
        within(LIMIT, async || centre.health(HOME).await["last_error"]["kind"] == "at_site").await;
        within(LIMIT, async || centre.json("/api/broker").await["centre"]["obstacles"] == json!({})).await;
    }
}

async fn killed(program: &mut Option<Program>) {
    let mut program = program.take().unwrap();
    program.signal("KILL").await;
    program.ended().await;
}

fn urls(servers: &[Server; 3]) -> String {
    servers.each_ref().map(Server::url).join(",")
}

#[actix_web::test]
async fn followers_and_leaders_may_be_killed_while_everything_flows() {
    let Some(mut house) = House::start().await else { return };
    let replicas: Value = {
        let stream = house.jetstream().await.unwrap().get_stream("powerwall_slots").await.unwrap();
        json!(stream.cached_info().config.num_replicas)
    };
    assert_eq!(replicas, 3);
    let leader = house.leader("powerwall_journal").await.unwrap();
    let follower = (leader + 1) % 3;
    house.begin(Part::Site).await;
    let some = async |house: &House| !house.victoria.points(HOME).await.is_empty();
    within(LIMIT, async || some(&house).await).await;
    house.end(Part::Server(follower)).await;
    house.is_right().await;

    house.begin(Part::Server(follower)).await;
    house.record().await;
    let leader = house.leader("powerwall_journal").await.unwrap();
    house.end(Part::Server(leader)).await;
    house.is_right().await;
    house.begin(Part::Server(leader)).await;

    // One server is no majority: nothing is taken, and nothing is lost.
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    for other in others {
        house.end(Part::Server(other)).await;
    }
    house.record().await;
    for other in others {
        house.begin(Part::Server(other)).await;
    }
    house.is_right().await;
}

#[actix_web::test]
async fn everything_may_be_started_again_in_any_order() {
    let Some(mut house) = House::start().await else { return };
    house.begin(Part::Site).await;
    house.is_right().await;
    for seed in 0..2 {
        let all =
            [Part::Server(0), Part::Server(1), Part::Server(2), Part::Site, Part::Centre, Part::Database];
        let (mut order, mut random) = (all, StdRng::seed_from_u64(seed));
        order.shuffle(&mut random);
        for part in order {
            house.end(part).await;
        }
        house.record().await;
        order.shuffle(&mut random);
        for part in order {
            house.begin(part).await;
        }
        house.is_right().await;
    }
}
