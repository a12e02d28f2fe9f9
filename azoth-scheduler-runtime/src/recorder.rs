//! Results that have yet to be recorded. None is dropped because a store fails.

use std::collections::VecDeque;
use std::sync::Arc;

use azoth_scheduler_core::command::{AbandonReason, TaskCommand, Wish};
use azoth_scheduler_core::decide::Answer;
use azoth_scheduler_core::execution::Report;
use azoth_scheduler_core::id::{ExecutionId, TaskId};
use azoth_scheduler_core::rejection::Rejection;
use azoth_scheduler_core::time::Timestamp;
use azoth_scheduler_store::StoreError;
use azoth_scheduler_store::store::BATCH_COMMANDS_MAX;

use crate::event::too_large;
use crate::observe;
use crate::slots::Slot;

/// The results, oldest first. Each keeps its slot until it is recorded, unless something that was claimed ahead has taken it
/// over; so there are never more than slots and claims ahead.
pub(crate) struct Recorder {
    waiting: VecDeque<Unrecorded>,
    batch_max: usize,
}

struct Unrecorded {
    command: TaskCommand,
    slot: Option<Arc<Slot>>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { waiting: VecDeque::new(), batch_max: BATCH_MAX }
    }

    pub(crate) fn complete(
        &mut self,
        task: TaskId,
        execution: ExecutionId,
        started_at: Timestamp,
        report: Report,
        slot: Option<Arc<Slot>>,
    ) {
        observe::execution_ended(&task, execution, &report);
        self.push(task, Wish::Complete { execution, started_at, report }, slot);
    }

    pub(crate) fn give_back(
        &mut self,
        task: TaskId,
        execution: ExecutionId,
        why: AbandonReason,
        now: Timestamp,
        slot: Option<Arc<Slot>>,
    ) {
        self.push(task, Wish::Abandon { execution, why, last_seen: now }, slot);
    }

    fn push(&mut self, task: TaskId, wish: Wish, slot: Option<Arc<Slot>>) {
        self.waiting.push_back(Unrecorded { command: TaskCommand { task, wish }, slot });
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the end of this execution is among them.
    pub(crate) fn holds(&self, execution: ExecutionId) -> bool {
        let of = |wish: &Wish| match wish {
            Wish::Complete { execution, .. } | Wish::Abandon { execution, .. } => Some(*execution),
            _ => None,
        };
        self.waiting.iter().any(|unrecorded| of(&unrecorded.command.wish) == Some(execution))
    }

    /// The next ones to be recorded together.
    pub(crate) fn batch(&self) -> Vec<TaskCommand> {
        self.next_batch().map(|unrecorded| unrecorded.command.clone()).collect()
    }

    /// As many as one transaction takes, with what they schedule. The first one always fits.
    fn next_batch(&self) -> impl Iterator<Item = &Unrecorded> {
        let mut weight = 0_usize;
        self.waiting.iter().take(self.batch_max).take_while(move |unrecorded| {
            weight = weight.saturating_add(unrecorded.command.weight());
            weight <= BATCH_COMMANDS_MAX
        })
    }

    /// How many slots come free once the next batch is recorded: not those that a thread still holds.
    pub(crate) fn releases(&self) -> usize {
        let sole = |slot: &Arc<Slot>| Arc::strong_count(slot) == 1;
        self.next_batch().filter(|unrecorded| unrecorded.slot.as_ref().is_some_and(sole)).count()
    }

    /// Takes over the slot of a result that has yet to be recorded: not of the first so many, which are under way to the
    /// store and whose slots are offered already, nor one that a thread still holds.
    pub(crate) fn lend_slot(&mut self, sent: usize) -> Option<Arc<Slot>> {
        let sole = |slot: &Arc<Slot>| Arc::strong_count(slot) == 1;
        let unsent = self.waiting.iter_mut().skip(sent).rev();
        let mut slots = unsent.map(|unrecorded| &mut unrecorded.slot);
        slots.find(|slot| slot.as_ref().is_some_and(sole)).and_then(Option::take)
    }

    /// The store has answered for that many.
    pub(crate) fn settle(&mut self, answers: &[Result<Answer, Rejection>]) {
        for (unrecorded, answer) in self.waiting.drain(..answers.len()).zip(answers) {
            // A refusal means that it was recorded before, or that others hold the task now. Nothing is left to do.
            if let Err(rejection) = answer {
                observe::result_refused(&unrecorded.command.task, rejection);
            }
        }
        self.batch_max = (self.batch_max * 2).min(BATCH_MAX);
    }

    /// The store failed with so many of them.
    pub(crate) fn failed(&mut self, sent: usize, error: &StoreError) {
        if error.is_passing() || error.is_unknown() || sent == 0 {
            return;
        }
        if sent > 1 {
            // One of them may be what it cannot take: find out which.
            self.batch_max = 1;
        } else if let (StoreError::TooLarge { bytes, limit }, Some(first)) = (error, self.waiting.front_mut())
        {
            first.shrink(*bytes, *limit);
        } else {
            self.waiting.rotate_left(1);
        }
    }
}

impl Unrecorded {
    /// A result that is too large for the store becomes a failure that says so.
    fn shrink(&mut self, bytes: u64, limit: u64) {
        if let Wish::Complete { report, .. } = &mut self.command.wish {
            let size = |number| usize::try_from(number).unwrap_or(usize::MAX);
            *report = too_large(size(bytes), size(limit));
        }
    }
}

/// So many results are recorded in one transaction at most.
const BATCH_MAX: usize = 1_000;
