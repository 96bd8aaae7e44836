//! The state of the gateway at its address on the wired LAN. What it answers there is up to
//! [`super::lan_answers`].

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::unix_time;

/// What became of the registration of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Waits to be confirmed; said in an error of the protocol.
    Pending,
    /// The same, said in plain text where the answer should be, as some firmware does.
    PendingInPlainText,
    /// Not confirmed in time, or removed.
    Inactive,
    Verified,
}

/// Who may sign, who may log in, and what time it is.
pub struct Lan {
    customer_password: String,
    /// Public keys in PKCS#1 DER.
    keys: Mutex<Vec<(Vec<u8>, Registration)>>,
    /// Number of the only token that holds; grows with each login.
    token: AtomicU64,
    /// The gateway's clock minus the true one, seconds.
    clock_offset: AtomicI64,
    /// Whether answers carry the time.
    sends_date: AtomicBool,
    /// Whether a key that nobody registered gets an empty answer instead of a fault.
    is_silent_on_unknown_keys: AtomicBool,
}

impl Lan {
    pub(super) fn new(customer_password: String) -> Self {
        Self {
            customer_password,
            keys: Mutex::default(),
            token: AtomicU64::new(1),
            clock_offset: AtomicI64::new(0),
            sends_date: true.into(),
            is_silent_on_unknown_keys: false.into(),
        }
    }

    fn keys(&self) -> MutexGuard<'_, Vec<(Vec<u8>, Registration)>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this is what became of the registration of `public_key` (PKCS#1 DER).
    pub fn register(&self, public_key: &[u8], registration: Registration) {
        self.forget(public_key);
        self.keys().push((public_key.to_vec(), registration));
    }

    /// Nobody ever registered it.
    pub fn forget(&self, public_key: &[u8]) {
        self.keys().retain(|(known, _)| known != public_key);
    }

    /// Whether anybody registered `public_key`.
    pub fn knows(&self, public_key: &[u8]) -> bool {
        self.registration(public_key).is_some()
    }

    /// Whether `public_key` may sign.
    pub fn accepts(&self, public_key: &[u8]) -> bool {
        self.registration(public_key) == Some(Registration::Verified)
    }

    /// A key that nobody registered gets an empty answer from now on, as from some firmware.
    pub fn stay_silent_on_unknown_keys(&self) {
        self.is_silent_on_unknown_keys.store(true, Ordering::Relaxed);
    }

    /// Sets the gateway's clock, in seconds ahead of the true one. `sends_date`: whether answers have a date.
    pub fn set_clock(&self, ahead: i64, sends_date: bool) {
        self.clock_offset.store(ahead, Ordering::Relaxed);
        self.sends_date.store(sends_date, Ordering::Relaxed);
    }

    /// Tokens that were given no longer hold.
    pub fn expire_tokens(&self) {
        self.token.fetch_add(1, Ordering::Relaxed);
    }

    /// What became of the registration of `public_key`; `None`: nobody registered it.
    pub(super) fn registration(&self, public_key: &[u8]) -> Option<Registration> {
        let keys = self.keys();
        keys.iter().find(|(known, _)| known == public_key).map(|(_, registration)| *registration)
    }

    pub(super) fn is_silent_on_unknown_keys(&self) -> bool {
        self.is_silent_on_unknown_keys.load(Ordering::Relaxed)
    }

    pub(super) fn customer_password(&self) -> &str {
        &self.customer_password
    }

    pub(super) fn sends_date(&self) -> bool {
        self.sends_date.load(Ordering::Relaxed)
    }

    /// What time it is there, in seconds since 1970.
    pub(super) fn now(&self) -> f64 {
        unix_time() + self.clock_offset.load(Ordering::Relaxed) as f64
    }

    pub(super) fn current_token(&self) -> String {
        format!("customer-token-{}", self.token.load(Ordering::Relaxed))
    }
}
