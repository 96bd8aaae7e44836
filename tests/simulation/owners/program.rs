//! A program that can be killed: all its tasks live in one set, which is dropped between two steps.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use actix::Actor;
use powerwall_server::board::Board;
use powerwall_server::directory::Directory;
use powerwall_server::model::{Adjustments, Aggregate};
use powerwall_server::settings::PollingSettings;
use powerwall_server::supervisor::{Configure, Supervisor};
use tokio::task::LocalSet;
use tokio::time::{Sleep, sleep};

use super::defects::OwnersDefect;
use super::links::{connect, settings};
use super::plan::Plan;
use super::tesla::Tesla;

/// Polls over a local link.
const POLL: Duration = Duration::from_secs(60);

/// One of the programs that share a file of tokens.
pub struct Program {
    number: usize,
    plan: Plan,
    tesla: Arc<Tesla>,
    defect: Option<OwnersDefect>,
    /// What runs; `None` while it is dead.
    running: Option<LocalSet>,
    /// Where its boards are while it runs.
    directory: Arc<Mutex<Arc<Directory>>>,
    /// When it starts again.
    starts: Option<Pin<Box<Sleep>>>,
}

fn nothing() -> Arc<Directory> {
    Arc::new(Directory::new(Vec::new(), Arc::new(Board::new(Aggregate::default()))))
}

impl Program {
    pub fn new(number: usize, plan: &Plan, tesla: &Arc<Tesla>, defect: Option<OwnersDefect>) -> Self {
        let directory = Arc::new(Mutex::new(nothing()));
        let (plan, tesla) = (plan.clone(), tesla.clone());
        let mut program = Self { number, plan, tesla, defect, running: None, directory, starts: None };
        program.start();
        program
    }

    pub fn directory(&self) -> Arc<Mutex<Arc<Directory>>> {
        self.directory.clone()
    }

    fn start(&mut self) {
        self.tesla.starts(self.number);
        let directory = nothing();
        *self.directory.lock().unwrap() = directory.clone();
        let gateways = settings(&self.plan, self.tesla.folder());
        let connect = connect(self.plan.clone(), self.tesla.clone(), self.number, self.defect);
        let (seed, set) = (self.plan.seed + self.number as u64, LocalSet::new());
        set.spawn_local(async move {
            let polling = PollingSettings {
                islanding_cooldown: Duration::from_secs(30),
                interval: POLL,
                cache_ttl: Duration::from_secs(120),
                graceful_degradation: true,
                adjustments: Adjustments::default(),
                memory: None,
            };
            let supervisor = Supervisor::new(gateways.clone(), polling.clone(), directory, connect, seed);
            let supervisor = supervisor.start();
            supervisor.send(Configure(gateways, polling)).await.unwrap();
            pending::<()>().await;
        });
        self.running = Some(set);
    }

    /// Nothing of it goes on, wherever it was.
    fn die(&mut self) {
        self.running = None;
        *self.directory.lock().unwrap() = nothing();
        let rests = self.tesla.died(self.number, self.defect == Some(OwnersDefect::ForgetsNotes));
        if self.defect == Some(OwnersDefect::ForgetsRefusals) {
            self.tesla.forget_ledger();
        }
        self.starts = Some(Box::pin(sleep(rests)));
    }

    /// Goes on, as far as it can; dies if that was its fate.
    pub fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(starts) = &mut self.starts
            && starts.as_mut().poll(context).is_ready()
        {
            self.starts = None;
            self.start();
        }
        if let Some(running) = &mut self.running {
            let _: Poll<()> = Pin::new(running).poll(context);
            if self.tesla.is_to_die(self.number) {
                self.die();
            }
        }
    }
}
