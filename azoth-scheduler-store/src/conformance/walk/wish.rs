//! What is wished on a walk.

use std::num::{NonZeroU32, NonZeroU64, NonZeroU128};

use azoth_scheduler_core::command::{
    AbandonReason, Command, NewTask, OnConflict, ScopeCommand, ScopeWish, TaskCommand, Wish,
};
use azoth_scheduler_core::dependency::{After, OnDependencyFailure};
use azoth_scheduler_core::execution::{Child, Emitted, FailureClass, Outcome, Report, Success};
use azoth_scheduler_core::headway::{Headway, Note, Share};
use azoth_scheduler_core::id::{ConcurrencyKey, ExecutionId, TaskId};
use azoth_scheduler_core::payload::Payload;
use azoth_scheduler_core::retry::{Backoff, OnExhausted, RetryPolicy};
use azoth_scheduler_core::schedule::{Misfire, MisfirePolicy, Overlap, Schedule};
use azoth_scheduler_core::scope::{Limits, LimitsChange, Rate, Scope};
use azoth_scheduler_core::task::TaskDefinition;
use azoth_scheduler_core::testing::{actor, execution, failed, group, task_id, task_type, text, worker};
use azoth_scheduler_core::trace::TraceParent;
use azoth_scheduler_core::unique::{Holds, Unique};

use super::Walk;
use crate::conformance::bench::{every, ok};

impl Walk<'_> {
    /// Anything that may be wished of a task, and at times of many.
    pub(super) fn wish(&mut self) -> Command {
        if self.chance.one_in(8) { self.scope_command().into() } else { self.command().into() }
    }

    fn scope_command(&mut self) -> ScopeCommand {
        let scope = match self.chance.below(8) {
            0 => Scope::Everything,
            1..=4 => Scope::TaskType(task_type(self.chance.pick(&["mail", "report"]))),
            _ => Scope::Key(ok(self.chance.pick(&KEYS).parse())),
        };
        let (reason, by) = (text("said"), actor("ops"));
        let wish = match self.chance.below(8) {
            0 => {
                let until = self.now.saturating_add_ms(self.chance.ms(60_000));
                ScopeWish::Pause { reason, by, until: Some(until) }
            }
            1 => ScopeWish::Pause { reason, by, until: None },
            2 | 3 => ScopeWish::Resume { by },
            4 => ScopeWish::ChangeLimits { change: LimitsChange::Cleared, by },
            5 => ScopeWish::ChangeLimits { change: LimitsChange::Declared(self.limits()), by },
            _ => ScopeWish::ChangeLimits { change: LimitsChange::Set(self.limits()), by },
        };
        ScopeCommand { scope, wish }
    }

    fn limits(&mut self) -> Limits {
        let (count, burst) = (NonZeroU32::new(1), NonZeroU32::new(self.chance.pick(&[1, 3])));
        let per_ms = NonZeroU64::new(self.chance.pick(&[500, 20_000]));
        let rate =
            count.zip(per_ms).zip(burst).and_then(|((count, per), burst)| Rate::new(count, per, burst));
        Limits {
            max_running: NonZeroU32::new(self.chance.pick(&[0, 1, 2, 5])),
            max_running_per_key: NonZeroU32::new(self.chance.pick(&[0, 0, 2, 3])),
            rate: rate.filter(|_| self.chance.one_in(3)),
        }
    }

    /// Anything that may be wished of one of a few tasks.
    pub(super) fn command(&mut self) -> TaskCommand {
        let (reason, by) = (text("said"), actor("ops"));
        let task = task_id(&format!("task-{}", self.chance.below(TASKS)));
        let wish = match self.chance.below(32) {
            0 => Wish::Cancel { reason, by },
            27 => Wish::RunNow { by },
            25 | 26 => Wish::Retry { by },
            1 => Wish::Disable { reason, by },
            2 => {
                let until = self.now.saturating_add_ms(self.chance.ms(60_000));
                Wish::Pause { reason, by, until: Some(until).filter(|_| self.chance.one_in(2)) }
            }
            3 => Wish::Resume { misfire: self.policy(), by },
            4 if self.chance.one_in(2) => Wish::ResumeWithScope { misfire: self.policy(), by },
            4 => Wish::Resume { misfire: self.policy(), by },
            5 => return self.direct_claim(task),
            24 => Wish::CorrectClock,
            6..=12 => Wish::Schedule(self.new_task()),
            _ if self.running.is_empty() => Wish::Schedule(self.new_task()),
            28 | 29 => return self.report_progress(),
            30 | 31 => return self.save_checkpoint(),
            13..=15 => return self.abandon(),
            _ => return self.complete(),
        };
        TaskCommand { task, wish }
    }

    /// A claim of one certain task, due or not.
    fn direct_claim(&mut self, task: TaskId) -> TaskCommand {
        let execution = execution(self.mint());
        let owner = if self.workers.is_empty() { worker(0) } else { self.chance.pick(&self.workers) };
        self.running.push((task.clone(), execution));
        TaskCommand { task, wish: Wish::Claim { execution, worker: owner } }
    }

    fn report_progress(&mut self) -> TaskCommand {
        let (task, execution) = self.chance.pick(&self.running);
        let done = Share::of(self.chance.pick(&[0.0, 0.4, 1.0]));
        let headway = Headway { done, note: Note::new("so far") };
        TaskCommand { task, wish: Wish::ReportProgress { execution, headway } }
    }

    fn save_checkpoint(&mut self) -> TaskCommand {
        let (task, execution) = self.chance.pick(&self.running);
        TaskCommand { task, wish: Wish::SaveCheckpoint { execution, checkpoint: self.payload() } }
    }

    fn complete(&mut self) -> TaskCommand {
        let (task, execution) = self.take_running();
        let report = self.report();
        TaskCommand { task, wish: Wish::Complete { execution, started_at: self.now, report } }
    }

    fn abandon(&mut self) -> TaskCommand {
        let (task, execution) = self.take_running();
        let why = self.chance.pick(&[
            AbandonReason::WorkerLost,
            AbandonReason::ShutDown,
            AbandonReason::NotStarted,
        ]);
        let last_seen = self.now.saturating_add_ms(-self.chance.ms(100_000));
        TaskCommand { task, wish: Wish::Abandon { execution, why, last_seen } }
    }

    /// Mostly the newest claims, and at times one whose end was told already.
    fn take_running(&mut self) -> (TaskId, ExecutionId) {
        let index = self.chance.below(self.running.len());
        if self.chance.one_in(6) { self.chance.pick(&self.running) } else { self.running.swap_remove(index) }
    }

    fn report(&mut self) -> Report {
        match self.chance.below(12) {
            0 => Outcome::TimedOut { timeout_ms: 1_000 },
            1 => Outcome::Panicked { message: text("it panicked") },
            2 => Outcome::Snoozed { for_ms: self.chance.ms(60_000).unsigned_abs() },
            3 => failed(FailureClass::Permanent),
            4 => failed(FailureClass::RetryAfter { delay_ms: self.chance.ms(60_000).unsigned_abs() }),
            5 | 6 => failed(FailureClass::Retryable),
            _ => {
                let payload = self.payload();
                let emitted = Emitted { event_type: ok("done".parse()), payload };
                let children = (0..self.chance.below(6).saturating_sub(3)).map(|_| self.child()).collect();
                Outcome::Succeeded(Success { emitted, children })
            }
        }
    }

    fn new_task(&mut self) -> NewTask {
        let schedule = self.schedule();
        // What recurs cannot wait; that refusal is met often enough.
        let after = if schedule.is_recurring() && !self.chance.one_in(20) { None } else { self.after() };
        let definition = TaskDefinition {
            task_type: task_type(self.chance.pick(&["mail", "report"])),
            payload: Payload::empty().digest(),
            schedule,
            retry: self.retry(),
            timeout_ms: NonZeroU64::MIN.saturating_add(self.chance.below(3) as u64),
            priority: self.chance.pick(self.priorities),
            group: self.chance.pick(&[None, None, Some("left"), Some("right")]).map(group),
            concurrency_key: self.key(),
            after,
            unique: self.unique(),
        };
        let on_conflict = self.chance.pick(&[
            OnConflict::Redefine,
            OnConflict::Redefine,
            OnConflict::Replace,
            OnConflict::Keep,
            OnConflict::Reject,
        ]);
        let (payload, trace) = (self.payload(), self.trace());
        NewTask::new(definition, payload, on_conflict).traced(trace)
    }

    fn trace(&mut self) -> Option<TraceParent> {
        let span_id = NonZeroU64::new(self.chance.below(3) as u64)?;
        Some(TraceParent::new(NonZeroU128::MIN, span_id, 1))
    }

    fn key(&mut self) -> Option<ConcurrencyKey> {
        if self.chance.one_in(2) { Some(ok(self.chance.pick(&KEYS).parse())) } else { None }
    }

    /// A child of a success.
    fn child(&mut self) -> Child {
        let task = task_id(&format!("task-{}", self.chance.below(TASKS)));
        Child { task, new: self.new_task() }
    }

    /// At times some of the others must have succeeded first; often that is refused, since one of them is not there,
    /// waits itself, or the schedule recurs.
    fn after(&mut self) -> Option<After> {
        if !self.chance.one_in(3) {
            return None;
        }
        let others =
            (0..=self.chance.below(2)).map(|_| task_id(&format!("task-{}", self.chance.below(TASKS))));
        let others: Vec<TaskId> = others.collect();
        let on_failure = self.chance.pick(&[OnDependencyFailure::Cancel, OnDependencyFailure::RunAnyway]);
        Some(ok(After::new(others, on_failure)))
    }

    fn unique(&mut self) -> Option<Unique> {
        if !self.chance.one_in(10) {
            return None;
        }
        let key = ok(self.chance.pick(&["red", "green"]).parse());
        let for_a_while = Holds::For { ms: NonZeroU64::MIN.saturating_add(60_000) };
        Some(Unique { key, holds: self.chance.pick(&[Holds::WhilePending, for_a_while]) })
    }

    /// Bytes of different lengths, few enough that the same ones come again.
    fn payload(&mut self) -> Payload {
        let length = self.chance.pick(&[0, 0, 1, 300]);
        Payload::new(vec![7; length])
    }

    fn schedule(&mut self) -> Schedule {
        let schedule = match self.chance.below(6) {
            0 => Schedule::immediate(),
            1 => Schedule::one_time(self.now.saturating_add_ms(self.chance.ms(120_000) - 30_000)),
            2 => ok(Schedule::cron("*/30 * * * * *")),
            _ => every(self.chance.pick(&[10, 60, 60, 90])),
        };
        let misfire = Misfire { policy: self.policy(), grace_ms: self.chance.pick(&[0, 60_000]) };
        let overlap = self.chance.pick(&[Overlap::Skip, Overlap::BufferOne]);
        let max_runs = if self.chance.one_in(6) { NonZeroU32::new(2) } else { None };
        let ends = self.now.saturating_add_ms(self.chance.ms(600_000));
        let not_after = if self.chance.one_in(6) { Some(ends) } else { None };
        Schedule { misfire, overlap, max_runs, not_after, ..schedule }
    }

    fn policy(&mut self) -> MisfirePolicy {
        let limit = NonZeroU32::MIN.saturating_add(1);
        self.chance.pick(&[MisfirePolicy::RunOnce, MisfirePolicy::Skip, MisfirePolicy::CatchUp { limit }])
    }

    fn retry(&mut self) -> RetryPolicy {
        RetryPolicy {
            max_retries: self.chance.pick(&[0, 1, 3]),
            backoff: Backoff { jitter_percent: self.chance.pick(&[0, 50]), ..Backoff::default() },
            on_exhausted: self.chance.pick(&[OnExhausted::Disable, OnExhausted::Continue]),
        }
    }
}

pub(super) const TASKS: usize = 12;
/// Tasks share a few keys.
const KEYS: [&str; 2] = ["left", "right"];
