//! The log held against what it promises.

use std::collections::{BTreeMap, BTreeSet};

use azoth_scheduler_core::command::AbandonReason;
use azoth_scheduler_core::decide::SUSPECT_LOSSES;
use azoth_scheduler_core::event::Event;
use azoth_scheduler_core::execution::Outcome;
use azoth_scheduler_core::id::{ExecutionId, TaskId, WorkerId};
use azoth_scheduler_core::testing::audit;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::store::CLAIM_BATCH_MAX;
use azoth_scheduler_store::{LogPosition, RecordedEvent, Subject};

use crate::limits::Holds;

/// All that was read of the log so far, and what was promised about it.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) log: Vec<RecordedEvent>,
    tasks: BTreeMap<TaskId, Account>,
    started: BTreeSet<ExecutionId>,
    open: BTreeMap<ExecutionId, Open>,
    /// How many quick runs each worker has recorded: after so many it may claim ahead.
    quick: BTreeMap<WorkerId, usize>,
    /// How often scheduling a task was acknowledged as having changed something.
    acknowledged: BTreeMap<TaskId, usize>,
    slots: usize,
    pub(crate) holds: Holds,
}

/// An execution that has not ended.
#[derive(Clone, Copy)]
struct Open {
    worker: WorkerId,
    is_quick: bool,
    is_suspect: bool,
}

/// One task's events, and what follows from them.
#[derive(Default)]
struct Account {
    is_quick: bool,
    losses: u32,
    events: Vec<(Timestamp, Event)>,
    definitions: usize,
    attempts: Option<(Served, u32)>,
    succeeded: Option<Timestamp>,
}

/// What an execution serves: an occurrence, or a run that somebody asked for at this instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Served {
    occurrence: Timestamp,
    off_schedule: bool,
}

impl Ledger {
    pub(crate) fn new(slots: usize) -> Self {
        Self { slots, ..Self::default() }
    }

    pub(crate) fn head(&self) -> LogPosition {
        self.log.last().map_or(LogPosition::START, |last| last.position)
    }

    /// The store said `Ok` to the scheduling of a task.
    pub(crate) fn acknowledge(&mut self, task: &TaskId) {
        *self.acknowledged.entry(task.clone()).or_default() += 1;
    }

    /// Takes in what was appended, and checks it.
    pub(crate) fn read(&mut self, appended: Vec<RecordedEvent>) -> Result<(), String> {
        let mut changed = BTreeSet::new();
        for recorded in appended {
            let position = recorded.position;
            let task = self.enter(&recorded).map_err(|what| format!("event {position}: {what}"))?;
            changed.extend(task);
            self.log.push(recorded);
        }
        // Both come in one commit, so the log never ends between them.
        if self.log.last().is_some_and(|last| is_success(&last.event)) {
            return Err("a success without the handler's event".to_owned());
        }
        for task in changed {
            let account = &self.tasks[&task];
            audit(&account.events).map_err(|fault| format!("task {task:?}: {fault}"))?;
        }
        self.check_acknowledged()
    }

    fn check_acknowledged(&self) -> Result<(), String> {
        for (task, times) in &self.acknowledged {
            let found = self.tasks.get(task).map_or(0, |account| account.definitions);
            if found < *times {
                return Err(format!("task {task:?} was acknowledged {times} times, the log has {found}"));
            }
        }
        Ok(())
    }

    /// What handlers started was claimed, and each execution was started once.
    pub(crate) fn check_started(&self, started: &BTreeMap<ExecutionId, u32>) -> Result<(), String> {
        for (execution, times) in started {
            if !self.started.contains(execution) {
                return Err(format!("{execution} ran and was never claimed"));
            }
            if *times > 1 {
                return Err(format!("{execution} was started {times} times"));
            }
        }
        Ok(())
    }

    fn enter(&mut self, recorded: &RecordedEvent) -> Result<Option<TaskId>, String> {
        let last = self.log.last();
        let expected = last.map_or(1, |last| last.position.number() + 1);
        if recorded.position.number() != expected {
            return Err(format!("its position is not {expected}"));
        }
        if last.is_some_and(|last| last.ordered_at > recorded.ordered_at) {
            return Err("the ordered instant went back".to_owned());
        }
        self.holds.enter(recorded)?;
        let Subject::Task(task) = &recorded.subject else {
            return Ok(None);
        };
        let emitted = matches!(recorded.event, Event::TaskEventEmitted { .. });
        let before = last.filter(|last| is_success(&last.event)).map(|last| &last.subject);
        if emitted != before.is_some() || before.is_some_and(|before| *before != recorded.subject) {
            return Err("a success and the handler's event do not stand together".to_owned());
        }
        let account = self.tasks.entry(task.clone()).or_default();
        account.enter(&recorded.event)?;
        account.events.push((recorded.at, recorded.event.clone()));
        let (is_quick, is_suspect) = (account.is_quick, account.losses >= SUSPECT_LOSSES);
        self.count(&recorded.event, is_quick, is_suspect)?;
        Ok(Some(task.clone()))
    }

    fn count(&mut self, event: &Event, is_quick: bool, is_suspect: bool) -> Result<(), String> {
        let ended = match event {
            Event::ExecutionStarted { execution, worker, .. } => {
                if !self.started.insert(*execution) {
                    return Err(format!("{execution} was claimed before"));
                }
                self.open.insert(*execution, Open { worker: *worker, is_quick, is_suspect });
                return self.check_held(*worker);
            }
            Event::TaskExecuted { execution, .. } | Event::ExecutionAbandoned { execution, .. } => *execution,
            Event::TaskCancelled { execution: Some(execution), .. } => *execution,
            _ => return Ok(()),
        };
        match self.open.remove(&ended) {
            Some(open) => {
                let ran = matches!(event, Event::TaskExecuted { .. });
                *self.quick.entry(open.worker).or_default() += usize::from(ran && open.is_quick);
                Ok(())
            }
            None => Err(format!("{ended} ended and was not open")),
        }
    }

    /// I27, I29: a worker holds no more than its slots, and what it may claim ahead; and beside a suspect nothing.
    fn check_held(&self, worker: WorkerId) -> Result<(), String> {
        let held: Vec<&Open> = self.open.values().filter(|open| open.worker == worker).collect();
        let is_quick = self.quick.get(&worker).is_some_and(|runs| *runs >= QUICK_AFTER);
        let limit = if is_quick { self.slots + CLAIM_BATCH_MAX } else { self.slots };
        if held.len() > limit {
            return Err(format!("worker {worker} holds {} executions, {limit} are its limit", held.len()));
        }
        if held.len() > 1 && held.iter().any(|open| open.is_suspect) {
            return Err(format!("worker {worker} holds a suspect and others beside it"));
        }
        Ok(())
    }
}

impl Account {
    fn enter(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::TaskScheduled { definition, .. } => {
                self.definitions += 1;
                self.is_quick = definition.task_type.as_str() == "block";
                (self.attempts, self.succeeded) = (None, None);
            }
            Event::ExecutionStarted { occurrence, attempt, off_schedule, .. } => {
                if self.succeeded == Some(*occurrence) && !off_schedule {
                    return Err(format!("the occurrence at {occurrence} has succeeded and runs again"));
                }
                let serves = Served { occurrence: *occurrence, off_schedule: *off_schedule };
                let before = self.attempts.filter(|(of, _)| *of == serves).map(|(_, attempt)| attempt);
                let expected = before.map_or(1, |attempt| attempt + 1);
                if attempt.get() != expected {
                    return Err(format!("attempt {attempt} at {occurrence} after {before:?}"));
                }
                self.attempts = Some((serves, attempt.get()));
                if attempt.get() == 1 {
                    self.losses = 0;
                }
            }
            Event::ExecutionAbandoned { why: AbandonReason::WorkerLost, .. } => self.losses += 1,
            // A run of its own, even where two are asked for in one millisecond.
            Event::RunRequested { off_schedule: true, .. } => self.attempts = None,
            // With nothing counted against it.
            Event::TaskRetried { .. } => self.attempts = None,
            Event::TaskExecuted { outcome: Outcome::Succeeded(()), .. } => {
                let serves = self.attempts.map(|(serves, _)| serves).filter(|serves| !serves.off_schedule);
                self.succeeded = serves.map(|serves| serves.occurrence).or(self.succeeded);
            }
            _ => {}
        }
        Ok(())
    }
}

/// So many quick runs make a type quick.
const QUICK_AFTER: usize = 16;

fn is_success(event: &Event) -> bool {
    matches!(event, Event::TaskExecuted { outcome: Outcome::Succeeded(()), .. })
}

#[cfg(test)]
mod tests {
    use azoth_scheduler_core::execution::ErrorText;
    use azoth_scheduler_core::scope::Scope;
    use azoth_scheduler_store::RecordedPayload;

    use super::*;
    use crate::plan::{Simulation, Storage};

    /// The log of a run that went well.
    fn log() -> Vec<RecordedEvent> {
        let of_seed = |seed| {
            let mut simulation = Simulation::of_seed(seed, Storage::Memory);
            simulation.run().unwrap();
            simulation.world.log(LogPosition::START).unwrap()
        };
        let abandoned = |log: &Vec<RecordedEvent>| {
            log.iter().any(|recorded| matches!(recorded.event, Event::ExecutionAbandoned { .. }))
        };
        (0..).map(of_seed).find(abandoned).unwrap()
    }

    fn fault(log: Vec<RecordedEvent>) -> String {
        Ledger::new(10).read(log).unwrap_err()
    }

    /// Puts the positions in order again, as whoever forged it would.
    fn renumbered(mut log: Vec<RecordedEvent>) -> Vec<RecordedEvent> {
        for (at, event) in log.iter_mut().enumerate() {
            event.position = LogPosition::from_number(at as u64 + 1);
        }
        log
    }

    fn place(log: &[RecordedEvent], of: impl Fn(&Event) -> bool) -> usize {
        log.iter().position(|recorded| of(&recorded.event)).unwrap()
    }

    #[test]
    fn log_that_kept_its_promises_has_no_fault_and_each_broken_promise_is_found() {
        crate::hush();
        let good = log();
        Ledger::new(10).read(good.clone()).unwrap();

        let mut gap = good.clone();
        gap.remove(3);
        assert!(fault(gap).contains("its position is not 4"));

        let mut doubled = good.clone();
        let at = place(&good, |event| matches!(event, Event::ExecutionAbandoned { .. }));
        doubled.insert(at, good[at].clone());
        assert!(fault(renumbered(doubled)).contains("was not open"));

        let mut lost = good.clone();
        lost.remove(place(&good, |event| matches!(event, Event::TaskEventEmitted { .. })));
        assert!(fault(renumbered(lost)).contains("do not stand together"));

        assert!(Ledger::new(0).read(good.clone()).unwrap_err().contains("are its limit"));

        let worker = WorkerId::from_u128(1);
        let mut ledger = Ledger::new(10);
        for (execution, is_suspect) in [(1, false), (2, true)] {
            let open = Open { worker, is_quick: false, is_suspect };
            ledger.open.insert(ExecutionId::from_u128(execution), open);
        }
        assert!(ledger.check_held(worker).unwrap_err().contains("holds a suspect"));
        let mut paused = good.clone();
        let (scope, by) = (Scope::Everything, "ops".parse().unwrap());
        let pause = Event::ScopePaused { scope: scope.clone(), reason: ErrorText::new(""), by, until: None };
        let payload = RecordedPayload::Absent;
        let at = place(&good, |event| matches!(event, Event::ExecutionStarted { .. }));
        let pause =
            RecordedEvent { subject: Subject::Scope(scope), event: pause, payload, ..good[at].clone() };
        paused.insert(at, pause);
        assert!(fault(renumbered(paused)).contains("is paused"));

        let mut ledger = Ledger::new(10);
        ledger.acknowledge(&"never".parse().unwrap());
        assert!(ledger.read(good.clone()).unwrap_err().contains("was acknowledged 1 times"));

        let mut ledger = Ledger::new(10);
        ledger.read(good).unwrap();
        let unknown = BTreeMap::from([(ExecutionId::from_u128(1), 1)]);
        assert!(ledger.check_started(&unknown).unwrap_err().contains("never claimed"));
    }
}
