//! Claims beyond the free slots, for task types whose runs take hardly any time: a commit takes longer than they do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use azoth_scheduler_core::id::TaskType;
use azoth_scheduler_core::task::Priority;
use azoth_scheduler_store::Claimed;
use azoth_scheduler_store::store::CLAIM_BATCH_MAX;

use crate::any_handler::AnyTaskHandler;
use crate::cancel::Cancel;
use crate::watchdog::Polls;

/// What is claimed and has yet to start, by its level, the oldest of a level first.
#[derive(Default)]
pub(crate) struct Queue {
    levels: BTreeMap<Priority, VecDeque<Queued>>,
    length: usize,
    turn: u64,
    paces: BTreeMap<TaskType, Pace>,
}

/// A claimed execution that waits for a slot.
pub(crate) struct Queued {
    pub(crate) claimed: Claimed,
    pub(crate) handler: AnyTaskHandler,
    pub(crate) cancel: Cancel,
    pub(crate) polls: Arc<Polls>,
    /// Since when, by the monotonic clock.
    pub(crate) since: Duration,
}

/// How long the recent runs of a type took.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    runs: u32,
    mean: Duration,
}

impl Queued {
    pub(crate) fn new(claimed: Claimed, handler: AnyTaskHandler, since: Duration) -> Self {
        let (cancel, polls) = (Cancel::new(), Polls::of(&claimed));
        Self { claimed, handler, cancel, polls, since }
    }
}

impl Queue {
    pub(crate) fn push(&mut self, queued: Queued) {
        self.levels.entry(queued.claimed.priority).or_default().push_back(queued);
        self.length += 1;
    }

    /// The oldest of the first level; every 16th time, as with claims, the oldest of all.
    pub(crate) fn pop(&mut self) -> Option<Queued> {
        self.turn = self.turn.wrapping_add(1);
        let fair = self.turn.is_multiple_of(FAIR_TURN);
        let mut waiting = self.levels.values_mut().filter(|level| !level.is_empty());
        let level = if fair { waiting.min_by_key(|level| since(level)) } else { waiting.next() };
        let queued = level?.pop_front()?;
        self.length -= 1;
        Some(queued)
    }

    /// Takes out all of these types.
    pub(crate) fn take_of(&mut self, task_types: &[TaskType]) -> Vec<Queued> {
        let mut taken = Vec::new();
        for level in self.levels.values_mut() {
            let of_types = |queued: &Queued| task_types.contains(&queued.claimed.task_type);
            let (out, stay): (VecDeque<_>, VecDeque<_>) =
                std::mem::take(level).into_iter().partition(of_types);
            *level = stay;
            taken.extend(out);
        }
        self.length -= taken.len();
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// When the oldest of them has waited for too long: what runs is slower than it was.
    pub(crate) fn overdue_at(&self) -> Option<Duration> {
        self.levels.values().filter_map(since).min().map(|since| since.saturating_add(WAIT_MAX))
    }

    /// What was taken for quick was not. Each type has to show it anew.
    pub(crate) fn slow_down(&mut self) {
        self.paces.clear();
    }

    /// So many more may be claimed ahead, where so many results have yet to be recorded.
    pub(crate) fn room(&self, unrecorded: usize) -> usize {
        AHEAD_MAX.saturating_sub(self.length + unrecorded).min(AHEAD_BATCH_MAX)
    }

    /// A run of this type took so long.
    pub(crate) fn note(&mut self, task_type: &TaskType, took: Duration) {
        match self.paces.get_mut(task_type) {
            Some(pace) => pace.note(took),
            None => {
                let mut pace = Pace::default();
                pace.note(took);
                self.paces.insert(task_type.clone(), pace);
            }
        }
    }

    /// The types whose recent runs took less than a millisecond.
    pub(crate) fn quick_types(&self) -> Arc<[TaskType]> {
        self.paces
            .iter()
            .filter(|(_, pace)| pace.is_quick())
            .map(|(task_type, _)| task_type.clone())
            .collect()
    }
}

impl Pace {
    fn note(&mut self, took: Duration) {
        self.runs = self.runs.saturating_add(1);
        // One that hung says little of the others, and is forgotten after a while.
        let took = took.min(OUTLIER);
        let weight = self.runs.min(RECENT_RUNS);
        self.mean = (self.mean * (weight - 1) + took) / weight;
    }

    fn is_quick(self) -> bool {
        self.runs >= RECENT_RUNS && self.mean < QUICK
    }
}

fn since(level: &VecDeque<Queued>) -> Option<Duration> {
    level.front().map(|queued| queued.since)
}

/// Every so many-th goes to the one that has waited for longest, whatever its level.
const FAIR_TURN: u64 = 16;
/// So many claims wait and results are unrecorded at most, beyond the slots: one commit's worth.
const AHEAD_MAX: usize = CLAIM_BATCH_MAX;
/// One transaction claims no more ahead: half of them are run while the other half is recorded.
const AHEAD_BATCH_MAX: usize = CLAIM_BATCH_MAX / 2;
/// Runs that take less are quick.
const QUICK: Duration = Duration::from_millis(1);
/// No run counts for more than this.
const OUTLIER: Duration = Duration::from_millis(16);
/// So many runs are recent.
const RECENT_RUNS: u32 = 16;
/// What has waited for so long is given back, so that others can run it.
const WAIT_MAX: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use azoth_scheduler_core::id::{ExecutionId, TaskId};
    use azoth_scheduler_core::time::Timestamp;

    use super::*;
    use crate::any_handler::Kind;
    use crate::{TaskContext, TaskEvent, TaskHandler, TaskResult};

    fn quick_after(runs: impl IntoIterator<Item = u64>) -> bool {
        let mut queue = Queue::default();
        let work = TaskType::new("work").unwrap();
        for us in runs {
            queue.note(&work, Duration::from_micros(us));
        }
        !queue.quick_types().is_empty()
    }

    #[test]
    fn type_is_quick_once_enough_runs_took_less_than_a_millisecond() {
        assert!(!quick_after([10; 15]) && quick_after([10; 16]));
        assert!(!quick_after([1_000; 100]) && quick_after([999; 100]));
    }

    #[test]
    fn slow_runs_end_it_and_are_forgotten() {
        let (quick, slow) = (vec![10; 50], vec![3_600_000_000; 2]);
        let mut runs = [quick.clone(), slow].concat();
        assert!(!quick_after(runs.clone()));
        runs.extend(quick);
        assert!(quick_after(runs));
    }

    #[test]
    fn type_that_kept_others_waiting_has_to_show_anew_that_it_is_quick() {
        let mut queue = Queue::default();
        let work = TaskType::new("work").unwrap();
        (0..100).for_each(|_| queue.note(&work, Duration::ZERO));
        assert!(!queue.quick_types().is_empty());
        queue.slow_down();
        queue.note(&work, Duration::ZERO);
        assert!(queue.quick_types().is_empty());
    }

    fn queued(number: u32, priority: Priority) -> Queued {
        let claimed = Claimed {
            task: TaskId::new(number.to_string()).unwrap(),
            task_type: TaskType::new("work").unwrap(),
            execution: ExecutionId::from_u128(number.into()),
            priority,
            occurrence: Timestamp::UNIX_EPOCH,
            attempt: 1,
            claimed_at: Timestamp::UNIX_EPOCH,
            timeout_ms: NonZeroU64::MIN,
            suspect: false,
            payload: Arc::from([]),
            checkpoint: None,
            trace: None,
        };
        let handler = AnyTaskHandler(Kind::Async(Arc::new(Nothing)));
        Queued::new(claimed, handler, Duration::from_millis(number.into()))
    }

    struct Nothing;

    #[async_trait::async_trait]
    impl TaskHandler for Nothing {
        fn task_type(&self) -> &str {
            "work"
        }

        async fn execute(&self, _ctx: &TaskContext, _payload: &[u8]) -> TaskResult {
            Ok(TaskEvent::new("done", [])?)
        }
    }

    #[test]
    fn urgent_goes_first_and_every_sixteenth_is_the_one_that_waits_for_longest() {
        let mut queue = Queue::default();
        queue.push(queued(0, Priority::Low));
        (1..=20).for_each(|number| queue.push(queued(number, Priority::Critical)));
        assert_eq!(queue.overdue_at(), Some(WAIT_MAX));
        let order: Vec<u128> =
            std::iter::from_fn(|| queue.pop()).map(|queued| queued.claimed.execution.as_u128()).collect();
        let expected: Vec<u128> = (1..=15).chain([0]).chain(16..=20).collect();
        assert_eq!(order, expected);
        assert!(queue.is_empty() && queue.overdue_at().is_none());
    }

    #[test]
    fn claims_that_wait_and_results_that_are_unrecorded_are_bounded() {
        // I27
        let queue = Queue::default();
        assert_eq!([0, 600, 1024, 5000].map(|unrecorded| queue.room(unrecorded)), [512, 424, 0, 0]);
    }
}
