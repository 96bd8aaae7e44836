//! Keeps what can be derived again for the last few who were asked, so that memory does not grow with the
//! number of gateways that anybody ever asked for. What is derived, and when, is left to the owner of a slot.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwapOption;

/// Slots that hold something; the oldest is emptied when there are too many.
pub(super) struct Shelf<T: Send + Sync + 'static> {
    /// More than this are never filled at the same time.
    most: usize,
    /// The filled slots, in the order in which they were filled. Some may be gone together with their owners.
    filled: Mutex<VecDeque<Weak<ArcSwapOption<T>>>>,
}

/// A place for something that its shelf may take away at any time.
pub(super) struct Slot<T: Send + Sync + 'static> {
    shelf: &'static Shelf<T>,
    content: Arc<ArcSwapOption<T>>,
}

impl<T: Send + Sync + 'static> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("is_filled", &self.content.load().is_some()).finish()
    }
}

impl<T: Send + Sync + 'static> Shelf<T> {
    pub const fn new(most: usize) -> Self {
        Self { most, filled: Mutex::new(VecDeque::new()) }
    }

    pub fn slot(&'static self) -> Slot<T> {
        Slot { shelf: self, content: Arc::default() }
    }

    fn was_filled(&self, slot: &Arc<ArcSwapOption<T>>) {
        let mut filled = self.filled.lock().unwrap_or_else(PoisonError::into_inner);
        if filled.len() >= self.most {
            filled.retain(|slot| slot.strong_count() > 0);
        }
        let oldest = if filled.len() < self.most { None } else { filled.pop_front() };
        filled.push_back(Arc::downgrade(slot));
        drop(filled);
        // What has many parts takes a moment to give back: nobody has to wait for that.
        if let Some(oldest) = oldest.and_then(|oldest| oldest.upgrade()) {
            oldest.store(None);
        }
    }
}

impl<T: Default + Send + Sync + 'static> Slot<T> {
    /// The content, which is new if the slot was empty. It stays valid for its holders, wherever the slot
    /// stands.
    pub fn content(&self) -> Arc<T> {
        if let Some(known) = self.content.load_full() {
            return known;
        }
        let new = Arc::new(T::default());
        let before = self.content.compare_and_swap(&None::<Arc<T>>, Some(new.clone()));
        match &*before {
            Some(faster) => faster.clone(),
            None => {
                self.shelf.was_filled(&self.content);
                new
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_few_are_kept_and_the_oldest_is_not() {
        static SHELF: Shelf<Vec<u8>> = Shelf::new(2);
        let slots: Vec<Slot<Vec<u8>>> = (0..3).map(|_| SHELF.slot()).collect();
        let held: Vec<_> = slots.iter().map(Slot::content).collect();
        let is_kept = |number: usize| Arc::ptr_eq(&slots[number].content(), &held[number]);
        assert!(is_kept(1) && is_kept(2));
        assert!(!is_kept(0), "its place went to a newer one");
    }

    #[test]
    fn those_that_are_gone_take_no_place() {
        static SHELF: Shelf<Vec<u8>> = Shelf::new(2);
        let stays = SHELF.slot();
        let held = stays.content();
        for _ in 0..10 {
            SHELF.slot().content();
        }
        assert!(Arc::ptr_eq(&stays.content(), &held));
    }
}
