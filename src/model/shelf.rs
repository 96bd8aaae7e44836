//! Documents for as long as somebody is likely to ask for them again.
//!
//! A document is a tree that takes ten times the room of the answers it is derived from. Whoever asks for the
//! bodies of one gateway asks for several, so what was used last is kept; a hundred gateways must not keep a
//! hundred trees.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Documents;

/// So many documents are kept, of all gateways together.
const MOST: usize = 16;

/// What was derived last, the oldest first.
static SHELF: Mutex<VecDeque<Arc<Documents>>> = Mutex::new(VecDeque::new());

/// The documents of one telemetry.
#[derive(Debug, Default)]
pub(super) struct Shelved(Mutex<Weak<Documents>>);

impl Shelved {
    /// The documents there are, else those that `derive` makes. Who asks meanwhile waits and gets the same.
    pub fn get_or_derive(&self, derive: impl FnOnce() -> Documents) -> Arc<Documents> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(documents) = known.upgrade() {
            return documents;
        }
        let documents = Arc::new(derive());
        *known = Arc::downgrade(&documents);
        let mut shelf = SHELF.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = if shelf.len() < MOST { None } else { shelf.pop_front() };
        shelf.push_back(documents.clone());
        drop(shelf);
        // A tree has many parts to give back: nobody has to wait for that.
        drop(oldest);
        documents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_derived_once_and_given_up_for_newer_ones() {
        let shelved = Shelved::default();
        let derive = || Documents { vitals: 1.into(), ..Documents::default() };
        let first = shelved.get_or_derive(derive);
        let again = shelved.get_or_derive(|| unreachable!("it is there"));
        assert!(Arc::ptr_eq(&first, &again));
        drop((first, again));
        for _ in 0..MOST {
            Shelved::default().get_or_derive(Documents::default);
        }
        let mut is_derived = false;
        shelved.get_or_derive(|| {
            is_derived = true;
            derive()
        });
        assert!(is_derived, "nobody keeps what was given up");
    }
}
