//! What limits, rates and pauses allow, held against the log: each claim at its own moment.

use std::collections::{BTreeMap, BTreeSet};

use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::id::TaskId;
use azoth_scheduler_core::scope::{self, Scope, ScopeState, per_key};
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::{RecordedEvent, Subject};

/// What was said of scopes so far, and which tasks run.
#[derive(Default)]
pub(crate) struct Holds {
    scopes: BTreeMap<Scope, ScopeState>,
    definitions: BTreeMap<TaskId, TaskDefinition>,
    running: BTreeSet<TaskId>,
    /// Claims that came while something was said of their scopes: so many were really held against it.
    pub(crate) held: usize,
}

impl Holds {
    /// I22: takes in an event. An error says which limit it breaks.
    pub(crate) fn enter(&mut self, recorded: &RecordedEvent) -> Result<(), String> {
        if let Some(of) = recorded.event.scope() {
            let state = scope::evolve(self.scopes.remove(of), &recorded.event, recorded.at);
            let state = state.map_err(|error| error.to_string())?;
            self.scopes.insert(of.clone(), state);
        }
        let Subject::Task(task) = &recorded.subject else { return Ok(()) };
        match &recorded.event {
            Event::TaskScheduled { definition, .. } => {
                self.definitions.insert(task.clone(), TaskDefinition::clone(definition));
            }
            Event::ExecutionStarted { .. } => self.start(task, recorded.at)?,
            Event::TaskExecuted { .. }
            | Event::ExecutionAbandoned { .. }
            | Event::TaskCancelled { execution: Some(_), .. } => {
                self.running.remove(task);
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, task: &TaskId, at: Timestamp) -> Result<(), String> {
        let definition = self.definitions.get(task).ok_or("a task that was never scheduled starts")?.clone();
        for scope in Scope::all_of(&definition) {
            let limit = match &scope {
                Scope::Key(_) => Some(self.per_key(&scope, &definition)),
                Scope::TaskType(_) | Scope::Everything => {
                    self.scopes.get(&scope).and_then(|state| state.limits().max_running)
                }
            };
            let running = self.running(&scope);
            if let Some(limit) = limit.filter(|limit| running >= u64::from(limit.get())) {
                return Err(format!("{task:?} starts, and of {scope} {running} run, {limit} may"));
            }
            let Some(state) = self.scopes.get_mut(&scope) else { continue };
            if let Some(pause) = &state.pause {
                return Err(format!("{task:?} starts, and {scope} is paused: {pause:?}"));
            }
            if let Some(free_at) = state.free_at(at) {
                return Err(format!("{task:?} starts, and the rate of {scope} allows none before {free_at}"));
            }
            state.spend(at);
            self.held += 1;
        }
        self.running.insert(task.clone());
        Ok(())
    }

    fn per_key(&self, key: &Scope, definition: &TaskDefinition) -> std::num::NonZeroU32 {
        let of_type = self.scopes.get(&Scope::TaskType(definition.task_type.clone()));
        per_key(self.scopes.get(key), of_type, self.scopes.get(&Scope::Everything))
    }

    /// A task that was redefined while it runs counts under its new definition.
    fn running(&self, scope: &Scope) -> u64 {
        let definitions = self.running.iter().filter_map(|task| self.definitions.get(task));
        definitions.filter(|definition| Scope::all_of(definition).any(|of| of == *scope)).count() as u64
    }
}
