//! Whether the store may go on writing after what the disk, or the file, has shown so far.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::StoreError;
use crate::report::Health;

/// Shared by everything that writes one opening of a file.
#[derive(Debug, Default)]
pub(super) struct Vitals {
    health: Mutex<Health>,
}

impl Vitals {
    pub(super) fn health(&self) -> Health {
        self.lock().clone()
    }

    /// # Errors
    /// [`StoreError::Failed`] once too much went wrong.
    pub(super) fn may_write(&self) -> Result<(), StoreError> {
        match &*self.lock() {
            Health::Failed { detail } => Err(StoreError::Failed { detail: detail.clone() }),
            Health::Working | Health::Troubled { .. } => Ok(()),
        }
    }

    /// With which error a write transaction ended, if with one. Only those that put the disk in doubt count.
    pub(super) fn note(&self, error: Option<&StoreError>) {
        let mut health = self.lock();
        let failures = match &*health {
            Health::Working => 0,
            Health::Troubled { failures, .. } => *failures,
            Health::Failed { .. } => return,
        };
        match error {
            None if failures > 0 => *health = Health::Working,
            Some(error) if is_of_the_disk(error) => {
                let (failures, detail) = (failures.saturating_add(1), error.to_string());
                *health = if failures < FAILURES_MAX {
                    Health::Troubled { failures, detail }
                } else {
                    tracing::error!(
                        failures,
                        detail,
                        "nothing is written any more: the disk fails over and over"
                    );
                    Health::Failed { detail }
                };
            }
            None | Some(_) => {}
        }
    }

    /// Has something written on another connection than the writer's, unless too much went wrong; how it ends counts too.
    pub(super) fn watch<T>(&self, write: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.may_write()?;
        let written = write();
        self.note(written.as_ref().err());
        written
    }

    /// Nothing is written any more.
    pub(super) fn give_up(&self, detail: String) {
        *self.lock() = Health::Failed { detail };
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_of_the_disk(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { .. } | StoreError::CannotOpen { .. } | StoreError::Unknown { .. })
}

/// After so many failures in a row nothing is written any more.
const FAILURES_MAX: u32 = 8;
