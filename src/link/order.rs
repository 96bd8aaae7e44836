//! What carrying out an order brings, whatever the link.

use std::sync::Arc;

use super::LinkError;
use super::error::KeyState;
use crate::model::order::Comparison;
use crate::model::{Answers, ErrorNote, Order, Outcome, Present, Unable};

/// What [`Link::carry_out`](super::Link::carry_out) brings.
#[derive(Debug)]
pub struct Carried {
    pub end: End,
    /// The settings as they were just before, if they were read.
    pub former: Option<Present>,
    /// What went wrong with an exchange, if something did: the gateway may ask for a cool-down.
    pub problem: Option<LinkError>,
}

/// How an attempt to carry out an order ended.
#[derive(Debug)]
pub enum End {
    Outcome(Outcome),
    /// The gateway said that it did nothing, for a reason that may be gone after the next poll: the session
    /// had ended, or the configuration had changed meanwhile. Nothing else permits a second attempt.
    NotExecuted(ErrorNote),
    /// Nothing was sent yet, for a reason that may be gone after the next poll.
    NotYet(ErrorNote),
}

impl Carried {
    pub fn outcome(outcome: Outcome) -> Self {
        Self { end: End::Outcome(outcome), former: None, problem: None }
    }

    /// Nothing left this program, and `kind` says why.
    pub fn not_sent(kind: &'static str, message: impl Into<String>) -> Self {
        Self::outcome(Outcome::NotSent(ErrorNote { kind, message: message.into() }))
    }

    pub fn unable(unable: Unable) -> Self {
        Self::outcome(Outcome::NotSent(unable.into()))
    }

    /// Nothing was sent, because what must be read before could not be read.
    pub fn unread(what: &str, error: LinkError) -> Self {
        let message = format!("{what} must be read first, and cannot be: {error}");
        Self { problem: Some(error.clone()), ..Self::not_sent(error.kind(), message) }
    }

    /// Nothing was sent, because the session had ended, which the next poll may renew.
    pub fn not_yet(error: LinkError) -> Self {
        let note = ErrorNote { kind: error.kind(), message: error.to_string() };
        Self { end: End::NotYet(note), former: None, problem: Some(error) }
    }

    /// What `error`, which came instead of an answer to the order itself, says about it.
    pub fn failed(error: LinkError) -> Self {
        let note = ErrorNote { kind: error.kind(), message: error.to_string() };
        let end = match says(&error) {
            Says::NotExecuted => End::NotExecuted(note),
            Says::Refused => End::Outcome(Outcome::Refused(note)),
            Says::Nothing => End::Outcome(Outcome::Unknown(note)),
        };
        Self { end, former: None, problem: Some(error) }
    }

    /// Whether the gateway said yes.
    pub fn is_accepted(&self) -> bool {
        matches!(self.end, End::Outcome(Outcome::Accepted(_)))
    }

    /// The second half of an order whose first half, `done`, was carried out: it is not tried again, and a
    /// refusal does not hide the first half.
    pub fn half_done(self, done: &str) -> Self {
        let end = match self.end {
            End::Outcome(Outcome::Refused(note) | Outcome::NotSent(note))
            | End::NotExecuted(note)
            | End::NotYet(note) => {
                let message = format!("only half of it was done: {done}; then: {}", note.message);
                End::Outcome(Outcome::Refused(ErrorNote { kind: note.kind, message }))
            }
            End::Outcome(Outcome::Unknown(note)) => {
                let message = format!("{}; in any case, {done}", note.message);
                End::Outcome(Outcome::Unknown(ErrorNote { kind: note.kind, message }))
            }
            end => end,
        };
        Self { end, ..self }
    }

    /// With the settings as they were just before.
    pub fn after(self, present: Present) -> Self {
        Self { former: Some(present), ..self }
    }
}

/// What an error says about the order that it came instead of.
enum Says {
    NotExecuted,
    Refused,
    Nothing,
}

fn says(error: &LinkError) -> Says {
    use crate::link::v1r::message::{BUSY, INTERNAL, UNIT_TIMEOUT};
    match error {
        LinkError::Refused { status: 401, .. } => Says::NotExecuted,
        LinkError::Refused { .. } | LinkError::NotFound(_) | LinkError::RateLimited { .. } => Says::Refused,
        LinkError::Status { status: 400..=499, .. } => Says::Refused,
        LinkError::Key { state, .. } if *state != KeyState::Unknown => Says::Refused,
        // A fault comes before anything else is done with a request, unless it is about the doing.
        LinkError::Rejected { fault: BUSY | UNIT_TIMEOUT | INTERNAL, .. } => Says::Nothing,
        LinkError::Rejected { .. } | LinkError::ClockSkew(_) => Says::Refused,
        LinkError::Unsupported(_) => Says::Refused,
        LinkError::Tesla(error) if error.says_not_done() => Says::Refused,
        _ => Says::Nothing,
    }
}

/// What [`Link::read_back`](super::Link::read_back) brings.
#[derive(Debug, Default)]
pub struct ReadBack {
    /// How far the order has come by what was read; `None`: it does not show.
    pub shows: Option<Outcome>,
    /// The settings that were read, if they were.
    pub present: Option<Present>,
    /// What was read instead, for a person.
    pub instead: Option<String>,
    /// Everything known so far, if something was fetched.
    pub source: Option<Arc<dyn Answers>>,
    pub problem: Option<LinkError>,
}

impl ReadBack {
    pub fn failed(error: LinkError) -> Self {
        Self { problem: Some(error), ..Self::default() }
    }

    /// What the settings in `what`, the configuration or what stands for it, show of `order`.
    pub fn of(order: &Order, present: Present, what: &str) -> Self {
        let Some(asked) = order.setpoint() else { return Self::default() };
        let Comparison { same, instead } = asked.compare(&present);
        let read = Self { present: Some(present), ..Self::default() };
        if instead.is_empty() {
            let stored = Outcome::Stored(format!("{what} reads back as asked"));
            return Self { shows: Some(stored), ..read };
        }
        let half = if same > 0 { "only a part of it: " } else { "" };
        Self { instead: Some(format!("{what} has {half}{}", instead.join(", "))), ..read }
    }
}
