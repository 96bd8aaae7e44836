//! Who judges every request that arrives, by rules that are written down again on purpose.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use powerwall_server::clock::unix_time;
use powerwall_server::link::https::Answer;
use serde_json::Value;
use tokio::time::Instant;

/// A program, and which run of it.
pub type Who = (usize, u32);

/// After a first refusal, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);

/// What became of a refresh token that was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Post {
    UnderWay(usize),
    /// Tesla said that it goes on.
    Free,
    Done,
}

/// What is known of an access token.
struct Access {
    /// When it ends, and what the wall clock shows then.
    ends: Instant,
    wall: f64,
}

pub struct Witness {
    life: Duration,
    started: Instant,
    posts: HashMap<String, Post>,
    access: HashMap<String, Access>,
    /// The access token that came with a refresh token.
    pairs: HashMap<String, String>,
    /// Access tokens that were in the file.
    on_disk: HashSet<String>,
    /// Those that a run of a program knows to be over (401), and since when.
    over: HashMap<(Who, String), Instant>,
    /// Those that a program knows to be refused (403), since when, how often, until when.
    refused: HashMap<(usize, String), (Instant, u32, Instant)>,
    /// No program may ask before, for it was answered 429.
    paused: HashMap<usize, Instant>,
    pub well_since: Instant,
    violations: Vec<String>,
    tail: VecDeque<String>,
    seen: BTreeMap<&'static str, u64>,
    trace: BTreeMap<String, u64>,
}

impl Witness {
    pub fn new(life: Duration) -> Self {
        Self {
            life,
            started: Instant::now(),
            posts: HashMap::new(),
            access: HashMap::new(),
            pairs: HashMap::new(),
            on_disk: HashSet::new(),
            over: HashMap::new(),
            refused: HashMap::new(),
            paused: HashMap::new(),
            well_since: Instant::now(),
            violations: Vec::new(),
            tail: VecDeque::new(),
            seen: BTreeMap::new(),
            trace: BTreeMap::new(),
        }
    }

    pub fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_insert(0) += 1;
    }

    pub fn seen(&self) -> BTreeMap<&'static str, u64> {
        self.seen.clone()
    }

    pub fn note(&mut self, what: String) {
        let at = self.started.elapsed().as_secs_f64();
        let line = format!("  {at:.3} s  {what}");
        // Of each site its own: two that wait for the same renewal go on in either order, as the file that it
        // writes is a real one.
        let site = what.split("energy_sites/").nth(1).and_then(|rest| rest.split('/').next());
        let trace = self.trace.entry(site.unwrap_or_default().to_owned()).or_default();
        let mut hasher = DefaultHasher::new();
        (*trace, &what).hash(&mut hasher);
        *trace = hasher.finish();
        self.tail.push_back(line);
        if self.tail.len() > 60 {
            self.tail.pop_front();
        }
    }

    /// Two runs with the same one were the same.
    pub fn trace(&self) -> BTreeMap<String, u64> {
        self.trace.clone()
    }

    pub fn violated(&mut self, what: String) {
        let at = self.started.elapsed().as_secs_f64();
        self.violations.push(format!("{at:.3} s: {what}"));
    }

    pub fn is_violated(&self) -> bool {
        !self.violations.is_empty()
    }

    /// What was violated, and what happened before.
    pub fn violations(&self) -> Vec<String> {
        match self.is_violated() {
            true => self.violations.iter().chain(&self.tail).cloned().collect(),
            false => Vec::new(),
        }
    }

    pub fn is_well_from(&mut self, when: Instant) {
        self.well_since = self.well_since.max(when);
    }

    /// Tesla has given a pair of tokens.
    pub fn given(&mut self, (access, refresh): &(String, String)) {
        let known = Access { ends: Instant::now() + self.life, wall: unix_time() + self.life.as_secs_f64() };
        self.access.insert(access.clone(), known);
        self.pairs.insert(refresh.clone(), access.clone());
    }

    pub fn on_disk(&mut self, (access, _): &(String, String)) {
        self.on_disk.insert(access.clone());
    }

    pub fn is_posted(&self, refresh: &str) -> bool {
        self.posts.get(refresh).is_some_and(|post| *post != Post::Free)
    }

    pub fn others_renewed(&mut self, old: &str, new: &(String, String)) {
        self.posts.insert(old.to_owned(), if new.1 == old { Post::Free } else { Post::Done });
        self.given(new);
        self.count("others renewed");
    }

    pub fn died(&mut self, program: usize, run: u32) {
        self.count("killed");
        for post in self.posts.values_mut().filter(|post| **post == Post::UnderWay(program)) {
            *post = Post::Done;
            *self.seen.entry("killed while it renewed").or_insert(0) += 1;
        }
        let now = Instant::now();
        self.over.retain(|((whose, of), _), _| (*whose, *of) != (program, run));
        // What it heard just now, it may not have written down.
        self.refused.retain(|(whose, _), (heard, ..)| *whose != program || *heard < now);
        self.paused.remove(&program);
        self.note(format!("program {program} is dead"));
    }

    /// A question is sent with an access token.
    pub fn asks(&mut self, who: Who, token: &str, path: &str) {
        let now = Instant::now();
        self.count("asked");
        if !self.on_disk.contains(token) {
            self.violated(format!("program {}: {path} with a token that was never on the disk", who.0));
        }
        if self.over.get(&(who, token.to_owned())).is_some_and(|since| now > *since) {
            self.violated(format!("program {}: {path} with a token that Tesla has called over", who.0));
        }
        if let Some((.., until)) = self.refused.get(&(who.0, token.to_owned()))
            && now < *until
        {
            let left = *until - now;
            self.violated(format!("program {}: {path} {left:?} before the pause after 403 is over", who.0));
        }
        if let Some(until) = self.paused.get(&who.0)
            && now < *until
        {
            let left = *until - now;
            self.violated(format!("program {}: {path} {left:?} before the pause of Tesla is over", who.0));
        }
    }

    /// An answer reaches the program.
    pub fn hears(&mut self, who: Who, (token, path): (&str, &str), answer: &Answer) {
        let (now, key) = (Instant::now(), (who.0, token.to_owned()));
        let is_live = path.contains("live_status") || path.ends_with("/products");
        match answer.status {
            200 => drop(self.refused.remove(&key)),
            401 => {
                self.count("401");
                self.over.entry((who, token.to_owned())).or_insert(now);
            }
            403 if is_live => {
                self.count("403");
                let (_, times, until) = self.refused.get(&key).copied().unwrap_or((now, 0, now));
                // What was under way when the first came says the same.
                if now >= until {
                    let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(times)).min(LONGEST_PAUSE);
                    // Programs share their ledger: one may know it from another, which heard it before.
                    let others = self
                        .refused
                        .iter()
                        .filter(|((_, other), (.., until))| *other == token && now < *until);
                    let known = others.map(|(_, (.., until))| *until).min();
                    self.refused.insert(key, (now, times + 1, known.unwrap_or(now + pause)));
                    self.is_well_from(now + pause);
                }
            }
            429 => {
                let until = now + answer.retry_after.unwrap_or(Duration::from_secs(60));
                self.paused.insert(who.0, until);
                self.is_well_from(until);
            }
            _ => {}
        }
    }

    /// A refresh token is sent.
    pub fn posts(&mut self, who: Who, refresh: &str) {
        let program = who.0;
        self.count("renewed");
        match self.posts.insert(refresh.to_owned(), Post::UnderWay(program)) {
            Some(Post::Done | Post::UnderWay(_)) => {
                self.violated(format!("program {program}: a refresh token is posted again"));
            }
            Some(Post::Free) => self.count("posted again, as Tesla allows"),
            None => {}
        }
        let Some(access) = self.pairs.get(refresh).cloned() else { return };
        if self.refused.contains_key(&(program, access.clone())) {
            self.violated(format!("program {program}: it renews a token that is refused"));
        }
        let known = &self.access[&access];
        let is_over = known.ends <= Instant::now() || known.wall <= unix_time() + 1.0;
        if !is_over && !self.over.contains_key(&(who, access)) {
            self.violated(format!("program {program}: it renews, and nothing says that its token is over"));
        }
    }

    /// Tesla answers to a refresh token.
    pub fn gives(&mut self, refresh: &str, answer: &Answer) {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if let Some(access) = body["access_token"].as_str() {
            let new = body["refresh_token"].as_str();
            if new.is_none() {
                self.count("kept its refresh token");
            }
            self.given(&(access.to_owned(), new.unwrap_or(refresh).to_owned()));
        }
    }

    /// The program knows how it ended; `None`: lost.
    pub fn ends(&mut self, refresh: &str, answer: Option<&Answer>) {
        let goes_on = answer.is_some_and(|answer| match answer.status {
            200 => {
                let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                body["refresh_token"].as_str().is_none_or(|new| new == refresh)
            }
            status => status == 429 || status >= 500,
        });
        if answer.is_none() {
            self.count("answer lost");
        }
        let now = Instant::now();
        self.posts.insert(refresh.to_owned(), if goes_on { Post::Free } else { Post::Done });
        if answer.is_some_and(|answer| answer.status == 429) {
            self.is_well_from(now + Duration::from_secs(60));
        }
    }
}
