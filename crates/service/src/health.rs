//! Whether the process can do its work, and what keeps it from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What a process needs before it is ready. Cheap to clone; all clones share their checks.
#[derive(Debug, Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>,
    warnings: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Health {
    /// Nothing is needed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The check `name` holds.
    pub fn ready(&self, name: &'static str) {
        self.set(name, Ok(()));
    }

    /// The check `name` does not hold, because of `reason`.
    pub fn unready(&self, name: &'static str, reason: impl Into<String>) {
        self.set(name, Err(reason.into()));
    }

    /// Something is wrong that keeps this process from nothing; `None` once it is right again.
    pub fn warn(&self, name: &'static str, reason: Option<String>) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        match reason {
            Some(reason) => warnings.insert(name, reason),
            None => warnings.remove(name),
        };
    }

    /// All warnings. The process is ready in spite of them.
    #[must_use]
    pub fn warnings(&self) -> BTreeMap<&'static str, String> {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// All checks; the process is ready when each is `Ok`.
    #[must_use]
    pub fn checks(&self) -> BTreeMap<&'static str, Result<(), String>> {
        self.checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether all checks hold.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.values().all(Result::is_ok)
    }

    fn set(&self, name: &'static str, state: Result<(), String>) {
        self.checks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, state);
    }
}
