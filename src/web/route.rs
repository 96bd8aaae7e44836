//! One route: its path, what it answers, and what people and programs read about it. The routes
//! themselves stand in [`super::routes`].

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::LocalBoxFuture;
use serde_json::Value;

use super::State;
use super::fleet::{PAGE_ERRORS, PAGED};
use super::orders::Order;
use super::plumbing::READ;
use super::schemas;
use crate::model::Snapshot;
use crate::views::View;
use crate::views::status::Moment;

/// One path and what is there.
pub(super) struct Route {
    pub path: &'static str,
    /// What GET and HEAD answer.
    pub answer: Answer,
    /// What POST does, if anything.
    pub order: Option<Order>,
    /// For people.
    pub summary: &'static str,
    /// How it stands beside the servers before ours.
    pub standing: Standing,
    /// What a good answer is made of.
    pub content: Content,
    /// The schema in `web/schemas/` that every good answer fits; empty for what is always the same, or no
    /// JSON.
    pub shows: &'static str,
    /// As `shows`, for what POST answers.
    pub confirms: &'static str,
    /// Other statuses that GET may have, and when.
    pub also: &'static [(u16, &'static str)],
    /// Parameters behind the question mark, and what they do.
    pub parameters: &'static [(&'static str, &'static str)],
    /// Who may read it.
    pub guard: Guard,
}

/// What a route says and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Nothing about a gateway: everybody may know.
    None,
    /// Readings: everybody, unless the settings ask for a token.
    Readings,
    /// The route asks for a token itself.
    Own,
}

/// What a good answer is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Json,
    Csv,
    /// Lines for a spreadsheet, with a head.
    Table,
    Metrics,
    /// A page or a file it is made of; 304 for a client that has it.
    File(&'static str),
    /// A page of text.
    Page,
    /// Frames for as long as the client listens.
    WebSocket,
    /// Server-sent events for as long as the client listens.
    Events,
}

/// How a route stands beside the same route of the servers before ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Same,
    /// Not the same, on purpose: how.
    Better(&'static str),
    /// They have nothing like it.
    New,
    /// Part of what they have is missing: what.
    Partly(&'static str),
}

impl Route {
    pub(super) const fn new(path: &'static str, answer: Answer, summary: &'static str) -> Self {
        let content = match answer {
            Answer::View { view: View::Csv | View::CsvV2, .. } => Content::Csv,
            _ => Content::Json,
        };
        let shows = match answer {
            Answer::View { view, .. } => schemas::of_view(view),
            _ => "",
        };
        let standing = Standing::Same;
        let (also, parameters) = (&[], &[]);
        Self {
            path,
            answer,
            order: None,
            summary,
            standing,
            content,
            shows,
            confirms: "",
            also,
            parameters,
            guard: Guard::Readings,
        }
    }

    /// Names the schema of what GET answers.
    pub(super) const fn shows(mut self, schema: &'static str) -> Self {
        self.shows = schema;
        self
    }

    /// Names the schema of what POST answers.
    pub(super) const fn confirms(mut self, schema: &'static str) -> Self {
        self.confirms = schema;
        self
    }

    /// Says nothing about a gateway, or asks for a token itself.
    pub(super) const fn guarded(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }

    pub(super) const fn serves(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    pub(super) const fn also(mut self, statuses: &'static [(u16, &'static str)]) -> Self {
        self.also = statuses;
        self
    }

    pub(super) const fn asked_with(mut self, parameters: &'static [(&'static str, &'static str)]) -> Self {
        self.parameters = parameters;
        self
    }

    pub(super) const fn better(mut self, how: &'static str) -> Self {
        self.standing = Standing::Better(how);
        self
    }

    pub(super) const fn partly(mut self, what: &'static str) -> Self {
        self.standing = Standing::Partly(what);
        self
    }

    pub(super) const fn ours(mut self) -> Self {
        self.standing = Standing::New;
        self
    }

    pub(super) const fn takes(mut self, order: Order) -> Self {
        self.order = Some(order);
        self
    }

    /// The methods it has, as the header `Allow` lists them.
    pub fn methods(&self) -> &'static str {
        match (&self.answer, &self.order) {
            (Answer::OrdersOnly, _) => "POST",
            (_, Some(_)) => "GET, HEAD, POST",
            (_, None) => READ,
        }
    }
}

/// An answer that takes its time.
pub(super) type Later = LocalBoxFuture<'static, HttpResponse>;

pub(super) enum Answer {
    /// A view of the default gateway's telemetry.
    View {
        view: View,
        /// Without telemetry to show.
        empty: &'static str,
        /// Without telemetry to show, for scripts that need the old zeros.
        zeros: Option<&'static str>,
    },
    /// Facts about the default gateway that change with the clock.
    Gateway(fn(&Snapshot, Moment) -> Value),
    /// Always the same.
    Fixed {
        body: &'static str,
        /// Whether it speaks of a gateway, so that there must be one.
        of_gateway: bool,
    },
    /// Of the service as a whole.
    Service(fn(&State, &HttpRequest) -> HttpResponse),
    /// Of many gateways; rendered beside the threads that answer.
    Fleet(fn(Data<State>, HttpRequest) -> Later),
    /// Nothing: the route only takes orders.
    OrdersOnly,
    /// A path with variable parts or an asynchronous answer; actix-web finds it.
    Routed,
}

pub(super) const fn view(
    path: &'static str,
    view: View,
    empty: &'static str,
    summary: &'static str,
) -> Route {
    Route::new(path, Answer::View { view, empty, zeros: None }, summary)
}

pub(super) const fn zeroable(
    path: &'static str,
    view: View,
    [empty, zeros]: [&'static str; 2],
    summary: &'static str,
) -> Route {
    Route::new(path, Answer::View { view, empty, zeros: Some(zeros) }, summary)
}

pub(super) const fn gateway(
    path: &'static str,
    body: fn(&Snapshot, Moment) -> Value,
    summary: &'static str,
) -> Route {
    Route::new(path, Answer::Gateway(body), summary)
}

pub(super) const fn fixed(path: &'static str, body: &'static str, summary: &'static str) -> Route {
    Route::new(path, Answer::Fixed { body, of_gateway: false }, summary)
}

pub(super) const fn fixed_of_gateway(path: &'static str, body: &'static str, summary: &'static str) -> Route {
    Route::new(path, Answer::Fixed { body, of_gateway: true }, summary)
}

pub(super) const fn service(
    path: &'static str,
    answer: fn(&State, &HttpRequest) -> HttpResponse,
    summary: &'static str,
) -> Route {
    Route::new(path, Answer::Service(answer), summary)
}

pub(super) const fn fleet(
    path: &'static str,
    answer: fn(Data<State>, HttpRequest) -> Later,
    summary: &'static str,
) -> Route {
    Route::new(path, Answer::Fleet(answer), summary).asked_with(PAGED).also(PAGE_ERRORS)
}

pub(super) const fn orders_only(path: &'static str, order: Order, summary: &'static str) -> Route {
    Route::new(path, Answer::OrdersOnly, summary).takes(order)
}

pub(super) const fn routed(path: &'static str, summary: &'static str) -> Route {
    Route::new(path, Answer::Routed, summary)
}
