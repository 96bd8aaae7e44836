//! Keeps the cool-down that a gateway asked for, whatever the link below would do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;

use super::knock::Knock;
use super::memory::Memory;
use super::order::{Carried, ReadBack};
use super::{Link, LinkError, Refreshed};
use crate::model::{Answers, LinkHealth, LinkKind, Means, Order, OrderKind, Unable};

/// A link that asks nothing while its gateway wants to be left alone.
pub struct Careful {
    link: Box<dyn Link>,
    /// Where the cool-down is written down.
    memory: Arc<Memory>,
}

impl Careful {
    pub fn new(link: Box<dyn Link>, memory: Arc<Memory>) -> Self {
        Self { link, memory }
    }
}

impl Link for Careful {
    fn kind(&self) -> LinkKind {
        self.link.kind()
    }

    fn patience(&self, exchange: Duration) -> Duration {
        self.link.patience(exchange)
    }

    fn links(&self) -> Option<Vec<LinkHealth>> {
        self.link.links()
    }

    fn remark(&self) -> Option<String> {
        self.link.remark()
    }

    fn poll(&mut self) -> LocalBoxFuture<'_, Result<Arc<dyn Answers>, LinkError>> {
        Box::pin(async {
            self.memory.recall().await;
            if let Some(left) = self.memory.silence_left() {
                return Err(LinkError::Silence { left });
            }
            let outcome = self.link.poll().await;
            if let Err(error) = &outcome {
                self.memory.heed(error).await;
            }
            outcome
        })
    }

    fn refresh(&mut self) -> LocalBoxFuture<'_, Refreshed> {
        Box::pin(async {
            if self.memory.silence_left().is_some() {
                return Refreshed::default();
            }
            let refreshed = self.link.refresh().await;
            if let Some(error) = &refreshed.problem {
                self.memory.heed(error).await;
            }
            refreshed
        })
    }

    fn knock(&mut self, limit: Duration) -> LocalBoxFuture<'_, Knock> {
        match self.memory.silence_left() {
            Some(_) => Box::pin(async { Knock::Untried }),
            None => self.link.knock(limit),
        }
    }

    fn carry_out<'a>(&'a mut self, order: &'a Order, limit: Duration) -> LocalBoxFuture<'a, Carried> {
        Box::pin(async move {
            self.memory.recall().await;
            if let Some(left) = self.memory.silence_left() {
                let silence = LinkError::Silence { left };
                return Carried::not_sent(silence.kind(), silence.to_string());
            }
            let carried = self.link.carry_out(order, limit).await;
            if let Some(error) = &carried.problem {
                self.memory.heed(error).await;
            }
            carried
        })
    }

    fn read_back<'a>(&'a mut self, order: &'a Order) -> LocalBoxFuture<'a, ReadBack> {
        Box::pin(async move {
            if self.memory.silence_left().is_some() {
                return ReadBack::default();
            }
            let read = self.link.read_back(order).await;
            if let Some(error) = &read.problem {
                self.memory.heed(error).await;
            }
            read
        })
    }

    fn order_limit(&self, kind: OrderKind, exchange: Duration) -> Duration {
        self.link.order_limit(kind, exchange)
    }

    fn shows(&self, order: &Order) -> bool {
        self.link.shows(order)
    }

    fn can_take(&self, kind: OrderKind) -> Result<Means, Unable> {
        self.link.can_take(kind)
    }
}
