//! What limits and pauses allow, by a look at every task: never more than that runs, and nothing else is held up.

use std::collections::BTreeMap;

use azoth_scheduler_core::id::ExecutionId;
use azoth_scheduler_core::scope::{Gate, Scope, ScopeState, per_key};
use azoth_scheduler_core::state::TaskState;

use crate::conformance::bench::{all_tasks, ok};
use crate::store::{Applied, Batch, Store};

struct Held {
    tasks: Vec<TaskState>,
    scopes: BTreeMap<Scope, ScopeState>,
}

/// Checks I22, I23 and I29 after a batch.
pub(super) async fn check(store: &dyn Store, batch: &Batch, applied: &Applied, place: &str) {
    let Some(claims) = &applied.claims else { return };
    let scopes = ok(store.scopes().await);
    let scopes = scopes.into_iter().map(|state| (state.scope.clone(), state)).collect();
    let held = Held { tasks: all_tasks(store).await, scopes };
    let started: Vec<ExecutionId> = claims.claimed.iter().map(|claimed| claimed.execution).collect();
    for (before, execution) in started.iter().enumerate() {
        held.assert_within_limits(*execution, started.get(before + 1..).unwrap_or_default(), place);
    }
    let offer = batch.offer.as_ref().filter(|offer| offer.executions.len() > claims.claimed.len());
    let alone = claims.claimed.iter().any(|claimed| claimed.suspect);
    assert!(!alone || claims.claimed.len() == 1, "I29: {place}: a suspect was claimed with others");
    let Some(offer) = offer.filter(|_| !claims.worker_ended && !alone) else { return };
    let others = held.tasks.iter().filter(|task| !task.counts.is_suspect());
    for task in others.filter(|task| offer.task_types.contains(&task.definition.task_type)) {
        if task.waiting().is_some_and(|work| work.run_at <= batch.now) && held.lets_through(task, batch) {
            panic!("I23: {place}: nothing holds back {:?}, there was room, and it was not claimed", task.id);
        }
    }
}

impl Held {
    /// I22: no more run at once than may, wherever one was just started. What was started after it does not count: a task
    /// of another type may have a higher limit for the same key.
    fn assert_within_limits(&self, execution: ExecutionId, later: &[ExecutionId], place: &str) {
        let Some(started) = self.tasks.iter().find(|task| task.held_by() == Some(execution)) else {
            panic!("{place}: {execution} was claimed and holds no task");
        };
        for scope in Scope::all_of(&started.definition) {
            let limit = match &scope {
                Scope::Key(_) => Some(self.per_key(started)),
                Scope::TaskType(_) | Scope::Everything => {
                    self.scopes.get(&scope).and_then(|state| state.limits().max_running)
                }
            };
            let running = self.running_but(later, &scope);
            assert!(
                limit.is_none_or(|limit| running <= u64::from(limit.get())),
                "I22: {place}: {scope}: {running}"
            );
            let paused = self.scopes.get(&scope).is_some_and(|state| state.pause.is_some());
            assert!(!paused, "{place}: {scope} is paused, and {:?} was claimed", started.id);
        }
    }

    /// Whether a task has to be claimed when there is room. One of a key only where it is alone in it.
    fn lets_through(&self, task: &TaskState, batch: &Batch) -> bool {
        let alone = task.definition.concurrency_key.is_none()
            || self.tasks.iter().all(|other| {
                other.id == task.id
                    || other.definition.concurrency_key != task.definition.concurrency_key
                    || !other.phase.kind().is_live()
            });
        alone
            && Scope::all_of(&task.definition).all(|scope| {
                let gate = |state: &ScopeState| state.gate(self.running(&scope), batch.now);
                let never_set_back = |state: &ScopeState| match scope {
                    // The line of a key does not know of a clock that was set back.
                    Scope::Key(_) => {
                        state.ready_at(batch.now, 0, self.per_key(task)).is_some_and(|at| at <= batch.now)
                    }
                    Scope::TaskType(_) | Scope::Everything => true,
                };
                self.scopes.get(&scope).is_none_or(|state| gate(state) == Gate::Open && never_set_back(state))
            })
    }

    fn per_key(&self, task: &TaskState) -> std::num::NonZeroU32 {
        let key = task.definition.concurrency_key.clone().and_then(|key| self.scopes.get(&Scope::Key(key)));
        let task_type = self.scopes.get(&Scope::TaskType(task.definition.task_type.clone()));
        per_key(key, task_type, self.scopes.get(&Scope::Everything))
    }

    fn running(&self, scope: &Scope) -> u64 {
        self.running_but(&[], scope)
    }

    fn running_but(&self, others: &[ExecutionId], scope: &Scope) -> u64 {
        let counts = |task: &&TaskState| task.held_by().is_some_and(|held_by| !others.contains(&held_by));
        let running = self.tasks.iter().filter(counts);
        running.filter(|task| Scope::all_of(&task.definition).any(|of| of == *scope)).count() as u64
    }
}
