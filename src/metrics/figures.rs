//! What pages show of documents, kept for each gateway until its next poll: documents take a hundred times as much memory,
//! and a page asks for them family by family.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::devices::Devices;
use super::readings::Measured;
use crate::model::Telemetry;

/// What pages show of the documents of one telemetry.
#[derive(Debug)]
pub(super) struct Derived {
    pub measured: Measured,
    pub devices: Devices,
}

type Known = HashMap<String, (Weak<Telemetry>, Arc<Derived>)>;

/// The same for every gateway, by its id.
#[derive(Default)]
pub struct Figures {
    known: Mutex<Known>,
}

impl Figures {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, id: &str, telemetry: &Arc<Telemetry>) -> Arc<Derived> {
        if let Some((of, derived)) = self.known().get(id)
            && of.as_ptr() == Arc::as_ptr(telemetry)
        {
            return derived.clone();
        }
        let documents = telemetry.documents();
        let derived = Derived { measured: Measured::of(&documents), devices: Devices::of(&documents) };
        let derived = Arc::new(derived);
        let mut known = self.known();
        // Before it grows: gateways that are gone, or were polled again, need no place.
        if known.len() == known.capacity() {
            known.retain(|_, (of, _)| of.strong_count() > 0);
        }
        known.insert(id.to_owned(), (Arc::downgrade(telemetry), derived.clone()));
        derived
    }
}
