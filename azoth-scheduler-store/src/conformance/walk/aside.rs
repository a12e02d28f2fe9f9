//! What goes on beside the commands: readers with cursors, what is let go behind them, and looks at the past.

use std::time::Duration;

use azoth_scheduler_core::id::ConsumerName;
use azoth_scheduler_core::retention::RetentionPolicy;
use azoth_scheduler_core::testing::task_id;

use super::Walk;
use super::wish::TASKS;
use crate::conformance::bench::ok;
use crate::error::StoreError;
use crate::filter::TaskFilter;
use crate::record::LogPosition;
use crate::report::CutReport;
use crate::store::{AsOf, DeadLetter, StartFrom};

/// What becomes of what a consumer reads.
enum Reading {
    Requeue(LogPosition),
    Settle(LogPosition, Option<DeadLetter>),
    Move { from: LogPosition, to: LogPosition, letter: Option<DeadLetter> },
}

impl Walk<'_> {
    /// A consumer reads on, gives something up, has it handled again, or is told what came of that.
    pub(super) async fn read_on(&mut self, place: &str) {
        let head = self.head().await;
        let anywhere = self.position_below(head + 2);
        let name = ok(ConsumerName::new(self.chance.pick(&["audit", "mail"])));
        let start = self.chance.pick(&[StartFrom::Beginning, StartFrom::Now, StartFrom::After(anywhere)]);
        let [a, b] = self.stores();
        let (left, right) = (a.cursor(&name, start).await, b.cursor(&name, start).await);
        assert_eq!(left, right, "{place}: {name:?} from {start:?}");
        let Ok(cursor) = left else { return };
        let positions =
            |letters: Vec<DeadLetter>| letters.into_iter().map(|letter| letter.position).collect();
        let dead = positions(ok(a.dead_letters(&name, 100).await));
        let requeued = positions(ok(a.requeued(&name, 100).await));

        let reading = match self.chance.below(4) {
            0 => Reading::Requeue(self.one_of(dead, anywhere)),
            1 => {
                let settled = self.one_of(requeued, anywhere);
                let letter = self.chance.one_in(2).then(|| self.dead_letter(settled));
                Reading::Settle(settled, letter)
            }
            _ => {
                let ahead = self.position_below(head - cursor.number() + 1).number();
                let to = LogPosition::from_number(cursor.number() + ahead);
                let from = if self.chance.one_in(6) { anywhere } else { cursor };
                let gives_up = to > LogPosition::START && self.chance.one_in(2);
                Reading::Move { from, to, letter: gives_up.then(|| self.dead_letter(to)) }
            }
        };
        self.read(&name, reading, place).await;
    }

    async fn read(&self, name: &ConsumerName, reading: Reading, place: &str) {
        let [a, b] = self.stores();
        match reading {
            Reading::Requeue(asked) => {
                assert_eq!(a.requeue(name, asked).await, b.requeue(name, asked).await, "{place}: {asked}");
            }
            Reading::Settle(settled, letter) => {
                let left = a.settle_requeued(name, settled, letter.clone()).await;
                assert_eq!(left, b.settle_requeued(name, settled, letter).await, "{place}: {settled}");
            }
            Reading::Move { from, to, letter } => {
                let left = a.move_cursor(name, from, to, letter.clone()).await;
                assert_eq!(left, b.move_cursor(name, from, to, letter).await, "{place}: {from} to {to}");
            }
        }
        assert_eq!(a.dead_letters(name, 100).await, b.dead_letters(name, 100).await, "{place}: {name:?}");
        assert_eq!(a.requeued(name, 100).await, b.requeued(name, 100).await, "{place}: {name:?}");
        let (left, right) = (ok(a.stats(self.now).await), ok(b.stats(self.now).await));
        assert_eq!(left.consumers, right.consumers, "{place}");
    }

    /// Tasks that have ended leave, and old payloads go.
    pub(super) async fn let_go(&mut self, place: &str) {
        let mut policy = RetentionPolicy::new();
        let spans = [0, 60, 3_600].map(Duration::from_secs);
        type Keep = fn(RetentionPolicy, Duration) -> RetentionPolicy;
        for keep in [
            RetentionPolicy::keep_finished_for as Keep,
            RetentionPolicy::keep_cancelled_for,
            RetentionPolicy::keep_disabled_for,
            RetentionPolicy::keep_payloads_for,
        ] {
            if self.chance.one_in(2) {
                policy = keep(policy, self.chance.pick(&spans));
            }
        }
        let [a, b] = self.stores();
        let before = ok(a.head().await);
        let (left, right) = (a.retain(&policy, self.now).await, b.retain(&policy, self.now).await);
        assert_eq!(left, right, "I20: {place}: {policy:?}");
        assert_eq!(a.events(before, 10).await, b.events(before, 10).await, "I20: {place}: {policy:?}");
    }

    /// The oldest part of the log is cut.
    pub(super) async fn cut(&mut self, place: &str) {
        let head = self.head().await;
        let through = self.position_below(head + 2);
        let Some([a, b]) = self.cutters else { return };
        let (left, right) = (ok(a.cut(through, self.now).await), ok(b.cut(through, self.now).await));
        let cut = |report: &CutReport| (report.through, report.events);
        assert_eq!(cut(&left), cut(&right), "I20: {place}: through {through}");
        let [a, b] = self.stores();
        for store in [a, b] {
            assert_eq!(ok(store.stats(self.now).await).cut, left.through, "{place}: through {through}");
            let refused = store.events(LogPosition::START, 1).await.err();
            let cut = StoreError::LogCut { asked: LogPosition::START, cut: left.through };
            assert_eq!(refused, (left.through > LogPosition::START).then_some(cut), "{place}");
        }
    }

    /// The tasks as they were at a position or an instant.
    pub(super) async fn look_back(&mut self, place: &str) {
        let head = self.head().await;
        let earlier = self.now.saturating_add_ms(-self.chance.ms(600_000));
        let then = if self.chance.one_in(3) {
            AsOf::Instant(earlier)
        } else {
            AsOf::Position(self.position_below(head + 2))
        };
        let task = task_id(&format!("task-{}", self.chance.below(TASKS)));
        let [a, b] = self.stores();
        let (left, right) = match (a.as_of(then).await, b.as_of(then).await) {
            (Ok(left), Ok(right)) => (left, right),
            (left, right) => return assert_eq!(left.err(), right.err(), "I21: {place}: {then:?}"),
        };
        assert_eq!(left.position(), right.position(), "I21: {place}: {then:?}");
        let filter = TaskFilter::new().limit(100);
        assert_eq!(left.tasks(&filter).await, right.tasks(&filter).await, "I21: {place}: {then:?}");
        let counts = [ok(left.stats(self.now).await), ok(right.stats(self.now).await)].map(|mut stats| {
            stats.tasks.sort_by(|a, b| (&a.task_type, a.phase).cmp(&(&b.task_type, b.phase)));
            stats
        });
        let [left_counts, right_counts] = counts;
        assert_eq!(left_counts, right_counts, "I21: {place}: {then:?}");
        let known = left.task(&task).await;
        assert_eq!(right.task(&task).await, known, "I21: {place}: {task} at {then:?}");
        assert_eq!(a.task_as_of(&task, then).await, known, "I21: {place}: {task} alone at {then:?}");
        assert_eq!(b.task_as_of(&task, then).await, known, "I21: {place}: {task} alone at {then:?}");
    }

    async fn head(&self) -> u64 {
        let [a, _] = self.stores();
        ok(a.head().await).number()
    }

    fn position_below(&mut self, bound: u64) -> LogPosition {
        LogPosition::from_number(self.chance.below(bound as usize) as u64)
    }

    /// Mostly one of these, if there are any.
    fn one_of(&mut self, these: Vec<LogPosition>, other: LogPosition) -> LogPosition {
        if these.is_empty() || self.chance.one_in(6) { other } else { self.chance.pick(&these) }
    }

    fn dead_letter(&mut self, position: LogPosition) -> DeadLetter {
        let attempts = 1 + self.chance.below(5) as u32;
        DeadLetter { position, attempts, error: "no route".to_owned(), at: self.now }
    }
}
