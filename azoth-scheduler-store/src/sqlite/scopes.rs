//! The scopes that a writer or a fold has met: remembered, changed, and written when all is decided.

use std::collections::{BTreeSet, HashMap};

use azoth_scheduler_core::id::ConcurrencyKey;
use azoth_scheduler_core::scope::Scope;
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_core::time::Timestamp;

use super::line;
use super::scope_row::{self, ScopeCells, ScopeEntry};
use super::tables::Tables;
use crate::error::StoreError;

/// Scopes by what they mean.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    met: HashMap<Scope, Slot>,
    unwritten: Vec<Scope>,
    /// Keys whose lines have to be looked at.
    lines: BTreeSet<ConcurrencyKey>,
    /// All lines have to be.
    all_lines: bool,
}

/// A scope; `entry` is `None` where nothing was said of it.
#[derive(Debug)]
struct Slot {
    entry: Option<ScopeEntry>,
    written: bool,
}

impl Scopes {
    /// A scope, from memory or from its row; `None` where nothing was said of it.
    pub(super) fn get(
        &mut self,
        tables: &dyn Tables,
        scope: &Scope,
    ) -> Result<Option<&ScopeEntry>, StoreError> {
        if !self.met.contains_key(scope) {
            let entry = scope_row::by_scope(tables, scope)?;
            self.met.insert(scope.clone(), Slot { entry, written: true });
        }
        Ok(self.met.get(scope).and_then(|slot| slot.entry.as_ref()))
    }

    /// Changes what is known of a scope; its row is written by [`flush`](Self::flush).
    pub(super) fn put(&mut self, entry: ScopeEntry) {
        let scope = entry.state.scope.clone();
        match &scope {
            Scope::Key(key) => {
                self.lines.insert(key.clone());
            }
            Scope::TaskType(_) | Scope::Everything => {
                let known = self.met.get(&scope).and_then(|slot| slot.entry.as_ref());
                let before = known.and_then(|known| known.state.limits().max_running_per_key);
                self.all_lines |= before != entry.state.limits().max_running_per_key;
            }
        }
        self.unwritten.push(scope.clone());
        self.met.insert(scope, Slot { entry: Some(entry), written: false });
    }

    /// A task of this definition changes, and with it the line of its key.
    pub(super) fn touch(&mut self, definition: &TaskDefinition) {
        if let Some(key) = &definition.concurrency_key {
            self.lines.insert(key.clone());
        }
    }

    /// A start counts against the rate of every scope of the task.
    pub(super) fn spend(
        &mut self,
        tables: &dyn Tables,
        definition: &TaskDefinition,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        for scope in Scope::all_of(definition) {
            let limited = self.get(tables, &scope)?.filter(|entry| entry.state.limits().rate.is_some());
            if let Some(mut entry) = limited.cloned() {
                entry.state.spend(at);
                self.put(entry);
            }
        }
        Ok(())
    }

    /// Writes the rows of all scopes that changed, then lets into the due index who may be claimed now. The rows of the
    /// tasks stand there by then. Whether there was anything to be written.
    pub(super) fn flush(&mut self, tables: &dyn Tables) -> Result<bool, StoreError> {
        let some = self.is_unwritten();
        self.flush_some(tables, usize::MAX)?;
        Ok(some)
    }

    /// As [`flush`](Self::flush), but settles at most so many lines; says whether there are more.
    pub(super) fn flush_some(&mut self, tables: &dyn Tables, lines: usize) -> Result<bool, StoreError> {
        for scope in self.unwritten.drain(..) {
            let Some(slot) = self.met.get_mut(&scope).filter(|slot| !slot.written) else { continue };
            if let Some(entry) = &slot.entry {
                ScopeCells::of(entry).write(tables)?;
            }
            slot.written = true;
        }
        if std::mem::take(&mut self.all_lines) {
            self.lines.extend(line::keys(tables)?);
        }
        for _ in 0..lines {
            let Some(key) = self.lines.pop_first() else { break };
            line::settle(tables, &key, |scope| {
                Ok(self.get(tables, &scope)?.map(|entry| entry.state.clone()))
            })?;
        }
        Ok(!self.lines.is_empty())
    }

    /// Whether there is anything to be written.
    pub(super) fn is_unwritten(&self) -> bool {
        self.all_lines || !self.unwritten.is_empty() || !self.lines.is_empty()
    }

    /// Keeps memory bounded, once all is written.
    pub(super) fn trim(&mut self) {
        debug_assert!(self.unwritten.is_empty(), "what is forgotten is written");
        if self.met.len() > SCOPES_MAX {
            self.met.clear();
        }
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        self.met.clear();
        self.unwritten.clear();
        self.lines.clear();
        self.all_lines = false;
    }
}

/// At most so many scopes are remembered from one transaction to the next.
const SCOPES_MAX: usize = 4_096;
